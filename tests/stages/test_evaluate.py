"""The stage end to end on a mixture, features and pictures made here."""

import csv
import hashlib

import numpy as np
import pytest
from sklearn import metrics as oracle

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.bootstrap import replicates as replicates_of
from pipeline.stages import evaluate
from tests.evaluated_world import (
    HEADS,
    MIXTURE,
    RATES,
    THRESHOLD,
    run,
    world,
    write_calibration,
    write_faces,
)

__all__ = ["world"]  # a fixture


def scores(name):
    return MIXTURE.anomaly_score(artifacts.read_npz(f"{name}.npz")["features"])


def columns(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_metrics_are_scikit_learns(world, capsys):
    got = run()
    values = got["values"]
    labels, pooled = (
        np.repeat([0, 1], [200, 40]),
        np.concatenate([scores("photographs"), scores("sim_a")]),
    )
    assert (got["generator"], got["photographic_faces"], got["generated_faces"]) == (
        "sim_a",
        200,
        40,
    )
    assert (got["photographic_groups"], got["generated_groups"]) == (100, 40)
    assert values["auc"] == pytest.approx(oracle.roc_auc_score(labels, pooled))
    assert values["ap_generated"] == pytest.approx(oracle.average_precision_score(labels, pooled))
    assert values["ap_photographic"] == pytest.approx(
        oracle.average_precision_score(1 - labels, -pooled)
    )
    for key, threshold in {**RATES, "paper_protocol": 3.0}.items():
        rates = values[key]
        assert rates["accuracy"] == pytest.approx(oracle.accuracy_score(labels, pooled > threshold))
        assert rates["false_alarm_rate"] == pytest.approx(np.mean(pooled[:200] > threshold))
        assert rates["detection_rate"] == pytest.approx(np.mean(pooled[200:] > threshold))
    assert "sim_a" in capsys.readouterr().out and (got["not_computed"], got["cautions"]) == ({}, [])


def test_intervals_are_those_of_the_replicates_by_person(world):
    got = run()
    replicates = artifacts.read_npz("sim_a.bootstrap.npz")
    photographs, faces = (
        artifacts.read_npz("photographs.npz")["names"],
        artifacts.read_npz("sim_a.npz")["names"],
    )
    people = np.array([name.split("/")[-1].split("_")[0] for name in photographs])
    samples = Sample(scores("photographs"), people), Sample(scores("sim_a"), faces)
    expected = replicates_of(*samples, {**RATES, "paper_protocol": 3.0}, resamples=150, seed=3)
    assert set(replicates) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(replicates[name], values)
        first, _, rate = name.partition(".")
        ends = [got[end][first][rate] if rate else got[end][first] for end in ("low", "high")]
        assert ends == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist())


def test_metrics_name_the_very_files_that_were_written(world):
    got = run()
    for kind in ("scores", "bootstrap"):
        content = (
            world / ("sim_a.parquet" if kind == "scores" else "sim_a.bootstrap.npz")
        ).read_bytes()
        assert got[f"{kind}_sha256"] == hashlib.sha256(content).hexdigest()


def test_curve_and_histogram_files(world):
    got = run()
    roc = columns("sim_a.roc.csv")
    assert list(roc) == ["fpr", "tpr"] and len(roc["fpr"]) <= 500
    assert oracle.auc(roc["fpr"], roc["tpr"]) == pytest.approx(got["values"]["auc"], abs=1e-6)
    histogram = columns("sim_a.histogram.csv")
    assert len(histogram["anomaly_score"]) == 12
    assert histogram["photographic"].sum() == pytest.approx(1) and histogram[
        "generated"
    ].sum() == pytest.approx(1)


