"""Which false alarm rate a threshold promises, and what test photographs say of it.

Photographs of one person have similar scores, so n of them tell less than n of different persons.
All intervals here take persons for trials: they are those of photographs that score alike where
they show the same person, the worst case, in which the mean rate may exceed the chosen one by up to
1 / persons. Simulated with two photographs of each person, a 95 % interval holds the true rate in
95 % of cases if their scores are equal, and in 99 % at a correlation of 0.5; with photographs for
trials it would in 83 % and 93 %. With 1 to 5 equal photographs of a person it does in 83 to 87 %.
"""

from itertools import count
from math import ceil, log, log1p
from typing import Any, NamedTuple

import numpy as np

from pipeline.calibration.thresholds import binomial_interval, conformal_rank, exact
from pipeline.common.checks import check_scores

CONSISTENT, EXCEEDS = "consistent with the chosen rate", "exceeds the chosen rate"
TOO_FEW = "too few test photographs"


class Size(NamedTuple):
    """How many photographs there are, and of how many persons."""

    photographs: int
    persons: int


def guarantee(calibration: Size, false_alarm_rate: float) -> dict[str, float]:
    """Where the true false alarm rate of a threshold lies: mean, and 95 % interval low, high.

    Over draws of k calibration persons with one photograph each it follows Beta(k + 1 - rank, rank)
    for continuous scores (Vovk 2012); ties lower it."""
    from scipy.special import betaincinv

    a, b = _law(calibration, false_alarm_rate)
    low, high = betaincinv(a, b, [0.025, 0.975])
    return {"mean": a / (a + b), "low": float(low), "high": float(high)}


def photographs_needed(false_alarm_rate: float) -> int:
    """Calibration photographs, each of another person, that make the guarantee as narrow as the
    rate, 2.5 % to 7.5 % for 5 %: the fewest with `above` of them above the threshold are tried.
    """
    for above in count(1):
        n = ceil(above / exact(false_alarm_rate)) - 1
        law = guarantee(Size(n, n), false_alarm_rate)
        if law["high"] - law["low"] <= false_alarm_rate:
            break
    return n


def fewest_test_persons(false_alarm_rate: float) -> int:
    """Test persons with whom no false alarm at all excludes twice the rate: the smallest m with 1 -
    0.025^(1 / m), the upper end of the exact 95 % interval of 0 of m, at most 2 * rate.
    """
    doubled = 2 * exact(false_alarm_rate)
    return 1 if doubled >= 1 else ceil(log(0.025) / log1p(-float(doubled)))


def check(
    test_scores: np.ndarray,
    *,
    threshold: float,
    false_alarm_rate: float,
    persons: int,
    calibration: Size,
) -> dict[str, Any]:
    """A threshold's promise, its false alarms among test photographs (m,) of so many persons, and a
    verdict on the chosen rate, with its reason. All intervals are of the rate.

    `exact_95` (Clopper-Pearson) is what the test photographs alone say. The rate is exceeded where
    this interval lies above it; else they are consistent, unless they are too few. The promise is
    "at most": an interval below the rate breaks none. `beta_binomial_99` counts, besides the chance
    of the test photographs, that the threshold rests on finitely many calibration photographs: it
    tells whether their number explains the count. `qualifier`: what to know beside the verdict."""
    from scipy.stats import betabinom

    m = len(check_scores(test_scores, "scores of the test photographs"))
    alarms = int((test_scores > threshold).sum())
    share, of_persons = alarms / m, alarms * persons / m
    low, high = binomial_interval(of_persons, persons, 0.95)
    law = betabinom(persons, *_law(calibration, false_alarm_rate))
    fewest, most = (int(count) for count in law.ppf([0.005, 0.995]))
    within = bool(fewest <= of_persons <= most)
    verdict, qualifier, why = _judged(low, high, false_alarm_rate, persons=persons, within=within)
    trials = "" if persons == m else f" with the {persons:,} persons as trials"
    return {
        "chosen": false_alarm_rate,
        "threshold": threshold,
        "guarantee_95": guarantee(calibration, false_alarm_rate),
        "photographs_needed": photographs_needed(false_alarm_rate),
        "false_alarms": alarms,
        "false_alarm_rate": share,
        "exact_95": {"low": low, "high": high},
        "beta_binomial_99": {"low": fewest / persons, "high": most / persons, "within": within},
        "verdict": verdict,
        "qualifier": qualifier,
        "reason": f"{alarms:,} of {m:,} test photographs ({_percent(share)}) are above the "
        f"threshold; the exact 95 % interval of their rate, {_percent(low)} to {_percent(high)}"
        f"{trials}, {why}",
    }


def _judged(
    low: float, high: float, rate: float, *, persons: int, within: bool
) -> tuple[str, str, str]:
    """Verdict, qualifier and reason of a rate, from the interval (low, high) of what was achieved
    and whether the number of calibration photographs explains it.
    """
    chosen = f"the chosen {_percent(rate)}"
    few = "which the number of calibration photographs can explain: add some"
    if low > rate and within:
        return EXCEEDS, "few calibration photographs", f"lies above {chosen}, {few}"
    if low > rate:
        why = "the test photographs differ from the calibration photographs"
        why += ": calibrate on photographs like those to be judged"
        return EXCEEDS, "other photographs", f"lies above {chosen}: {why}"
    if high < rate:
        why = (
            few
            if within
            else (
                "the test photographs differ, many scores are equal, or the threshold is that of "
                "another history"
            )
        )
        cautious = "more cautious than chosen"
        return CONSISTENT, cautious, f"lies below {chosen}: {cautious}; {why}"
    if persons < (needed := fewest_test_persons(rate)):
        most = _percent(binomial_interval(0, persons, 0.95)[1])
        why = (
            f"but no false alarm at all would also allow up to {most}: test on at least {needed:,}"
        )
        return TOO_FEW, "", f"contains {chosen}, {why} photographs of different persons"
    return CONSISTENT, "", f"contains {chosen}"


def _law(calibration: Size, false_alarm_rate: float) -> tuple[int, int]:
    """Parameters of the Beta law of `guarantee`: persons above the threshold + 1, and the others.

    The rank that the threshold has among the photographs becomes one among the persons."""
    n, k = calibration
    rank = -(-conformal_rank(n, false_alarm_rate) * k // n)  # ceil
    return k + 1 - rank, rank


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
