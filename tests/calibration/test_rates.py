"""Promised and achieved rates: scipy.stats, naive counting, and simulation with alike persons."""

import re
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration import rates
from pipeline.calibration.rates import CONSISTENT, EXCEEDS, TOO_FEW, Size, guarantee
from pipeline.calibration.thresholds import binomial_interval, conformal_rank

FEW, OTHER = "few calibration photographs", "other photographs"
CAUTIOUS = "more cautious than chosen"


def check(test, threshold, rate=0.05, *, n=5000, persons=None):
    persons, calibration = persons or len(test), Size(n, n)
    said = {"threshold": threshold, "false_alarm_rate": rate}
    return rates.check(np.asarray(test), **said, persons=persons, calibration=calibration)


def pairs(draw, persons, correlation, times):
    """Normal scores (times, 2 persons) of two photographs of each person."""
    person = np.repeat(draw.normal(size=(times, persons)), 2, axis=1)
    own = draw.normal(size=(times, 2 * persons))
    return np.sqrt(correlation) * person + np.sqrt(1 - correlation) * own


# --- intervals that count persons


@pytest.mark.parametrize(("n", "rate"), [(100, 0.05), (800, 0.01), (19, 0.05)])
def test_with_one_photograph_of_each_the_guarantee_is_scipys_beta(n, rate):
    rank = conformal_rank(n, rate)
    law = stats.beta(n + 1 - rank, rank)
    got = guarantee(Size(n, n), rate)
    assert (got["low"], got["high"]) == pytest.approx(law.interval(0.95), rel=1e-9)
    assert got["mean"] == pytest.approx(law.mean())


@pytest.mark.parametrize(("persons", "rate"), [(247, 0.05), (247, 0.01), (60, 0.05)])
@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_the_guarantee_covers_pairs_of_any_correlation(persons, rate, correlation):
    draw, n = np.random.default_rng(1), 2 * persons
    ordered = np.sort(pairs(draw, persons, correlation, 4000), axis=1)
    true_rates = stats.norm.sf(ordered[:, conformal_rank(n, rate) - 1])

    def coverage(size):
        promise = guarantee(size, rate)
        return np.mean((promise["low"] <= true_rates) & (true_rates <= promise["high"]))

    assert coverage(Size(n, persons)) >= 0.94
    if correlation == 1:  # exact, where counting photographs would be far too narrow
        assert coverage(Size(n, persons)) == pytest.approx(0.95, abs=0.012)
        assert coverage(Size(n, n)) < 0.86


@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_the_interval_of_the_achieved_rate_covers_pairs_of_any_correlation(correlation):
    draw, persons, threshold = np.random.default_rng(2), 300, stats.norm.isf(0.05)
    counts, times = np.unique(
        (pairs(draw, persons, correlation, 4000) > threshold).sum(axis=1), return_counts=True
    )
    covered, naive = [], []
    for alarms in counts:
        got = check(np.arange(600), 599.5 - alarms, persons=persons)
        covered.append(got["exact_95"]["low"] <= 0.05 <= got["exact_95"]["high"])
        low, high = binomial_interval(alarms, 600, 0.95)
        naive.append(low <= 0.05 <= high)
    assert np.average(covered, weights=times) >= 0.95
    if correlation == 1:
        assert np.average(naive, weights=times) < 0.9


# --- the verdict


@given(st.integers(19, 400), st.integers(1, 400), st.integers(0, 400))
def test_check_by_naive_counting_and_scipy(n, m, alarms):
    alarms = min(alarms, m)
    got = check(np.r_[np.ones(alarms), np.zeros(m - alarms)], 0.5, n=n)
    exact = stats.binomtest(alarms, m).proportion_ci(0.95)
    assert got["exact_95"] == pytest.approx({"low": exact.low, "high": exact.high}, abs=1e-9)
    assert (got["false_alarms"], got["false_alarm_rate"]) == (alarms, alarms / m)
    rank = conformal_rank(n, 0.05)
    low, high = stats.betabinom(m, n + 1 - rank, rank).interval(0.99)
    expected = {"low": low / m, "high": high / m, "within": low <= alarms <= high}
    assert got["beta_binomial_99"] == expected
    # one-sided binomial test at 2.5 %: the duality that makes the interval exact
    exceeds = stats.binomtest(alarms, m, 0.05, "greater").pvalue < 0.025
    assert (got["verdict"] == EXCEEDS) == exceeds
    if not exceeds:
        few = stats.binomtest(0, m).proportion_ci(0.95).high > 2 * 0.05
        assert got["verdict"] == (TOO_FEW if few else CONSISTENT)


