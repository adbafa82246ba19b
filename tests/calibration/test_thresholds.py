"""Oracles: scipy.stats' distributions, naive counting, and simulation of the promise itself."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import (
    binomial_interval,
    conformal_rank,
    conformal_threshold,
    p_values,
    paper_protocol_threshold,
    rate_key,
    verdicts,
)

RATES = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.9])


def scores(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize(
    ("rate", "percent"), [(0.05, "5"), (0.001, "0_1"), (0.1, "10"), (1e-5, "0_001"), (0.07, "7")]
)
def test_names_of_rates(rate, percent):
    assert rate_key(rate) == f"at_{percent}_percent"


@given(st.floats(1e-9, 1, exclude_max=True))
def test_a_rates_name_says_the_very_rate(rate):
    percent = rate_key(rate).removeprefix("at_").removesuffix("_percent").replace("_", ".")
    assert Fraction(percent) == 100 * Fraction(repr(rate)) and "e" not in percent


@given(st.integers(1, 3000), RATES)
def test_rank_is_the_smallest_that_keeps_the_promise(n, rate):
    """The chance that a new score is above the rank-th of n is (n + 1 - rank) / (n + 1)."""
    chosen = Fraction(repr(rate))
    ranks = [rank for rank in range(1, n + 1) if Fraction(n + 1 - rank, n + 1) <= chosen]
    if ranks:
        assert conformal_rank(n, rate) == ranks[0]
    else:
        needed = next(m for m in range(n, 1000) if Fraction(1, m + 1) <= chosen)
        with pytest.raises(PipelineError, match=f"{needed} calibration photographs, got {n}: add"):
            conformal_rank(n, rate)


@given(st.integers(19, 400), st.integers(0, 99))
def test_threshold_is_the_score_of_the_rank_in_any_order_and_after_a_rising_map(n, seed):
    s = scores(n, seed)
    threshold = conformal_threshold(s, 0.05)
    assert threshold == sorted(s)[conformal_rank(n, 0.05) - 1]
    assert conformal_threshold(s[::-1], 0.05) == threshold
    assert conformal_threshold(np.exp(s), 0.05) == np.exp(threshold)


@given(st.integers(1, 500), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_clopper_pearson_is_scipys_exact_interval(n, data, confidence):
    k = data.draw(st.integers(0, n))
    exact = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    assert binomial_interval(k, n, confidence) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(PipelineError, match=f"got {k} of {n}"):
        binomial_interval(k, n, 0.95)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.integers(-1, 10), min_size=1, max_size=20),
)
def test_p_values_by_naive_counting(own, new):
    naive = [(1 + sum(c >= s for c in own)) / (len(own) + 1) for s in new]
    np.testing.assert_allclose(p_values(np.array(new), np.array(own)), naive)


@given(st.integers(99, 300), st.integers(0, 50))
def test_thresholds_and_verdicts_follow_from_the_p_value(n, seed):
    s, new = scores(n, seed), np.r_[scores(200, seed + 1000), scores(n, seed)]
    review, flag = conformal_threshold(s, 0.05), conformal_threshold(s, 0.01)
    p = p_values(new, s)
    np.testing.assert_array_equal(new > review, p <= 0.05 + 1e-12)
    naive = np.where(p <= 0.01 + 1e-12, "flag", np.where(p <= 0.05 + 1e-12, "review", "pass"))
    np.testing.assert_array_equal(verdicts(new, review, flag), naive)


def test_a_face_on_a_threshold_is_not_above_it():
    expected = ["pass", "review", "review", "flag"]
    assert verdicts(np.array([1.0, 1.5, 2.0, 2.1]), 1.0, 2.0).tolist() == expected
    assert verdicts(np.array([1.0, 1.1]), 1.0, 1.0).tolist() == ["pass", "flag"]


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_paper_protocol_is_the_percentile_of_the_fitted_likelihood(rate):
    s = scores(333)
    threshold = paper_protocol_threshold(s, rate)
    assert threshold == pytest.approx(-np.percentile(-s, 100 * rate))
    np.testing.assert_array_equal(s > threshold, -s < np.percentile(-s, 100 * rate))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "no faces"),
        ([[1.0]], "no faces"),
        ([1, np.nan], "1 of 2 are NaN"),
        ([np.inf], "1 of 1"),
    ],
)
def test_bad_scores_are_refused_by_name(bad, message):
    for call in (
        lambda: conformal_threshold(np.array(bad), 0.5),
        lambda: paper_protocol_threshold(np.array(bad), 0.5),
        lambda: p_values(np.array(bad), np.ones(3)),
        lambda: p_values(np.ones(3), np.array(bad)),
    ):
        with pytest.raises(PipelineError, match=message):
            call()
