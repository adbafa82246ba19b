"""The stage end to end on a mixture, features and pictures made here."""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.mixture import Mixture
from pipeline.stages import evaluate

PARAMS = "evaluation: {histogram_bins: 12, faces_shown: 3}\n"
MIXTURE = Mixture("spherical", np.zeros(2), np.ones(2), np.zeros((0, 2)), np.ones(1), np.zeros((1, 2)), np.ones(1))
THRESHOLD = {"threshold": 4.5, "paper_protocol": {"threshold": 3.0}}


def write_faces(name, features):
    names = np.array([f"data/{name}/{i:03d}.png" for i in range(len(features))])
    artifacts.write_npz(f"{name}.npz", names=names, features=np.asarray(features, dtype=np.float32).reshape(-1, 2))
    return names


@pytest.fixture
def world(tmp_path, monkeypatch):
    """200 photographs from the mixture itself; two generators from a wider normal, with pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    artifacts.write_npz("gmm.npz", **MIXTURE.to_arrays())
    artifacts.write_json("threshold.json", THRESHOLD)
    write_faces("photographs", np.random.default_rng(0).normal(size=(200, 2)))
    for seed, name in enumerate(("sim_a", "sim_b")):
        names = write_faces(name, 2 * np.random.default_rng(seed + 1).normal(size=(40, 2)))
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, face in enumerate(names):
            Image.new("RGB", (24, 24), (number, 0, 0)).save(tmp_path / face)
    return tmp_path


def run(name="sim_a"):
    inputs = ["--gmm", "gmm.npz", "--threshold", "threshold.json", "--photographs", "photographs.npz", "--root", "."]
    outputs = {"metrics": "json", "roc": "roc.csv", "histogram": "histogram.csv", "pictures": "png", "scores": "parquet"}
    named = [part for option, end in outputs.items() for part in (f"--{option}", f"{name}.{end}")]
    evaluate.main(["--generator", name, "--features", f"{name}.npz", *inputs, *named])
    return json.loads(open(f"{name}.json").read())


def scores(name):
    return MIXTURE.anomaly_score(artifacts.read_npz(f"{name}.npz")["features"])


def columns(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_metrics_are_scikit_learns(world, capsys):
    got = run()
    labels, pooled = np.repeat([0, 1], [200, 40]), np.concatenate([scores("photographs"), scores("sim_a")])
    assert (got["generator"], got["photographic_faces"], got["generated_faces"]) == ("sim_a", 200, 40)
    assert got["auc"] == pytest.approx(oracle.roc_auc_score(labels, pooled))
    assert got["ap_generated"] == pytest.approx(oracle.average_precision_score(labels, pooled))
    assert got["ap_photographic"] == pytest.approx(oracle.average_precision_score(1 - labels, -pooled))
    for rates, threshold in ((got, 4.5), (got["paper_protocol"], 3.0)):
        assert rates["accuracy"] == pytest.approx(oracle.accuracy_score(labels, pooled > threshold))
        assert rates["false_alarm_rate"] == pytest.approx(np.mean(pooled[:200] > threshold))
        assert rates["detection_rate"] == pytest.approx(np.mean(pooled[200:] > threshold))
    assert "sim_a" in capsys.readouterr().out


def test_curve_and_histogram_files(world):
    got = run()
    roc = columns("sim_a.roc.csv")
    assert list(roc) == ["fpr", "tpr"] and len(roc["fpr"]) <= 500
    assert oracle.auc(roc["fpr"], roc["tpr"]) == pytest.approx(got["auc"], abs=1e-6)
    histogram = columns("sim_a.histogram.csv")
    assert len(histogram["anomaly_score"]) == 12
    assert histogram["photographic"].sum() == pytest.approx(1) and histogram["generated"].sum() == pytest.approx(1)


def test_scores_file_holds_every_face(world):
    run()
    frame = artifacts.read_table("sim_a.parquet")
    assert list(frame.columns) == ["name", "label", "anomaly_score", "flagged"]
    generated = frame[frame.label == 1].set_index("name")
    expected = dict(zip(artifacts.read_npz("sim_a.npz")["names"], scores("sim_a"), strict=True))
    assert len(frame) == 240 and generated.anomaly_score.to_dict() == pytest.approx(expected)
    assert (frame.flagged == (frame.anomaly_score > 4.5)).all()


def test_every_generator_meets_the_same_photographs_in_any_order(world):
    first, second = run("sim_a"), run("sim_b")
    chosen = artifacts.read_table("sim_a.parquet").query("label == 0")["name"]
    listed = "".join(f"{name}\n" for name in sorted(chosen))
    assert (
        first["photographic_list_sha256"] == second["photographic_list_sha256"] == hashlib.sha256(listed.encode()).hexdigest()
    )
    assert (first["photographic_faces"], first["generated_faces"]) == (200, 40)
    photographs = artifacts.read_npz("photographs.npz")
    artifacts.write_npz("photographs.npz", names=photographs["names"][::-1], features=photographs["features"][::-1])
    assert run("sim_a") == first


def test_same_bytes_twice(world):
    kinds = ("json", "roc.csv", "histogram.csv", "png", "parquet")
    run()
    before = [(world / f"sim_a.{kind}").read_bytes() for kind in kinds]
    run()
    assert [(world / f"sim_a.{kind}").read_bytes() for kind in kinds] == before


def test_pictures_show_most_and_least_anomalous_faces(world, monkeypatch):
    sheets = []
    monkeypatch.setattr(evaluate, "contact_sheet", lambda rows, *_, **titles: sheets.append((rows, titles["row_titles"])))
    run()
    (most, least), titles = sheets[0]
    order = np.argsort(scores("sim_a"))
    assert [picture[0, 0, 0] for picture in most] == list(order[::-1][:3])  # red tells the face's number
    assert [picture[0, 0, 0] for picture in least] == list(order[:3])
    assert titles == ["most anomalous", "least anomalous"]


def test_a_generator_with_one_face_is_evaluated(world):
    write_faces("sim_a", [[9.0, 9.0]])
    got = run()
    assert (got["generated_faces"], got["auc"], got["detection_rate"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((0, 2)), r"sim_a\.npz: .*at least one"),
        ([[np.nan, 1.0]], r"sim_a\.npz: 1 of 1 faces have NaN"),
    ],
)
def test_a_generator_without_usable_faces_is_a_clear_error(world, features, message):
    write_faces("sim_a", features)
    with pytest.raises(PipelineError, match=message):
        run()
    assert not (world / "sim_a.json").exists()


@pytest.mark.parametrize("content", [{}, {"threshold": 1.0}, {"threshold": None, "paper_protocol": {"threshold": 1}}, []])
def test_a_malformed_threshold_file_is_named(world, content):
    artifacts.write_json("threshold.json", content)
    with pytest.raises(PipelineError, match=r"threshold\.json: no number at"):
        run()
