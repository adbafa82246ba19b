"""The stage end to end on what evaluate would have written for three generators."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.stages import aggregate

GENERATORS = ("sim_b", "sim_a", "ddpm")
RATES = ("accuracy", "balanced_accuracy", "false_alarm_rate", "detection_rate")
WHOLE = ("auc", "ap_generated", "ap_photographic", "eer")
KEYS = ("at_1_percent", "at_5_percent", "paper_protocol")


def faces(name, n, label):
    scores = np.random.default_rng(n).normal(label, 1, size=n)
    names = [f"data/{name}/{i}.png" for i in range(n)]
    frame = pd.DataFrame(
        {"set": name, "name": names, "group": names, "label": label, "anomaly_score": scores}
    )
    return frame.assign(at_5_percent=scores > 1.6)


def write(name, auc, *, scores=None, photographs="0", resamples=100):
    """One generator's files."""
    scores = (
        pd.concat([faces("photographic_test", 30, 0), faces(name, 20, 1)])
        if scores is None
        else scores
    )
    artifacts.write_table(f"scores/{name}.parquet", scores)
    rng = np.random.default_rng(int(100 * auc))
    flat = [*WHOLE, *(f"{key}.{rate}" for key in KEYS for rate in RATES)]
    artifacts.write_npz(
        f"bootstrap/{name}.npz", **{key: rng.normal(auc, 0.01, size=resamples) for key in flat}
    )
    content = {
        "values": {
            **dict.fromkeys(WHOLE, auc),
            **{key: dict.fromkeys(RATES, auc / 2) for key in KEYS},
        },
        "low": {
            **dict.fromkeys(WHOLE, auc - 0.1),
            **{key: dict.fromkeys(RATES, 0.1) for key in KEYS},
        },
        "high": {
            **dict.fromkeys(WHOLE, auc + 0.1),
            **{key: dict.fromkeys(RATES, 0.9) for key in KEYS},
        },
        "generated_faces": 20,
        "photographic_faces": 30,
        "photographic_list_sha256": photographs,
        "scores_sha256": artifacts.sha256(Path(f"scores/{name}.parquet")),
        "bootstrap_sha256": artifacts.sha256(Path(f"bootstrap/{name}.npz")),
    }
    artifacts.write_json(f"generators/{name}.json", content)
    artifacts.write_csv(f"roc/{name}.csv", {"fpr": [0.0, auc / 3, 1.0], "tpr": [0.0, auc, 1.0]})


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"generators: [{', '.join(GENERATORS)}]\n")
    for i, name in enumerate(GENERATORS):
        write(name, 0.7 + i / 10)
    return tmp_path


def run():
    folders = [
        part
        for name in ("generators", "scores", "bootstrap", "roc")
        for part in (f"--{name}", name)
    ]
    written = [
        "--evaluation",
        "evaluation.json",
        "--all-scores",
        "all.parquet",
        "--roc-all",
        "roc_all.csv",
    ]
    aggregate.main([*folders, *written])
    return json.loads(open("evaluation.json").read())


def test_the_generators_their_mean_and_the_worst(world, capsys):
    got = run()
    assert set(got) == {*GENERATORS, "mean", "worst"}
    assert (got["sim_a"]["auc"], got["sim_a"]["at_5_percent"]["detection_rate"]) == pytest.approx(
        (0.8, 0.4)
    )
    assert got["mean"]["auc"] == pytest.approx(0.8)
    replicates = np.mean(
        [artifacts.read_npz(f"bootstrap/{name}.npz")["auc"] for name in GENERATORS], axis=0
    )
    assert [got["mean"]["auc_low"], got["mean"]["auc_high"]] == pytest.approx(
        np.quantile(replicates, [0.025, 0.975]).tolist()
    )
    assert got["worst"]["generator"] == "sim_b"
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[3:7]] == [*GENERATORS, "mean"]
    assert max(map(len, printed)) <= 80


def test_all_scores_hold_the_photographs_once(world):
    run()
    frame = artifacts.read_table("all.parquet")
    assert frame["set"].tolist() == ["photographic_test"] * 30 + [
        name for name in GENERATORS for _ in range(20)
    ]
    expected = pd.concat(
        [faces("photographic_test", 30, 0), *(faces(name, 20, 1) for name in GENERATORS)],
        ignore_index=True,
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_all_curves_are_one_table(world):
    run()
    lines = (world / "roc_all.csv").read_text().splitlines()
    written = [
        f"{name},{row}"
        for name in GENERATORS
        for row in (world / f"roc/{name}.csv").read_text().splitlines()[1:]
    ]
    assert lines == ["generator,fpr,tpr", *written]


def test_same_bytes_twice(world):
    files = ("evaluation.json", "all.parquet", "roc_all.csv")
    run()
    before = [(world / file).read_bytes() for file in files]
    run()
    assert [(world / file).read_bytes() for file in files] == before


def test_last_bits_of_another_processor_do_not_matter_but_another_mixture_does(world):
    frame = artifacts.read_table("scores/sim_a.parquet")
    write("sim_a", 0.8, scores=frame.assign(anomaly_score=frame.anomaly_score * (1 + 1e-13)))
    run()
    write("sim_a", 0.8, scores=frame.assign(anomaly_score=frame.anomaly_score + 0.1))
    with pytest.raises(
        PipelineError, match="the photographs of sim_a and of sim_b were not judged alike: run"
    ):
        run()
    write("sim_a", 0.8, scores=frame.drop(columns="at_5_percent"))
    with pytest.raises(PipelineError, match="sim_a and of sim_b were not judged alike"):
        run()


def test_other_photographs_are_refused_before_anything_is_written(world):
    write("ddpm", 0.9, photographs="1")
    with pytest.raises(PipelineError, match="not evaluated against the same photographs"):
        run()
    assert not list(world.glob("*.parquet")) and not (world / "evaluation.json").exists()


@pytest.mark.parametrize("folder", ["scores", "bootstrap"])
def test_a_cached_file_that_is_not_the_recorded_one_is_named(world, folder):
    (path,) = (world / folder).glob("sim_a.*")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(
        PipelineError,
        match=rf"{folder}/sim_a\.\w+ is missing or not the file that generators/sim_a\.json",
    ):
        run()
    path.unlink()
    with pytest.raises(PipelineError, match=rf"{folder}/sim_a\.\w+ is missing"):
        run()


@pytest.mark.parametrize("folder", ["generators", "roc"])
def test_missing_files_are_named_and_others_left_aside(world, folder):
    (path,) = (world / folder).glob("sim_a.*")
    shutil.copy(path, path.with_stem("gone"))
    run()
    path.unlink()
    with pytest.raises(PipelineError, match=rf"missing: {folder}/sim_a\.\w+\. Make them"):
        run()


def test_metrics_of_an_older_version_are_named(world):
    artifacts.write_json("generators/sim_a.json", {"auc": 0.7})
    with pytest.raises(
        PipelineError, match=r"generators/sim_a\.json: not all of values, .* run `dvc repro`"
    ):
        run()
