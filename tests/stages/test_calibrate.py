"""The stage end to end on a mixture and feature files made here."""

import csv
import hashlib
import json

import numpy as np
import pytest
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration import sizes as calibration_size
from pipeline.calibration import thresholds as calibration
from pipeline.common import artifacts
from pipeline.density.mixture import Mixture
from pipeline.stages import calibrate

SIZES = {"fit": 200, "calibration": 199, "test": 400}
PARAMS = """
seed: 3
data: {root: data, person_pattern: '^([^_]+)_'}
calibration: {false_alarm_rates: %s, review_rate: %s, flag_rate: %s, curve_draws: 20}
"""


@pytest.fixture
def mixture(tmp_path, monkeypatch):
    """A standard normal in three dimensions, and three disjoint sets of faces drawn from it, two of
    each person.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS % ([0.01, 0.05], 0.05, 0.01))
    mixture = Mixture(
        "spherical",
        np.zeros(3),
        np.ones(3),
        np.zeros((0, 3)),
        np.ones(1),
        np.zeros((1, 3)),
        np.ones(1),
    )
    artifacts.write_npz("gmm.npz", **mixture.to_arrays())
    for seed, (name, n) in enumerate(SIZES.items(), start=10):
        write_faces(name, np.random.default_rng(seed).normal(size=(n, 3)))
    return mixture


def write_faces(name, features, prefix=None, digests=None, names=None):
    if names is None:
        names = np.array(
            [f"{prefix or name}/{i // 2:04d}_{i % 2}.png" for i in range(len(features))]
        )
    artifacts.write_npz(
        f"{name}.npz",
        names=names,
        features=features.astype(np.float32),
        heads=heads(len(features)),
        source_sha256=np.array([hashlib.sha256(n.encode()).hexdigest() for n in names])
        if digests is None
        else digests,
    )


def heads(n):
    return np.random.default_rng(n).normal(size=(n, 5)).astype(np.float32)


def run():
    sets = [part for name in SIZES for part in (f"--{name}", f"{name}.npz")]
    out = [
        "--threshold",
        "threshold.json",
        "--calibration-scores",
        "scores.npz",
        "--metrics",
        "calibration.json",
    ]
    calibrate.main(["--gmm", "gmm.npz", *sets, *out, "--sizes", "sizes.csv"])
    return [json.loads(open(name).read()) for name in ("threshold.json", "calibration.json")]


def scores(mixture, name):
    return mixture.anomaly_score(artifacts.read_npz(f"{name}.npz")["features"])


def test_threshold_file(mixture):
    threshold, _ = run()
    ordered = sorted(scores(mixture, "calibration"))
    assert threshold["rates"] == {
        "at_1_percent": {
            "false_alarm_rate": 0.01,
            "threshold": ordered[198 - 1],
        },  # ceil(200 * 0.99)
        "at_5_percent": {
            "false_alarm_rate": 0.05,
            "threshold": ordered[190 - 1],
        },  # ceil(200 * 0.95)
    }
    assert (threshold["review"], threshold["flag"], threshold["calibration_faces"]) == (
        "at_5_percent",
        "at_1_percent",
        199,
    )
    assert "score > threshold" in threshold["rule"]
    paper = threshold["paper_protocol"]
    assert paper["threshold"] == pytest.approx(-np.percentile(-scores(mixture, "fit"), 5))
    assert (paper["percentile"], paper["source"]) == (
        95,
        "fit features",
    ) and "higher than chosen" in paper["warning"]


def test_calibration_scores_file(mixture):
    run()
    arrays = artifacts.read_npz("scores.npz")
    assert (
        arrays["scores"].tolist() == sorted(scores(mixture, "calibration"))
        and arrays["scores"].dtype == np.float64
    )
    np.testing.assert_allclose(arrays["head_means"], heads(199).mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(
        arrays["head_deviations"], heads(199).std(axis=0, ddof=1, dtype=np.float64)
    )


def test_metrics_by_naive_counting_and_scipy(mixture, capsys):
    threshold, metrics = run()
    assert (metrics["calibration_faces"], metrics["calibration_people"], metrics["test_faces"]) == (
        199,
        100,
        400,
    )
    assert (metrics["review"], metrics["flag"]) == ("at_5_percent", "at_1_percent")
    test = scores(mixture, "test")
    for key, rate, above in (("at_1_percent", 0.01, 2), ("at_5_percent", 0.05, 10)):
        got = metrics["rates"][key]
        alarms = sum(score > threshold["rates"][key]["threshold"] for score in test)
        assert (got["chosen"], got["threshold"]) == (rate, threshold["rates"][key]["threshold"])
        assert (got["false_alarms"], got["false_alarm_rate"]) == (alarms, alarms / 400)
        interval = stats.binomtest(int(alarms), 400).proportion_ci(0.95)
        assert got["exact_95"] == pytest.approx({"low": interval.low, "high": interval.high})
        low, high = stats.betabinom(400, above, 200 - above).interval(0.99)
        assert got["beta_binomial_99"] == {
            "low": low / 400,
            "high": high / 400,
            "within": bool(low <= alarms <= high),
        }
        law = stats.beta(above, 200 - above).interval(0.95)
        assert (got["guarantee_95"]["low"], got["guarantee_95"]["high"]) == pytest.approx(law)
        assert got["verdict"] == "holds" and got[
            "photographs_needed"
        ] == calibration_size.photographs_needed(rate, 0.5)
    paper_alarms = sum(score > threshold["paper_protocol"]["threshold"] for score in test)
    assert metrics["paper_protocol"]["false_alarm_rate"] == paper_alarms / 400
    shown = capsys.readouterr().out
    assert "paper_protocol" in shown and "warning" not in shown and shown.count(" holds\n") == 2
    assert max(len(line) for line in shown.splitlines() if not line.startswith("note: ")) <= 80


def test_the_curve_of_sizes_is_by_person(mixture):
    run()
    with open("sizes.csv") as file:
        rows = list(csv.DictReader(file))
    people = np.array([f"{i // 2:04d}" for i in range(199)])
    expected = calibration_size.size_curve(
        scores(mixture, "calibration"),
        people,
        scores(mixture, "test"),
        [0.01, 0.05],
        draws=20,
        seed=3,
    )
    assert list(rows[0]) == list(expected) and len(rows) == len(expected["faces"])
    for name, values in expected.items():
        assert [float(row[name]) if row[name] else None for row in rows] == [
            v if v is None else pytest.approx(v) for v in values
        ]


def test_same_bytes_twice(mixture, tmp_path):
    files = ("threshold.json", "scores.npz", "calibration.json", "sizes.csv")
    run()
    before = [(tmp_path / name).read_bytes() for name in files]
    run()
    assert [(tmp_path / name).read_bytes() for name in files] == before


def test_real_against_real(mixture):
    _, metrics = run()
    u = stats.mannwhitneyu(scores(mixture, "test"), scores(mixture, "calibration"))
    assert metrics["real_against_real_auc"] == pytest.approx(u.statistic / (199 * 400))
    assert metrics["real_against_real_auc_standard_error"] == pytest.approx(
        np.sqrt(301 / (12 * 100 * 200))
    )
    assert (metrics["calibration_people"], metrics["test_people"]) == (
        100,
        200,
    )  # two photographs of each but one
    assert metrics["test_people_known"] == 100  # the sets number their persons alike, from 0 on
    assert (
        abs(metrics["real_against_real_auc"] - 0.5)
        < 4 * metrics["real_against_real_auc_standard_error"]
    )


def test_other_test_photographs_are_noticed(mixture, capsys):
    write_faces("test", np.random.default_rng(9).normal(size=(400, 3)) * 2)
    _, metrics = run()
    at = metrics["rates"]["at_5_percent"]
    assert at["verdict"] == "does not hold" and not at["beta_binomial_99"]["within"]
    assert metrics["real_against_real_auc"] > 0.7
    assert (
        "warning: false alarm rate 0.05: does not hold (other photographs): "
        in capsys.readouterr().out
    )


def test_the_standard_error_of_real_against_real_is_that_of_alike_photographs_of_a_person(
    mixture, capsys
):
    """Five equal photographs of each person: scores of both sets from the same normal, over and
    over.
    """
    spread = []
    for seed in range(60):
        for name, people in (("calibration", 20), ("test", 30)):
            who = np.random.default_rng([seed, people]).normal(size=(people, 3))
            names = [f"{name}/{person:03d}_{i}.png" for person in range(people) for i in range(5)]
            write_faces(name, np.repeat(who, 5, axis=0), names=np.array(names))
        _, metrics = run()
        spread.append(metrics["real_against_real_auc"])
    assert metrics["real_against_real_auc_standard_error"] == pytest.approx(
        np.std(spread), rel=0.25
    )


def test_qualifiers_are_shown(mixture, capsys):
    write_faces("test", np.random.default_rng(9).normal(size=(30, 3)))
    _, metrics = run()
    assert [metrics["rates"][key]["verdict"] for key in ("at_1_percent", "at_5_percent")] == [
        "too few test photographs"
    ] * 2
    shown = capsys.readouterr().out
    assert "warning: false alarm rate 0.01: too few test photographs: " in shown
    write_faces("test", np.zeros((400, 3)))
    run()
    assert (
        "note: false alarm rate 0.05: holds (more cautious than chosen): "
        in capsys.readouterr().out
    )


def test_the_rates_are_parameters(mixture, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS % ([0.1, 0.2, 0.25], 0.2, 0.2))
    threshold, metrics = run()
    assert (
        set(threshold["rates"])
        == set(metrics["rates"])
        == {"at_10_percent", "at_20_percent", "at_25_percent"}
    )
    expected = calibration.conformal_threshold(scores(mixture, "calibration"), 0.2)
    assert threshold["rates"]["at_20_percent"]["threshold"] == expected
    assert threshold["paper_protocol"]["percentile"] == pytest.approx(80)
    assert metrics["rates"]["at_20_percent"]["false_alarm_rate"] == pytest.approx(0.2, abs=0.08)


def test_too_few_calibration_photographs_write_nothing(mixture, tmp_path):
    write_faces("calibration", np.ones((98, 3)))
    with pytest.raises(PipelineError, match="at least 99 calibration photographs, got 98"):
        run()
    assert not (tmp_path / "threshold.json").exists()


@pytest.mark.parametrize(("one", "other"), [("test", "calibration"), ("calibration", "fit")])
def test_a_face_in_two_sets_is_refused(mixture, one, other):
    write_faces(one, np.ones((100, 3)), prefix=other)
    with pytest.raises(
        PipelineError,
        match=rf"100 faces are both in {other}\.npz and in {one}\.npz .first: {other}/0000_0\.png",
    ):
        run()


@pytest.mark.parametrize("digests", [None, "others"])
def test_one_name_in_two_sets_is_refused_whatever_the_picture(mixture, digests):
    write_faces(
        "test", np.ones((2, 3)), prefix="fit", digests=digests and np.array(["a" * 64, "b" * 64])
    )
    with pytest.raises(PipelineError, match=r"2 faces are both in fit\.npz and in test\.npz"):
        run()


def test_one_picture_under_two_names_is_refused(mixture):
    seen = artifacts.read_npz("fit.npz")["source_sha256"]
    write_faces("test", np.ones((3, 3)), digests=np.array(["a" * 64, seen[7], "b" * 64]))
    with pytest.raises(
        PipelineError,
        match=r"1 faces are both .*fit/0003_1\.png and test/0000_1\.png are the same picture",
    ):
        run()


def test_features_of_another_encoder_are_refused(mixture):
    write_faces("test", np.ones((100, 5)))
    with pytest.raises(PipelineError, match="5 features, the mixture was fitted on 3"):
        run()


def test_a_missing_file_is_named(mixture, tmp_path):
    (tmp_path / "gmm.npz").unlink()
    with pytest.raises(PipelineError, match=r"gmm\.npz: no such file"):
        run()
