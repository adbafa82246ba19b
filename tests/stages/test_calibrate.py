"""The stage end to end on a mixture and feature files made here."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration.rates import CONSISTENT, EXCEEDS, TOO_FEW, Size, check
from pipeline.calibration.sizes import size_curve
from pipeline.common import artifacts
from pipeline.density.density import Density
from pipeline.face_sets import feature_sets
from pipeline.stages import calibrate
from tests.small_features import normal, write_set

SIZES = {"fit": 200, "calibration": 199, "test": 400}
PARAMS = """
seed: 3
features: {batch_size: 4, device: cpu, precision: float32}
calibration: {false_alarm_rates: %s, review_rate: %s, flag_rate: %s, sides: upper, histories: %s}
"""


def params(rates, review, flag, histories="[none]"):
    return PARAMS % (rates, review, flag, histories)


FILES = ("threshold.json", "scores.npz", "out/calibration.json", "out/sizes.csv")


def write_faces(name, features, **columns):
    write_set(Path(f"{name}.npz"), np.asarray(features), **columns)


@pytest.fixture
def mixture(tmp_path, monkeypatch):
    """A standard normal in three dimensions, and three disjoint sets of faces drawn from it, two of
    each person.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params([0.01, 0.05], 0.05, 0.01))
    mixture = normal(3)
    artifacts.write_npz("gmm.npz", **Density({"features": mixture}).to_arrays())
    for seed, (name, n) in enumerate(SIZES.items(), start=10):
        write_faces(name, np.random.default_rng(seed).normal(size=(n, 3)))
    return mixture


def run():
    sets = " ".join(f"--{name} {name}.npz" for name in SIZES)
    calibrate.main(
        f"--gmm gmm.npz {sets} --threshold threshold.json --scores scores.npz --output out".split()
    )
    return [json.loads(open(name).read()) for name in ("threshold.json", "out/calibration.json")]


def scores(mixture, name):
    return mixture.anomaly_score(artifacts.read_npz(f"{name}.npz")["features"])


def test_threshold_file(mixture):
    threshold, _ = run()
    ordered = sorted(scores(mixture, "calibration"))
    assert threshold["rates"] == {  # ceil(200 * 0.99) and ceil(200 * 0.95)
        "at_1_percent": {"false_alarm_rate": 0.01, "threshold": ordered[198 - 1]},
        "at_5_percent": {"false_alarm_rate": 0.05, "threshold": ordered[190 - 1]},
    }
    assert (threshold["review"], threshold["flag"]) == ("at_5_percent", "at_1_percent")
    paper = threshold["paper_protocol"]["threshold"]
    assert paper == pytest.approx(-np.percentile(-scores(mixture, "fit"), 5))
    assert set(threshold) == {"rates", "review", "flag", "paper_protocol", "precision"}, "all read"


def test_calibration_scores_file(mixture):
    run()
    arrays, heads = artifacts.read_npz("scores.npz"), artifacts.read_npz("calibration.npz")["heads"]
    assert arrays["scores"].tolist() == [sorted(scores(mixture, "calibration"))]
    assert arrays["scores"].dtype == np.float64
    heads = heads.astype(np.float64)
    np.testing.assert_allclose(arrays["head_means"], heads.mean(axis=0))
    np.testing.assert_allclose(arrays["head_deviations"], heads.std(axis=0, ddof=1))


def test_checks_count_photographs_and_persons(mixture, capsys):
    threshold, checks = run()
    assert (checks["calibration_faces"], checks["calibration_people"]) == (199, 100)
    assert (checks["test_faces"], checks["test_people"], checks["test_people_known"]) == (
        400,
        200,
        0,
    )
    assert (checks["review"], checks["flag"]) == ("at_5_percent", "at_1_percent")
    test = scores(mixture, "test")
    for key, at in threshold["rates"].items():
        got = checks["rates"][key]
        alarms = sum(score > at["threshold"] for score in test)
        assert (got["false_alarms"], got["verdict"]) == (alarms, CONSISTENT)
        expected = check(test, **at, persons=200, calibration=Size(199, 100))
        assert got == {**expected, "too_typical": 0}
    alarms = sum(score > threshold["paper_protocol"]["threshold"] for score in test)
    assert checks["paper_protocol"]["false_alarm_rate"] == alarms / 400
    shown = capsys.readouterr().out
    assert "authors' threshold" in shown and "warning" not in shown
    assert shown.count(f" {CONSISTENT}\n") == 2 and max(map(len, shown.splitlines())) <= 80


def test_too_typical_photographs_are_false_alarms_of_both_sides(mixture):
    """Test photographs nearer to the middle than those of the law and of the calibration."""
    law = {"features": np.array([1.0, 0.8])}  # of log squared distances, about those here
    artifacts.write_npz("gmm.npz", **Density({"features": mixture}, law, "both").to_arrays())
    near = np.r_[np.full((30, 3), 1e-4), np.full((50, 3), 30.0), np.ones((320, 3))]
    write_faces("test", near)
    _, checks = run()
    assert checks["sides"] == "both"
    for at in checks["rates"].values():
        assert (at["false_alarms"], at["too_typical"]) == (80, 30)