@pytest.mark.parametrize(
    ("alarms", "n", "verdict", "qualifier", "words"),
    [
        (50, 1000, CONSISTENT, "", r"50 of 1,000 .* \(5 %\) .* 3\.73 % to 6\.54 %, contains the"),
        (90, 100, EXCEEDS, FEW, "lies above the chosen 5 %, which the number of .* can explain"),
        (90, 5000, EXCEEDS, OTHER, "lies above the chosen 5 %: the test photographs differ from"),
        (20, 100, CONSISTENT, CAUTIOUS, "lies below .* cautious than chosen; which the number of"),
        (
            0,
            5000,
            CONSISTENT,
            CAUTIOUS,
            "lies below .* differ, many scores are .* another history$",
        ),
    ],
)
def test_the_verdict_on_a_rate_has_a_reason(alarms, n, verdict, qualifier, words):
    got = check(np.arange(1000), 999.5 - alarms, n=n)
    assert (got["verdict"], got["qualifier"]) == (verdict, qualifier)
    assert re.search(words, got["reason"])


@pytest.mark.parametrize(
    ("alarms", "m", "rate", "verdict", "words"),
    [
        (0, 20, 0.001, TOO_FEW, "would also allow up to 16.8 %: test on at least 1,843 photo"),
        (0, 35, 0.05, TOO_FEW, "test on at least 36 photographs of different persons$"),
        (0, 36, 0.05, CONSISTENT, "contains the chosen 5 %$"),
        (5, 20, 0.001, EXCEEDS, "lies above the chosen 0.1 %"),  # few are enough to see this
    ],
)
def test_too_few_test_photographs_say_nothing_for_a_rate(alarms, m, rate, verdict, words):
    got = check(np.arange(m), m - 0.5 - alarms, rate)
    assert got["verdict"] == verdict and re.search(words, got["reason"])


def test_photographs_of_few_persons_are_few():
    got = check(np.arange(70), 69.5, persons=35)
    assert got["verdict"] == TOO_FEW
    assert "0 % to 10 % with the 35 persons as trials, contains" in got["reason"]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.3, 0.49, 0.5, 0.9])
def test_the_fewest_test_persons_by_search(rate):
    m = rates.fewest_test_persons(rate)
    assert stats.binomtest(0, m).proportion_ci(0.95).high <= 2 * rate
    assert m == 1 or stats.binomtest(0, m - 1).proportion_ci(0.95).high > 2 * rate


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.1])
def test_photographs_needed_by_search(rate):
    def width(n):
        rank = ceil(round((n + 1) * (1 - rate), 9))
        low, high = stats.beta(n + 1 - rank, rank).interval(0.95)
        return high - low

    needed = rates.photographs_needed(rate)
    sizes = [n for n in range(1, needed + 1) if abs((n + 1) * rate - round((n + 1) * rate)) < 1e-9]
    assert sizes[-1] == needed
    assert width(needed) <= rate < width(sizes[-2])
    assert all(width(needed + more) <= rate * (1 + 1e-9) for more in range(100))


@pytest.mark.parametrize(("bad", "message"), [([], "no faces"), ([np.nan], "1 of 1 are NaN")])
def test_no_test_photographs_or_broken_scores_are_refused(bad, message):
    with pytest.raises(PipelineError, match=f"test photographs: {message}"):
        check(bad, 0.5, persons=1)
