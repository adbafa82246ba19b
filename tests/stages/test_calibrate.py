"""The stage end to end on a mixture and feature files made here."""

import json

import numpy as np
import pytest
from scipy import stats

from pipeline import artifacts, calibration
from pipeline.errors import PipelineError
from pipeline.mixture import Mixture
from pipeline.stages import calibrate

SIZES = {"fit": 200, "calibration": 199, "test": 400}


@pytest.fixture
def mixture(tmp_path, monkeypatch):
    """A standard normal in three dimensions, and three disjoint sets of faces drawn from it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("calibration: {false_alarm_rate: 0.05}\n")
    mixture = Mixture("spherical", np.zeros(3), np.ones(3), np.zeros((0, 3)), np.ones(1), np.zeros((1, 3)), np.ones(1))
    artifacts.write_npz("gmm.npz", **mixture.to_arrays())
    for seed, (name, n) in enumerate(SIZES.items(), start=10):
        write_faces(name, np.random.default_rng(seed).normal(size=(n, 3)))
    return mixture


def write_faces(name, features, prefix=None):
    names = np.array([f"{prefix or name}/{i:04d}.png" for i in range(len(features))])
    artifacts.write_npz(f"{name}.npz", names=names, features=features.astype(np.float32))


def run():
    sets = [part for name in SIZES for part in (f"--{name}", f"{name}.npz")]
    calibrate.main(["--gmm", "gmm.npz", *sets, "--threshold", "threshold.json", "--metrics", "calibration.json"])
    return [json.loads(open(name).read()) for name in ("threshold.json", "calibration.json")]


def scores(mixture, name):
    return mixture.anomaly_score(artifacts.read_npz(f"{name}.npz")["features"])


def test_threshold_file(mixture):
    threshold, _ = run()
    assert threshold["threshold"] == sorted(scores(mixture, "calibration"))[190 - 1]  # ceil(200 * 0.95) = 190
    assert (threshold["false_alarm_rate"], threshold["calibration_faces"]) == (0.05, 199)
    assert "score > threshold" in threshold["rule"]
    paper = threshold["paper_protocol"]
    assert paper["threshold"] == pytest.approx(-np.percentile(-scores(mixture, "fit"), 5))
    assert (paper["percentile"], paper["source"]) == (95, "fit features") and "higher than chosen" in paper["warning"]


def test_metrics_by_naive_counting_and_scipy(mixture, capsys):
    threshold, metrics = run()
    test = scores(mixture, "test")
    alarms = sum(score > threshold["threshold"] for score in test)
    got = metrics["test"]
    assert (got["test_faces"], got["false_alarms"], got["false_alarm_rate"]) == (400, alarms, alarms / 400)
    low, high = stats.binom(400, 0.05).interval(0.99)
    assert got["binomial_99"] == {"low": low / 400, "high": high / 400, "within": bool(low <= alarms <= high)}
    low, high = stats.betabinom(400, 10, 190).interval(0.99)
    assert (got["beta_binomial_99"]["low"], got["beta_binomial_99"]["high"]) == (low / 400, high / 400)
    interval = stats.binomtest(int(alarms), 400).proportion_ci(0.95)
    assert got["clopper_pearson_95"] == pytest.approx({"low": interval.low, "high": interval.high})
    law = stats.beta(10, 190).interval(0.95)
    assert (metrics["guarantee_95"]["low"], metrics["guarantee_95"]["high"]) == pytest.approx(law)
    assert metrics["chosen_false_alarm_rate"] == 0.05 and metrics["threshold"] == threshold["threshold"]
    paper_alarms = sum(score > threshold["paper_protocol"]["threshold"] for score in test)
    assert metrics["paper_protocol"]["false_alarm_rate"] == paper_alarms / 400
    assert "paper_protocol" in capsys.readouterr().out


def test_real_against_real(mixture):
    _, metrics = run()
    u = stats.mannwhitneyu(scores(mixture, "test"), scores(mixture, "calibration"))
    assert metrics["real_against_real_auc"] == pytest.approx(u.statistic / (199 * 400))
    assert metrics["real_against_real_auc_standard_error"] == pytest.approx(np.sqrt(600 / (12 * 199 * 400)))
    assert abs(metrics["real_against_real_auc"] - 0.5) < 4 * metrics["real_against_real_auc_standard_error"]


def test_other_test_photographs_are_noticed(mixture, capsys):
    write_faces("test", np.random.default_rng(9).normal(size=(400, 3)) * 2)
    _, metrics = run()
    assert not metrics["test"]["beta_binomial_99"]["within"] and not metrics["test"]["binomial_99"]["within"]
    assert metrics["real_against_real_auc"] > 0.7
    assert "warning: the false alarm rate on test photographs" in capsys.readouterr().out


def test_the_rate_is_a_parameter(mixture, tmp_path):
    (tmp_path / "params.yaml").write_text("calibration: {false_alarm_rate: 0.2}\n")
    threshold, metrics = run()
    assert threshold["threshold"] == calibration.conformal_threshold(scores(mixture, "calibration"), 0.2)
    assert threshold["paper_protocol"]["percentile"] == pytest.approx(80)
    assert metrics["test"]["false_alarm_rate"] == pytest.approx(0.2, abs=0.08)


def test_too_few_calibration_photographs(mixture):
    write_faces("calibration", np.ones((18, 3)))
    with pytest.raises(PipelineError, match="at least 19 calibration photographs, got 18"):
        run()


@pytest.mark.parametrize(("one", "other"), [("test", "calibration"), ("calibration", "fit")])
def test_a_face_in_two_sets_is_refused(mixture, one, other):
    write_faces(one, np.ones((100, 3)), prefix=other)
    with pytest.raises(PipelineError, match=rf"100 faces are both in {other}\.npz and in {one}\.npz"):
        run()


def test_features_of_another_encoder_are_refused(mixture):
    write_faces("test", np.ones((100, 5)))
    with pytest.raises(PipelineError, match="5 features, the mixture was fitted on 3"):
        run()


def test_a_missing_file_is_named(mixture, tmp_path):
    (tmp_path / "gmm.npz").unlink()
    with pytest.raises(PipelineError, match=r"gmm\.npz: no such file"):
        run()
