"""Oracles: scipy.stats' distributions, naive counting, and simulation of the promise itself."""

import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds as calibration

RATES = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.9])


def scores(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize(
    ("rate", "percent"),
    [(0.05, "5"), (0.001, "0_1"), (0.025, "2_5"), (0.1, "10"), (1e-5, "0_001"), (0.07, "7")],
)
def test_names_of_rates(rate, percent):
    assert calibration.rate_key(rate) == f"at_{percent}_percent"


@given(st.floats(1e-9, 1, exclude_max=True))
def test_a_rates_name_says_the_very_rate(rate):
    percent = (
        calibration.rate_key(rate).removeprefix("at_").removesuffix("_percent").replace("_", ".")
    )
    assert Fraction(percent) == 100 * Fraction(repr(rate)) and "e" not in percent


@pytest.mark.parametrize(
    ("n", "rate", "rank"),
    [(19, 0.05, 19), (20, 0.05, 20), (99, 0.05, 95), (199, 0.01, 198), (9, 0.1, 9)],
)
def test_rank_by_hand(n, rate, rank):
    assert calibration.conformal_rank(n, rate) == rank


@given(st.integers(1, 3000), RATES)
def test_rank_is_the_smallest_that_keeps_the_promise(n, rate):
    try:
        rank = calibration.conformal_rank(n, rate)
    except PipelineError:
        assert n < round(1 / rate) - 1 or 1 / (n + 1) > rate
        return
    assert (n + 1 - rank) / (
        n + 1
    ) <= rate + 1e-12  # chance that a new score is above the rank-th of n
    assert (n + 2 - rank) / (n + 1) > rate - 1e-12


@pytest.mark.parametrize(
    ("n", "rate", "needed"), [(18, 0.05, 19), (1, 0.05, 19), (98, 0.01, 99), (1, 0.3, 3)]
)
def test_too_few_photographs_name_the_number_needed(n, rate, needed):
    with pytest.raises(PipelineError, match=f"at least {needed} calibration photographs, got {n}"):
        calibration.conformal_threshold(scores(n), rate)
    calibration.conformal_threshold(scores(needed), rate)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(PipelineError, match="false_alarm_rate"):
        calibration.conformal_rank(100, rate)


@given(st.integers(19, 400), st.integers(0, 99))
def test_threshold_is_a_score_and_flags_few_of_its_own(n, seed):
    s = scores(n, seed)
    threshold = calibration.conformal_threshold(s, 0.05)
    assert threshold in s
    assert sum(value > threshold for value in s) == n - calibration.conformal_rank(n, 0.05)
    shuffled = np.random.default_rng(1).permutation(s)
    assert calibration.conformal_threshold(shuffled, 0.05) == threshold


@given(st.integers(19, 200), st.integers(0, 99))
def test_threshold_follows_a_rising_map(n, seed):
    s = scores(n, seed)
    assert calibration.conformal_threshold(np.exp(s), 0.05) == np.exp(
        calibration.conformal_threshold(s, 0.05)
    )


@pytest.mark.parametrize(("n", "rate"), [(19, 0.05), (50, 0.1), (237, 0.05)])
def test_true_rate_follows_the_beta_law(n, rate):
    draw = np.random.default_rng(3)
    thresholds = np.array(
        [calibration.conformal_threshold(draw.uniform(size=n), rate) for _ in range(4000)]
    )
    true_rates = 1 - thresholds  # of uniform scores
    rank = calibration.conformal_rank(n, rate)
    assert stats.kstest(true_rates, stats.beta(n + 1 - rank, rank).cdf).pvalue > 1e-3
    assert true_rates.mean() <= rate + 3 * true_rates.std() / np.sqrt(4000)
    promise = calibration.guarantee(n, rate, 0.9)
    assert np.mean(
        (promise["low"] <= true_rates) & (true_rates <= promise["high"])
    ) == pytest.approx(0.9, abs=0.02)


def test_ties_only_lower_the_rate():
    draw = np.random.default_rng(4)
    rates = [
        np.mean(
            draw.integers(0, 5, 500) > calibration.conformal_threshold(draw.integers(0, 5, 60), 0.2)
        )
        for _ in range(500)
    ]
    assert np.mean(rates) <= 0.2
    assert calibration.conformal_threshold(np.ones(30), 0.05) == 1.0  # constant scores flag nothing


@pytest.mark.parametrize(
    ("n", "rate", "confidence"), [(100, 0.05, 0.95), (800, 0.01, 0.99), (19, 0.05, 0.9)]
)
def test_guarantee_is_scipys_beta(n, rate, confidence):
    rank = calibration.conformal_rank(n, rate)
    law = stats.beta(n + 1 - rank, rank)
    got = calibration.guarantee(n, rate, confidence)
    assert (got["low"], got["high"]) == pytest.approx(law.interval(confidence), rel=1e-9)
    assert got["mean"] == pytest.approx(law.mean())


@settings(deadline=None)
@given(st.integers(1, 500), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_clopper_pearson_is_scipys_exact_interval(n, data, confidence):
    k = data.draw(st.integers(0, n))
    expected = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    assert calibration.binomial_interval(k, n, confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(PipelineError, match=f"got {k} of {n}"):
        calibration.binomial_interval(k, n, 0.95)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 1500), st.integers(20, 2000), st.sampled_from([0.05, 0.1, 0.3]))
def test_beta_binomial_range_is_scipys(n, calibration_faces, rate):
    rank = calibration.conformal_rank(calibration_faces, rate)
    expected = stats.betabinom(n, calibration_faces + 1 - rank, rank)
    low, high = calibration.beta_binomial_range(n, calibration_faces, rate, 0.99)
    assert expected.cdf(low) >= 0.005 - 1e-9 and (low == 0 or expected.cdf(low - 1) < 0.005 + 1e-9)
    assert expected.cdf(high) >= 0.995 - 1e-9 and expected.cdf(high - 1) < 0.995 + 1e-9


def test_beta_binomial_range_holds_the_achieved_counts_and_the_binomial_does_not():
    draw = np.random.default_rng(8)
    counts = []
    for _ in range(3000):
        counts.append(
            (
                draw.uniform(size=400)
                > calibration.conformal_threshold(draw.uniform(size=100), 0.05)
            ).sum()
        )
    low, high = calibration.beta_binomial_range(400, 100, 0.05, 0.99)
    assert np.mean([low <= c <= high for c in counts]) > 0.985
    low, high = stats.binom(400, 0.05).interval(0.99)
    assert np.mean([low <= c <= high for c in counts]) < 0.95


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.integers(-1, 10), min_size=1, max_size=20),
)
def test_p_values_by_naive_counting(calibration_scores, new):
    naive = [
        (1 + sum(c >= s for c in calibration_scores)) / (len(calibration_scores) + 1) for s in new
    ]
    np.testing.assert_allclose(
        calibration.p_values(np.array(new), np.array(calibration_scores)), naive
    )


