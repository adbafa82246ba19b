"""Whether a chosen false alarm rate holds: naive counting and scipy.stats."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds as calibration

FEW, CAUTIOUS = "few calibration photographs", "more cautious than chosen"


@given(st.integers(19, 400), st.integers(1, 400), st.integers(0, 400))
def test_achieved_by_naive_counting_and_scipy(n, m, alarms):
    alarms = min(alarms, m)
    test = np.r_[np.ones(alarms), np.zeros(m - alarms)]
    got = calibration.achieved(test, 0.5, n, 0.05)
    exact = stats.binomtest(alarms, m).proportion_ci(0.95)
    assert got["exact_95"] == pytest.approx({"low": exact.low, "high": exact.high}, abs=1e-9)
    assert (got["false_alarms"], got["false_alarm_rate"]) == (alarms, alarms / m)
    # one-sided binomial test at 2.5 %: the duality that makes the interval exact
    assert (got["verdict"] == "does not hold") == (
        stats.binomtest(alarms, m, 0.05, "greater").pvalue < 0.025
    )
    if got["verdict"] != "does not hold":
        few = stats.binomtest(0, m).proportion_ci(0.95).high > 2 * 0.05
        assert got["verdict"] == ("too few test photographs" if few else "holds")


@pytest.mark.parametrize(
    ("alarms", "n", "verdict", "qualifier", "words"),
    [
        (
            50,
            1000,
            "holds",
            "",
            r"50 of 1,000 test photographs \(5 %\) .* 3\.73 % to 6\.54 %, contains the chosen 5 %$",
        ),
        (
            90,
            100,
            "does not hold",
            FEW,
            "above the chosen 5 %, which a threshold from only 100 .* add calibration photographs",
        ),
        (
            90,
            5000,
            "does not hold",
            "other photographs",
            "above the chosen 5 %, .* does not explain: .* differ from them, so calibrate",
        ),
        (
            20,
            100,
            "holds",
            CAUTIOUS,
            "below the chosen 5 %: more cautious than chosen, which a threshold from only 100",
        ),
        (
            0,
            5000,
            "holds",
            CAUTIOUS,
            "more cautious than chosen, .* does not explain: .* or many scores are equal$",
        ),
    ],
)
def test_the_verdict_on_a_rate_has_a_reason(alarms, n, verdict, qualifier, words):
    got = calibration.achieved(np.arange(1000), 999.5 - alarms, n, 0.05)
    assert (got["verdict"], got["qualifier"]) == (verdict, qualifier) and re.search(
        words, got["reason"]
    )


@pytest.mark.parametrize(
    ("alarms", "m", "rate", "verdict", "words"),
    [
        (
            0,
            20,
            0.001,
            "too few test photographs",
            "0 of 20 would also allow up to 16.8 %: test on at least 1,843 photographs$",
        ),
        (0, 35, 0.05, "too few test photographs", "test on at least 36 photographs$"),
        (0, 36, 0.05, "holds", "contains the chosen 5 %$"),
        (
            5,
            20,
            0.001,
            "does not hold",
            "lies above the chosen 0.1 %",
        ),  # few are enough to see this
    ],
)
def test_too_few_test_photographs_say_nothing_for_a_rate(alarms, m, rate, verdict, words):
    got = calibration.achieved(np.arange(m), m - 0.5 - alarms, 5000, rate)
    assert got["verdict"] == verdict and re.search(words, got["reason"])


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.3, 0.49, 0.5, 0.9])
def test_the_fewest_test_photographs_by_search(rate):
    m = calibration.fewest_test_photographs(rate)
    assert stats.binomtest(0, m).proportion_ci(0.95).high <= 2 * rate
    assert m == 1 or stats.binomtest(0, m - 1).proportion_ci(0.95).high > 2 * rate


def test_no_test_photographs_or_broken_scores_are_refused():
    for bad, message in (
        ([], "test photographs: no faces"),
        ([np.nan], "test photographs: 1 of 1 are NaN"),
    ):
        with pytest.raises(PipelineError, match=message):
            calibration.achieved(np.array(bad), 0.5, 100, 0.05)
