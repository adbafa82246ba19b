"""Oracles: sklearn.metrics and naive loops over pairs and faces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.base.errors import PipelineError
from pipeline.evaluation import measures as evaluation

TIED = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30).map(np.array)


def pooled(photographic, generated):
    return np.repeat([0, 1], [len(photographic), len(generated)]), np.concatenate(
        [photographic, generated]
    )


def normal(n, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, size=n)


@settings(deadline=None)
@given(TIED, TIED)
def test_auc_is_the_share_of_pairs_and_scikit_learns(photographic, generated):
    pairs = [(g > p) + 0.5 * (g == p) for p in photographic for g in generated]
    auc = evaluation.roc_auc(photographic, generated)
    assert auc == pytest.approx(sum(pairs) / len(pairs))
    assert auc == pytest.approx(metrics.roc_auc_score(*pooled(photographic, generated)))


@given(TIED, TIED)
def test_auc_follows_no_rising_map_and_mirrors(photographic, generated):
    auc = evaluation.roc_auc(photographic, generated)
    assert evaluation.roc_auc(np.exp(photographic), np.exp(generated)) == auc
    assert evaluation.roc_auc(generated, photographic) == pytest.approx(1 - auc)
    assert evaluation.roc_auc(-generated, -photographic) == pytest.approx(auc)


def test_auc_of_known_cases():
    assert evaluation.roc_auc(np.array([1.0, 2]), np.array([3.0, 4])) == 1
    assert evaluation.roc_auc(np.array([3.0, 4]), np.array([1.0, 2])) == 0
    assert evaluation.roc_auc(np.ones(7), np.ones(3)) == 0.5  # constant scores say nothing
    assert evaluation.roc_auc(normal(4000), normal(4000, 1, seed=1)) == pytest.approx(
        0.7602, abs=0.015
    )  # Phi(1 / sqrt 2)


@settings(deadline=None)
@given(TIED, TIED)
def test_average_precisions_name_their_positive_class(photographic, generated):
    labels, scores = pooled(photographic, generated)
    got = evaluation.measures(photographic, generated, {})
    assert got["ap_generated"] == pytest.approx(naive_average_precision(labels, scores))
    assert got["ap_photographic"] == pytest.approx(naive_average_precision(1 - labels, -scores))
    assert got["ap_generated"] == pytest.approx(metrics.average_precision_score(labels, scores))


def naive_average_precision(labels, scores):
    """Sum over thresholds of precision times the gain in recall."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = labels[scores >= threshold]
        total += taken.mean() * (taken.sum() / labels.sum() - recall)
        recall = taken.sum() / labels.sum()
    return total


@settings(deadline=None)
@given(TIED, TIED)
def test_measures_agree_with_the_auc_alone_and_do_not_follow_the_order(photographic, generated):
    got = evaluation.measures(photographic, generated, {"a": 0.5, "b": -1.0})
    assert got["auc"] == pytest.approx(evaluation.roc_auc(photographic, generated))
    assert evaluation.measures(
        photographic[::-1], generated[::-1], {"a": 0.5, "b": -1.0}
    ) == pytest.approx(got)


def test_constant_scores_say_nothing():
    got = evaluation.measures(np.ones(30), np.ones(10), {})
    assert got == {"auc": 0.5, "ap_generated": 0.25, "ap_photographic": 0.75, "eer": 0.5}


def test_equal_error_rates_counted_by_hand():
    def eer(photographic, generated):
        return evaluation.measures(np.array(photographic), np.array(generated), {})["eer"]

    assert eer([1.0, 2], [3.0, 4]) == 0
    assert eer([3.0, 4], [1.0, 2]) == 1
    assert eer([1.0, 2, 3, 5], [4.0, 6, 7, 8]) == 0.25  # above 4: one of four each
    assert eer([1.0, 2, 4], [3.0, 5]) == pytest.approx(
        1 / 3
    )  # the curve rises from 1/2 to 1 at a third false alarms
    assert eer([0.0, 1], [1.0, 2]) == pytest.approx(
        0.25
    )  # from (0, 1/2) straight to (1/2, 1): the tied scores are one step
    large = eer(normal(4000), normal(4000, 1, seed=1))
    assert large == pytest.approx(0.3085, abs=0.015)  # Phi(-1/2)


