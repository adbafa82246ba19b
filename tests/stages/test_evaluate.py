"""The stage end to end on a mixture, features and pictures made here."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics as oracle

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import HEADS
from pipeline.density.density import Density
from pipeline.evaluation import generator
from pipeline.evaluation.bootstrap import Sample
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.stages import evaluate
from tests.small_features import normal

GENERATORS = ("sim_a", "sim_b")
MIXTURE = normal(2)
PERSONS = np.array([f"{i // 2:03d}" for i in range(200)])
RATES = {"at_1_percent": 6.2, "at_5_percent": 4.5}
THRESHOLD = {
    "rates": {key: {"threshold": threshold} for key, threshold in RATES.items()},
    "review": "at_5_percent",
    "flag": "at_1_percent",
    "paper_protocol": {"threshold": 3.0},
}


def write_faces(name, features, *, persons=None):
    """Two pictures of each person, data/<name>/007_1.png; generated faces are persons each."""
    features = np.asarray(features, dtype=np.float64)
    count, rng = len(features), np.random.default_rng(len(features))
    names = np.array([f"data/{name}/{i // 2:03d}_{i % 2}.png" for i in range(count)])
    digests = np.array([digest(name) for name in names.tolist()])
    heads = rng.normal(1, 2, size=(count, 5))
    persons = names if persons is None else persons
    faces = FeatureSet(name, names, persons, features, heads, digests)
    feature_sets.write(Path(f"features/{name}.npz"), faces)


def digest(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if Path(name).exists() else "none"


def write_calibration(deviations):
    rng = np.random.default_rng(9)
    scores = np.sort(MIXTURE.anomaly_score(rng.normal(size=(150, 2))))[None]
    arrays = {"head_means": np.ones(5), "head_deviations": deviations}
    artifacts.write_npz("calibration.npz", scores=scores, **arrays)


def write_params(*generators):
    names = ", ".join(generators)
    Path("params.yaml").write_text(f"seed: 3\nbootstrap: {{resamples: 150}}\ngenerators: [{names}]")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """200 photographs from the mixture itself; generators from a wider normal, with pictures."""
    monkeypatch.chdir(tmp_path)
    write_params(*GENERATORS)
    artifacts.write_npz("gmm.npz", **Density({"features": MIXTURE}).to_arrays())
    artifacts.write_json("threshold.json", THRESHOLD)
    write_calibration(np.full(5, 2.0))
    for name in ("photographic_fit", "photographic_calibration"):
        write_faces(name, np.zeros((2, 2)))
    photographs = np.random.default_rng(0).normal(size=(200, 2))
    write_faces("photographic_test", photographs, persons=PERSONS)
    for seed, name in enumerate((*GENERATORS, "sim_c")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(40):
            picture = Image.new("RGB", (24, 24), (i, 0, 0))  # red tells the face's number
            picture.save(f"data/{name}/{i // 2:03d}_{i % 2}.png")
        write_faces(name, 2 * np.random.default_rng(seed + 1).normal(size=(40, 2)))
    return tmp_path


def run():
    inputs = {"features": "features", "gmm": "gmm.npz", "threshold": "threshold.json", "root": "."}
    outputs = {"output": "out", "metrics": "evaluation.json", "roc": "roc.csv"}
    options = {**inputs, "calibration": "calibration.npz", **outputs}
    evaluate.main([part for name, value in options.items() for part in (f"--{name}", value)])
    return json.loads(Path("out/generators.json").read_text())


def written():
    """All files of the stage: names and bytes."""
    files = [*Path("out").rglob("*"), Path("evaluation.json"), Path("roc.csv")]
    return {path.as_posix(): path.read_bytes() for path in files if path.is_file()}


def scores(name):
    return MIXTURE.anomaly_score(artifacts.read_npz(f"features/{name}.npz")["features"])


def test_figures_are_scikit_learns_with_intervals_by_person(world, capsys):
    got = run()
    content, names = got["sim_a"], artifacts.read_npz("features/sim_a.npz")["names"]
    photographs, faces = scores("photographic_test"), scores("sim_a")
    pooled, labels = np.concatenate([photographs, faces]), np.repeat([0, 1], [200, 40])
    values, thresholds = content["values"], {**RATES, "paper_protocol": 3.0}
    assert values["auc"] == pytest.approx(oracle.roc_auc_score(labels, pooled))
    for key, threshold in thresholds.items():
        called = pooled > threshold
        assert values[key]["accuracy"] == pytest.approx(oracle.accuracy_score(labels, called))
        assert values[key]["false_alarm_rate"] == pytest.approx(np.mean(called[:200]))
        assert values[key]["detection_rate"] == pytest.approx(np.mean(called[200:]))
    samples = Sample(photographs, PERSONS), Sample(faces, names)
    expected = generator.figures(*samples, thresholds, resamples=150, seed=3).content()
    shown = {key: content[key] for key in expected}
    assert json.dumps(shown, sort_keys=True) == json.dumps(expected, sort_keys=True)
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*GENERATORS, "mean", "worst"))


def test_table_and_headline_are_of_these_figures(world):
    got = run()
    rows = artifacts.read_json("out/table.json")
    assert set(rows) == {*GENERATORS, "mean", "worst"}
    aucs = [got[name]["values"]["auc"] for name in GENERATORS]
    assert [rows[name]["auc"] for name in GENERATORS] == aucs
    assert rows["worst"]["auc"] == min(aucs) and rows["mean"]["auc"] == pytest.approx(np.mean(aucs))
    headline = artifacts.read_json("evaluation.json")
    assert headline["mean"]["auc"] == rows["mean"]["auc"]
    alarms = got["sim_a"]["values"]["at_5_percent"]["false_alarm_rate"]
    assert headline["false_alarm_rate_at_5_percent"] == pytest.approx(alarms)


def test_curves_and_histograms_of_all_generators(world):
    got = run()
    curves, histograms = pd.read_csv("roc.csv"), pd.read_csv("out/histograms.csv")
    assert list(curves) == ["generator", "fpr", "tpr"]
    assert list(histograms) == ["generator", "low", "high", "photographic", "generated"]
    for name in GENERATORS:
        curve = curves[curves.generator == name]
        auc = got[name]["values"]["auc"]
        assert oracle.auc(curve.fpr, curve.tpr) == pytest.approx(auc, abs=1e-6)
        shares = histograms.loc[histograms.generator == name, ["photographic", "generated"]]
        assert len(shares) == 40 and shares.sum().tolist() == pytest.approx([1, 1])


def test_scores_say_everything_about_every_face_and_hold_the_photographs_once(world):
    got = run()
    frame = artifacts.read_table("out/scores.parquet")
    decided = ["anomaly_score", "p_value", "verdict", *RATES, *(f"z_{head}" for head in HEADS)]
    assert list(frame.columns) == [
        "set",
        "name",
        "person",
        "label",
        "source_sha256",
        "side",
        *decided,
    ]
    assert frame["set"].tolist() == ["photographic_test"] * 200 + ["sim_a"] * 40 + ["sim_b"] * 40
    assert (frame.label == frame["set"].isin(GENERATORS)).all()
    expected = np.concatenate([scores(name) for name in ("photographic_test", *GENERATORS)])
    np.testing.assert_allclose(frame.anomaly_score, expected)
    faces = frame[frame["set"] == "sim_a"]
    assert faces.person.tolist() == faces["name"].tolist()
    assert faces.source_sha256.tolist() == [digest(name) for name in faces["name"]]
    words = ("pass", "review", "flag")
    assert got["sim_a"]["verdicts"] == {word: sum(faces.verdict == word) for word in words}
    heads = artifacts.read_npz("features/sim_a.npz")["heads"].astype(float)
    for i, head in enumerate(HEADS):
        np.testing.assert_allclose(faces[f"z_{head}"], (heads[:, i] - 1) / 2, rtol=1e-6)
        assert got["sim_a"]["head_z"][head] == pytest.approx(((heads[:, i] - 1) / 2).mean())


def test_a_head_without_spread_has_no_z_score(world, capsys):
    write_calibration(np.array([2.0, 2, 0, 2, 2]))
    content = run()["sim_a"]
    assert content["head_z"]["exposure_time_s"] is None and content["head_z"]["iso"] is not None
    assert "the same score" in content["not_computed"]["head_z.exposure_time_s"]
    assert artifacts.read_table("out/scores.parquet").z_exposure_time_s.isna().all()
    assert "sim_a, head_z.exposure_time_s: all calibration" in capsys.readouterr().out


def test_another_generator_leaves_the_others_entries_as_they_are(world):
    sim_c = (world / "features/sim_c.npz").read_bytes()  # removed as long as nothing names it
    before, files = run(), written()
    (world / "features/sim_c.npz").write_bytes(sim_c)
    write_params("sim_c", *GENERATORS)
    after = run()
    for name in GENERATORS:
        assert json.dumps(after[name]) == json.dumps(before[name])
        assert written()[f"out/faces/{name}.png"] == files[f"out/faces/{name}.png"]
    rows = artifacts.read_json("out/table.json")
    assert {name: rows[name] for name in GENERATORS} == {
        name: json.loads(files["out/table.json"])[name] for name in GENERATORS
    }
    for file in ("roc.csv", "out/histograms.csv"):
        lines = written()[file].decode().splitlines()
        kept = [line for line in lines if not line.startswith("sim_c,")]
        assert kept == files[file].decode().splitlines()


def test_same_bytes_twice(world):
    run()
    before = written()
    run()
    assert written() == before and len(before) == 8


def test_a_generator_with_one_face_does_not_end_the_evaluation_of_the_others(world, capsys):
    whole = run()
    write_faces("sim_b", [[9.0, 9.0]])
    got = run()
    assert got["sim_a"] == whole["sim_a"]
    content = got["sim_b"]
    assert (content["generated_faces"], content["values"]["auc"]) == (1, 1)
    assert (content["low"]["auc"], content["high"]["auc"]) == (None, None)
    (reason,) = content["not_computed"].values()
    assert reason.startswith("cannot be computed from one face")
    (caution,) = content["cautions"]
    printed = capsys.readouterr().out
    assert reason in printed and f"caution, sim_b: {caution}" in printed
    rows = artifacts.read_json("out/table.json")
    assert rows["worst"]["auc_low"] is rows["mean"]["auc_low"] is None


def test_pictures_show_most_and_least_anomalous_faces(world, monkeypatch):
    sheets = {}
    monkeypatch.setattr(
        evaluate, "contact_sheet", lambda rows, _, path, **titles: sheets.update({path: rows})
    )
    run()
    most, least = sheets[Path("out/faces/sim_a.png")]
    order = np.argsort(scores("sim_a"))
    assert [picture[0, 0, 0] for picture in most] == list(order[::-1][:8])
    assert [picture[0, 0, 0] for picture in least] == list(order[:8])


def test_a_picture_that_is_not_the_listed_one_is_named(world):
    for path in Path("data/sim_b").iterdir():
        Image.new("RGB", (24, 24)).save(path)
    changed = r"data/sim_b/\d+_\d\.png: changed since list_faces read it"
    with pytest.raises(PipelineError, match=changed):
        run()
