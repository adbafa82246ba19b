"""Oracles: sklearn.metrics and naive loops over pairs and faces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.base.errors import PipelineError
from pipeline.evaluation import measures

TIED = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30).map(np.array)


def pooled(photographic, generated):
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    return labels, np.concatenate([photographic, generated])


def normal(n, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, size=n)


@given(TIED, TIED)
def test_auc_is_the_share_of_pairs_and_mirrors(photographic, generated):
    pairs = [(g > p) + 0.5 * (g == p) for p in photographic for g in generated]
    auc = measures.roc_auc(photographic, generated)
    assert auc == pytest.approx(sum(pairs) / len(pairs))
    assert measures.roc_auc(np.exp(photographic), np.exp(generated)) == auc
    assert measures.roc_auc(generated, photographic) == pytest.approx(1 - auc)


@settings(deadline=None)
@given(TIED, TIED)
def test_a_short_curve_is_scikit_learns(photographic, generated):
    fpr, tpr, _ = metrics.roc_curve(*pooled(photographic, generated))
    got = measures.roc_curve(photographic, generated)
    np.testing.assert_array_equal(got["fpr"], fpr)
    np.testing.assert_array_equal(got["tpr"], tpr)


def test_a_long_curve_has_500_points_with_both_ends_and_the_same_area():
    photographic, generated = normal(5000), normal(5000, 1, seed=1)
    curve = measures.roc_curve(photographic, generated)
    x, y = curve["fpr"], curve["tpr"]
    assert len(x) == 500 < len(metrics.roc_curve(*pooled(photographic, generated))[0])
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    auc = measures.roc_auc(photographic, generated)
    assert metrics.auc(x, y) == pytest.approx(auc, abs=0.003)


@settings(deadline=None)
@given(TIED, TIED, st.integers(2, 50))
def test_histogram_shares_add_up(photographic, generated, bins):
    columns = measures.histogram(photographic, generated, bins)
    assert list(columns) == ["low", "high", "photographic", "generated"]
    assert {len(column) for column in columns.values()} == {bins}
    for label in ("photographic", "generated"):
        assert columns[label].sum() == pytest.approx(1)
    np.testing.assert_allclose(columns["low"][1:], columns["high"][:-1])


def test_histogram_by_naive_counting_with_extremes_in_the_end_bins():
    photographic, generated = np.append(normal(2000), -1e6), np.append(normal(2000, 1, seed=1), 1e6)
    columns = measures.histogram(photographic, generated, 10)
    assert columns["high"][-1] < 10 and columns["low"][0] > -10
    ends = zip(columns["low"], columns["high"], strict=True)
    naive = [np.mean([low <= score < high for score in generated]) for low, high in ends]
    np.testing.assert_allclose(columns["generated"][1:9], naive[1:9])
    assert columns["generated"][-1] == pytest.approx(np.mean(generated >= columns["low"][-1]))


def test_a_histogram_needs_finite_scores():
    with pytest.raises(PipelineError, match="scores of AI-generated faces: 1 of 1 are NaN"):
        measures.histogram(np.ones(2), np.array([np.nan]), 5)