@given(TIED, TIED, st.sampled_from([-4.0, -1.0, 0.0, 0.5, 3.0]))
def test_rates_at_a_threshold_by_naive_counting(photographic, generated, threshold):
    labels, scores = pooled(photographic, generated)
    called = scores > threshold  # strictly: a score at the threshold is not flagged
    measured = evaluation.measures(photographic, generated, {"at": threshold, "other": 0.25})
    got = {
        name.removeprefix("at."): value
        for name, value in measured.items()
        if name.startswith("at.")
    }
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(labels, called))
    assert got["false_alarm_rate"] == pytest.approx(np.mean([s > threshold for s in photographic]))
    assert got["detection_rate"] == pytest.approx(np.mean([s > threshold for s in generated]))
    assert got["balanced_accuracy"] == pytest.approx(
        (1 - got["false_alarm_rate"] + got["detection_rate"]) / 2
    )


def test_one_face_of_a_class_can_be_evaluated():
    assert evaluation.roc_auc(np.array([1.0]), np.array([2.0])) == 1
    assert (
        evaluation.measures(np.array([1.0]), np.array([2.0]), {"at": 1.0})["at.detection_rate"] == 1
    )


@settings(deadline=None)
@given(TIED, TIED)
def test_a_curve_with_ties_is_scikit_learns(photographic, generated):
    expected = metrics.roc_curve(*pooled(photographic, generated))[:2]
    for got, want in zip(evaluation.roc_curve(photographic, generated), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_short_curve_is_scikit_learns():
    photographic, generated = normal(40), normal(30, 1, seed=1)
    expected = metrics.roc_curve(*pooled(photographic, generated))[:2]
    for got, want in zip(evaluation.roc_curve(photographic, generated), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("maximum", [500, 100])
def test_a_long_curve_keeps_ends_hull_and_area(maximum):
    photographic, generated = normal(5000), normal(5000, 1, seed=1)
    x, y = evaluation.roc_curve(photographic, generated, maximum)
    assert maximum * 0.9 < len(x) <= maximum
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    assert metrics.auc(x, y) == pytest.approx(
        evaluation.roc_auc(photographic, generated), abs=0.003
    )
    full_x, full_y = metrics.roc_curve(*pooled(photographic, generated), drop_intermediate=False)[
        :2
    ]
    for slope in np.tan(
        np.linspace(0.01, np.pi / 2 - 0.01, 60)
    ):  # touching lines of the hull: kept corners reach as far
        assert (y - slope * x).max() == pytest.approx((full_y - slope * full_x).max(), abs=1e-12)


def test_a_hull_longer_than_the_limit_is_thinned_too():
    x, y = evaluation.roc_curve(normal(5000), normal(5000, 1, seed=1), 5)
    assert len(x) <= 5 and (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


@settings(deadline=None)
@given(TIED, TIED, st.integers(2, 50))
def test_histogram_shares_add_up(photographic, generated, bins):
    columns = evaluation.histogram(photographic, generated, bins)
    assert {len(column) for column in columns.values()} == {bins}
    assert columns["photographic"].sum() == pytest.approx(1) and columns[
        "generated"
    ].sum() == pytest.approx(1)
    np.testing.assert_allclose(columns["low"][1:], columns["high"][:-1])


def test_histogram_by_naive_counting_with_extremes_in_the_end_bins():
    photographic, generated = np.append(normal(2000), -1e6), np.append(normal(2000, 1, seed=1), 1e6)
    columns = evaluation.histogram(photographic, generated, 10)
    assert columns["high"][-1] < 10 and columns["low"][0] > -10
    middle = slice(1, 9)
    naive = [
        np.mean([lo <= s < hi for s in generated])
        for lo, hi in zip(columns["low"], columns["high"], strict=True)
    ]
    np.testing.assert_allclose(columns["generated"][middle], naive[middle])
    assert columns["generated"][-1] == pytest.approx(np.mean(generated >= columns["low"][-1]))


@pytest.mark.parametrize(
    ("photographic", "generated", "message"),
    [
        ([], [1.0], "scores of photographic faces: no faces"),
        ([1.0], [], "scores of AI-generated faces: no faces"),
        ([1.0, np.nan], [1.0], "scores of photographic faces: 1 of 2 are NaN"),
        ([1.0], [np.inf], "scores of AI-generated faces: 1 of 1"),
    ],
)
def test_a_class_without_usable_scores_is_a_clear_error(photographic, generated, message):
    a, b = np.array(photographic), np.array(generated)
    for call in (
        lambda: evaluation.roc_auc(a, b),
        lambda: evaluation.measures(a, b, {}),
        lambda: evaluation.roc_curve(a, b),
        lambda: evaluation.histogram(a, b, 5),
    ):
        with pytest.raises(PipelineError, match=message):
            call()