@given(st.integers(19, 300), st.integers(0, 50), st.sampled_from([0.05, 0.1, 0.25]))
def test_flagged_means_a_p_value_of_at_most_the_rate(n, seed, rate):
    s, new = scores(n, seed), scores(200, seed + 1000)
    flagged = new > calibration.conformal_threshold(s, rate)
    np.testing.assert_array_equal(flagged, calibration.p_values(new, s) <= rate + 1e-12)


@given(st.integers(99, 300), st.integers(0, 50))
def test_thresholds_of_several_rates_and_verdicts_by_p_value(n, seed):
    s, new = scores(n, seed), np.r_[scores(200, seed + 1000), scores(n, seed)]
    at = calibration.thresholds(s, [0.05, 0.01])
    assert at == {f"at_{k}_percent": calibration.conformal_threshold(s, k / 100) for k in (1, 5)}
    naive = [
        "flag" if p <= 0.01 + 1e-12 else "review" if p <= 0.05 + 1e-12 else "pass"
        for p in calibration.p_values(new, s)
    ]
    assert calibration.verdicts(new, at["at_5_percent"], at["at_1_percent"]).tolist() == naive


def test_verdicts_by_hand():
    assert calibration.verdicts(np.array([1.0, 1.5, 2.0, 2.1]), 1.0, 2.0).tolist() == [
        "pass",
        "review",
        "review",
        "flag",
    ]
    assert calibration.verdicts(np.array([1.0, 1.1]), 1.0, 1.0).tolist() == ["pass", "flag"]
    with pytest.raises(
        PipelineError, match=r"review threshold 2\.0 is above the flag threshold 1\.0"
    ):
        calibration.verdicts(np.array([0.0]), 2.0, 1.0)


def test_the_rarest_unsupported_rate_names_the_number_needed():
    with pytest.raises(
        PipelineError,
        match=r"rate of 0\.001 needs at least 999 .* got 500: .* calibration\.false_alarm_rates",
    ):
        calibration.thresholds(scores(500), [0.05, 0.01, 0.001])
    assert calibration.thresholds(scores(999), [0.001])["at_0_1_percent"] == scores(999).max()


def test_head_statistics_by_the_standard_library():
    heads = np.random.default_rng(2).normal(size=(40, 5))
    means, deviations = calibration.head_statistics(heads)
    assert means == pytest.approx([statistics.mean(column) for column in heads.T.tolist()])
    assert deviations == pytest.approx([statistics.stdev(column) for column in heads.T.tolist()])
    with pytest.raises(PipelineError, match="1 calibration photographs show no spread"):
        calibration.head_statistics(heads[:1])


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_paper_protocol_is_the_percentile_of_the_fitted_likelihood(rate):
    s = scores(333)
    assert calibration.paper_protocol_threshold(s, rate) == pytest.approx(
        -np.percentile(-s, 100 * rate)
    )
    flagged = s > calibration.paper_protocol_threshold(s, rate)
    np.testing.assert_array_equal(flagged, -s < np.percentile(-s, 100 * rate))


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
        lambda: calibration.conformal_threshold(np.array(bad), 0.5),
        lambda: calibration.paper_protocol_threshold(np.array(bad), 0.5),
        lambda: calibration.p_values(np.array(bad), np.ones(3)),
        lambda: calibration.p_values(np.ones(3), np.array(bad)),
    ):
        with pytest.raises(PipelineError, match=message):
            call()
