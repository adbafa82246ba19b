"""Oracle: percentiles and binomial intervals written out."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation import bootstrap, generator
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.ranking import RATES, Ranking

THRESHOLDS = {"at_5_percent": 1.6, "paper_protocol": 1.0}
WITHOUT_THRESHOLD = ("auc", "ap_generated", "ap_photographic", "eer")
NAMES = (*WITHOUT_THRESHOLD, *(f"at_5_percent.{rate}" for rate in RATES))
COUNTS = {"photographic_faces": 60, "photographic_groups": 30}
COUNTS |= {"generated_faces": 5, "generated_groups": 5}


def sample(n, shift=0.0, per_group=1):
    scores = np.random.default_rng(n).normal(shift, 1, n)
    return Sample(scores, np.array([f"{i // per_group}" for i in range(n)]))


def test_figures_are_measures_with_percentiles_of_their_replicates():
    photographs, faces = sample(80, per_group=2), sample(30, 1)
    got = generator.figures(photographs, faces, THRESHOLDS, resamples=100, seed=1)
    values = Ranking(photographs.scores, faces.scores).measures(THRESHOLDS)
    drawn, _ = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=100, seed=1)
    assert set(got.estimates) == set(values) == set(got.replicates)
    for name, estimate in got.estimates.items():
        low, high = np.quantile(drawn[name], [0.025, 0.975])
        assert estimate == pytest.approx({"value": values[name], "low": low, "high": high})
    assert (got.not_computed, got.cautions) == ({}, [])
    content = got.content()
    assert (content["photographic_faces"], content["photographic_groups"]) == (80, 40)
    assert (content["generated_faces"], content["generated_groups"]) == (30, 30)
    for part, end in (("values", "value"), ("low", "low"), ("high", "high")):
        assert content[part]["auc"] == got.estimates["auc"][end]
        for rate in RATES:
            expected = got.estimates[f"at_5_percent.{rate}"][end]
            assert content[part]["at_5_percent"][rate] == expected


def test_constant_scores_are_stated():
    photographs, faces = (Sample(np.zeros(n), np.arange(n).astype(str)) for n in (80, 30))
    got = generator.figures(photographs, faces, THRESHOLDS, resamples=100, seed=1)
    assert got.estimates["auc"] == {"value": 0.5, "low": None, "high": None}
    assert "the same anomaly score" in got.not_computed["ranking"]


def test_intervals_are_percentiles_where_resamples_differ_and_none_without_replicates():
    rng = np.random.default_rng(3)
    drawn = {name: rng.normal(size=50) for name in NAMES}
    values = dict.fromkeys([*NAMES, "without"], 0.5)
    got, reasons = generator.with_intervals(values, drawn, COUNTS)
    assert got.pop("without") == {"value": 0.5, "low": None, "high": None} and reasons == {}
    for name, estimate in got.items():
        ends = tuple(np.quantile(drawn[name], [0.025, 0.975]))
        assert (estimate["low"], estimate["high"]) == pytest.approx(ends)


def exact(k, n):
    interval = binomtest(k, n).proportion_ci(0.95)
    return interval.low, interval.high


def ends_of(estimates, rate):
    return estimates[f"at_5_percent.{rate}"]["low"], estimates[f"at_5_percent.{rate}"]["high"]


@pytest.mark.parametrize(("alarms", "detections"), [(0, 1), (1, 0), (0, 0), (0.5, 0.2)])
def test_where_all_resamples_agree_rates_are_exact_by_group_and_accuracies_made_of_them(
    alarms, detections
):
    values = dict.fromkeys(NAMES, 0.5)
    values |= {"at_5_percent.false_alarm_rate": alarms, "at_5_percent.detection_rate": detections}
    drawn = {name: np.full(50, value) for name, value in values.items()}
    got, reasons = generator.with_intervals(values, drawn, COUNTS)
    fewest, most = exact(int(30 * alarms), 30)
    least, best = exact(int(5 * detections), 5)
    assert ends_of(got, "false_alarm_rate") == pytest.approx((fewest, most))
    assert ends_of(got, "detection_rate") == pytest.approx((least, best))
    accuracies = (60 * (1 - most) + 5 * least) / 65, (60 * (1 - fewest) + 5 * best) / 65
    assert ends_of(got, "accuracy") == pytest.approx(accuracies)
    balanced = (1 - most + least) / 2, (1 - fewest + best) / 2
    assert ends_of(got, "balanced_accuracy") == pytest.approx(balanced)
    for name in WITHOUT_THRESHOLD:
        assert got[name] == {"value": 0.5, "low": None, "high": None}
        assert "all resamples give 0.5" in reasons[f"interval of {name}"]


@pytest.mark.parametrize("auc", [0, 1])
def test_the_auc_of_separated_classes_has_the_interval_of_the_smaller_ones_groups(auc):
    got, reasons = generator.with_intervals({"auc": auc}, {"auc": np.full(50, auc)}, COUNTS)
    assert (got["auc"]["low"], got["auc"]["high"]) == pytest.approx(exact(5 * auc, 5))
    assert not reasons


def test_an_accuracy_is_as_unsure_as_the_rate_whose_resamples_agree():
    rng = np.random.default_rng(4)
    drawn = {f"at_5_percent.{rate}": rng.normal(size=50) for rate in RATES}
    drawn["at_5_percent.detection_rate"] = np.zeros(50)
    got, _ = generator.with_intervals(dict.fromkeys(drawn, 0.0), drawn, COUNTS)
    low, high = np.quantile(drawn["at_5_percent.false_alarm_rate"], [0.025, 0.975])
    expected = (1 - high) / 2, (1 - low + exact(0, 5)[1]) / 2
    assert ends_of(got, "balanced_accuracy") == pytest.approx(expected)
    name = "at_5_percent.detection_rate"  # photographs of one person: no other interval
    alone, _ = generator.with_intervals({name: 0.0}, {name: np.zeros(50)}, COUNTS)
    assert ends_of(alone, "detection_rate") == pytest.approx(exact(0, 5))