def test_persons_of_the_other_sets_among_the_test_photographs_are_counted(mixture):
    persons = [artifacts.read_npz(f"{name}.npz")["persons"][:40] for name in ("fit", "calibration")]
    own = np.array([f"test {i}" for i in range(320)])
    write_faces(
        "test", np.random.default_rng(1).normal(size=(400, 3)), persons=np.r_[*persons, own]
    )
    assert run()[1]["test_people_known"] == 40


SPREADS = {"jpeg_75": 2.0, "blur_1": 0.5}  # of features with a history, exact in float32


def with_histories(name, plain):
    """Write a set with features as they are and, wider or narrower, with histories."""
    write_faces(name, plain)
    path = Path(f"{name}.npz")
    faces = feature_sets.read(path, name)
    others = {h: replace(faces, features=scale * faces.features) for h, scale in SPREADS.items()}
    feature_sets.write(path, faces, others)


def test_with_histories_the_largest_threshold_counts_and_each_is_checked(mixture, tmp_path, capsys):
    rates = params([0.01, 0.05], 0.05, 0.01, "[none, jpeg_75, blur_1]")
    (tmp_path / "params.yaml").write_text(rates)
    plain = {
        name: artifacts.read_npz(f"{name}.npz")["features"] for name in ("calibration", "test")
    }
    for name, features in plain.items():
        with_histories(name, features)
    threshold, checks = run()
    own = {
        history: sorted(mixture.anomaly_score(scale * plain["calibration"]))
        for history, scale in {"none": 1.0, **SPREADS}.items()
    }
    np.testing.assert_allclose(artifacts.read_npz("scores.npz")["scores"], list(own.values()))
    value = pytest.approx(own["jpeg_75"][190 - 1])
    assert threshold["rates"]["at_5_percent"]["threshold"] == value
    assert set(checks["histories"]) == set(own)
    for history, rates in checks["histories"].items():
        at, scale = rates["at_5_percent"], {"none": 1.0, **SPREADS}[history]
        alarms = mixture.anomaly_score(scale * plain["test"]) > own["jpeg_75"][190 - 1]
        assert (at["threshold"], at["false_alarms"]) == (value, alarms.sum())
        assert at["own_threshold"] == pytest.approx(own[history][190 - 1])
        of_persons = alarms.mean() * 200  # the trials; SciPy's beta is the exact interval's law
        low, high = at["exact_95"]["low"], at["exact_95"]["high"]
        expected = stats.beta(of_persons, 201 - of_persons).ppf(0.025) if of_persons else 0
        assert low == pytest.approx(expected)
        assert high == pytest.approx(stats.beta(of_persons + 1, 200 - of_persons).ppf(0.975))
    assert checks["rates"]["at_5_percent"]["threshold"] == value
    shown = capsys.readouterr().out
    assert "with each history" in shown and max(map(len, shown.splitlines())) <= 80


def test_features_without_a_history_are_refused(mixture, tmp_path):
    (tmp_path / "params.yaml").write_text(params([0.05], 0.05, 0.05, "[none, jpeg_75]"))
    with pytest.raises(PipelineError, match=r"calibration\.npz: no features of jpeg_75"):
        run()


def test_the_curve_of_sizes_is_by_person(mixture):
    run()
    with open("out/sizes.csv") as file:
        rows = list(csv.DictReader(file))
    persons = artifacts.read_npz("calibration.npz")["persons"]
    own, test = scores(mixture, "calibration"), scores(mixture, "test")
    expected = size_curve(own, persons, test, [0.01, 0.05], seed=3)
    assert list(rows[0]) == list(expected) and len(rows) == len(expected["faces"])
    for name, values in expected.items():
        got = [float(row[name]) if row[name] else None for row in rows]
        assert got == [v if v is None else pytest.approx(v) for v in values]


def test_same_bytes_twice(mixture, tmp_path):
    run()
    before = [(tmp_path / name).read_bytes() for name in FILES]
    run()
    assert [(tmp_path / name).read_bytes() for name in FILES] == before


def test_real_against_real(mixture):
    _, checks = run()
    u = stats.mannwhitneyu(scores(mixture, "test"), scores(mixture, "calibration"))
    assert checks["real_against_real_auc"] == pytest.approx(u.statistic / (199 * 400))
    error = checks["real_against_real_auc_standard_error"]
    assert error == pytest.approx(np.sqrt(301 / (12 * 100 * 200)))


@pytest.mark.parametrize(
    ("test", "verdict", "words"),
    [
        (
            2 * np.random.default_rng(9).normal(size=(400, 3)),
            EXCEEDS,
            "the test photographs differ",
        ),
        (np.random.default_rng(9).normal(size=(30, 3)), TOO_FEW, "test on at least 36"),
        (np.zeros((400, 3)), CONSISTENT, "more cautious than chosen"),
    ],
)
def test_what_to_know_of_a_rate_is_shown(mixture, capsys, test, verdict, words):
    write_faces("test", test)
    _, checks = run()
    assert checks["rates"]["at_5_percent"]["verdict"] == verdict
    shown = " ".join(capsys.readouterr().out.split())
    kind = "note" if verdict == CONSISTENT else "warning"
    start = shown.index(f"{kind}: false alarm rate 0.05 {verdict}: ")
    assert words in shown[start:]


def test_too_few_calibration_photographs_write_nothing(mixture, tmp_path):
    write_faces("calibration", np.ones((98, 3)))
    with pytest.raises(PipelineError, match="at least 99 calibration photographs, got 98"):
        run()
    assert not any((tmp_path / name).exists() for name in FILES)