def test_scores_file_says_everything_about_every_face(world):
    got = run()
    frame = artifacts.read_table("sim_a.parquet")
    judged = ["anomaly_score", "p_value", "verdict", *RATES, *(f"z_{head}" for head in HEADS)]
    assert list(frame.columns) == ["set", "name", "group", "label", "source_sha256", *judged]
    assert frame["set"].value_counts().to_dict() == {"photographic_test": 200, "sim_a": 40}
    assert (frame.label == (frame["set"] == "sim_a")).all()
    generated, photographs = frame[frame.label == 1], frame[frame.label == 0]
    assert generated.group.tolist() == generated.name.tolist()
    assert frame.source_sha256.tolist() == frame.name.tolist()  # as write_faces has it
    assert photographs.group.tolist() == [f"{i // 2:03d}" for i in range(200)]
    expected = dict(zip(artifacts.read_npz("sim_a.npz")["names"], scores("sim_a"), strict=True))
    assert generated.set_index("name").anomaly_score.to_dict() == pytest.approx(expected)
    calibrated = artifacts.read_npz("calibration.npz")["scores"]
    for _, face in frame.iterrows():
        assert face.p_value == pytest.approx((1 + sum(calibrated >= face.anomaly_score)) / 151)
        above = [face.anomaly_score > threshold for threshold in (4.5, 6.2)]
        assert [face.at_5_percent, face.at_1_percent] == above
        assert face.verdict == ("pass", "review", "flag")[sum(above)]
    assert got["verdicts"] == {
        word: int((generated.verdict == word).sum()) for word in ("pass", "review", "flag")
    }
    heads = artifacts.read_npz("sim_a.npz")["heads"].astype(float)
    for i, head in enumerate(HEADS):
        np.testing.assert_allclose(generated[f"z_{head}"], (heads[:, i] - 1) / 2, rtol=1e-6)
        assert got["head_z"][head] == pytest.approx(((heads[:, i] - 1) / 2).mean())


def test_a_head_without_spread_has_no_z_score(world, capsys):
    write_calibration(np.arange(150.0), np.array([2.0, 2, 0, 2, 2]))
    got = run()
    assert got["head_z"]["exposure_time_s"] is None and got["head_z"]["iso"] is not None
    assert "the same score" in got["not_computed"]["head_z.exposure_time_s"]
    assert artifacts.read_table("sim_a.parquet").z_exposure_time_s.isna().all()
    assert "head_z.exposure_time_s: all calibration photographs" in capsys.readouterr().out


def test_every_generator_meets_the_same_photographs_in_any_order(world):
    first, second = run("sim_a"), run("sim_b")
    chosen = artifacts.read_table("sim_a.parquet").query("label == 0")["name"]
    listed = "".join(f"{name}\n" for name in sorted(chosen))
    assert (
        first["photographic_list_sha256"]
        == second["photographic_list_sha256"]
        == hashlib.sha256(listed.encode()).hexdigest()
    )
    assert (first["photographic_faces"], first["generated_faces"]) == (200, 40)
    photographs = artifacts.read_npz("photographs.npz")
    artifacts.write_npz(
        "photographs.npz", **{key: array[::-1] for key, array in photographs.items()}
    )
    assert run("sim_a") == first
    alarms = [
        artifacts.read_npz(f"{name}.bootstrap.npz")["at_5_percent.false_alarm_rate"]
        for name in ("sim_a", "sim_b")
    ]
    np.testing.assert_array_equal(alarms[0], alarms[1])  # their replicates are paired


def test_same_bytes_twice(world):
    kinds = ("json", "roc.csv", "histogram.csv", "png", "parquet", "bootstrap.npz")
    run()
    before = [(world / f"sim_a.{kind}").read_bytes() for kind in kinds]
    run()
    assert [(world / f"sim_a.{kind}").read_bytes() for kind in kinds] == before


def test_pictures_show_most_and_least_anomalous_faces(world, monkeypatch):
    sheets = []
    monkeypatch.setattr(
        evaluate,
        "contact_sheet",
        lambda rows, *_, **titles: sheets.append((rows, titles["row_titles"])),
    )
    run()
    (most, least), titles = sheets[0]
    order = np.argsort(scores("sim_a"))
    assert [picture[0, 0, 0] for picture in most] == list(
        order[::-1][:3]
    )  # red tells the face's number
    assert [picture[0, 0, 0] for picture in least] == list(order[:3])
    assert titles == ["most anomalous", "least anomalous"]


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


@pytest.mark.parametrize(
    "content", [{}, {**THRESHOLD, "rates": {}}, {**THRESHOLD, "paper_protocol": 3}, []]
)
def test_a_malformed_threshold_file_is_named(world, content):
    artifacts.write_json("threshold.json", content)
    with pytest.raises(PipelineError, match=r"threshold\.json: not the thresholds of calibrate"):
        run()


def test_malformed_calibration_scores_are_named(world):
    write_calibration(np.arange(3.0), np.ones(4))
    with pytest.raises(PipelineError, match=r"calibration\.npz: expected"):
        run()
    assert not (world / "sim_a.json").exists()
