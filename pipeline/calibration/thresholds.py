"""Thresholds on anomaly scores with a false alarm rate that holds on new photographs.

Split-conformal calibration (Vovk, Gammerman, Shafer 2005; Bates et al. 2023, "Testing for outliers
with conformal p-values"): the threshold is an order statistic of scores of photographs that the
mixture has never seen. A face is flagged where its score is *greater* than the threshold. If new
photographs are exchangeable with the calibration photographs, the chance that one is flagged is at
most the chosen rate, whatever the encoder and the mixture are worth.

Scores: higher = more anomalous, float64 (n,). Rates are shares in [0, 1]. Intervals are (low,
high), both ends included."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, log, log1p
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.checks import check_scores

VERDICTS = ("pass", "review", "flag")


def rate_key(false_alarm_rate: float) -> str:
    """The name of a rate in every file: 0.05 is "at_5_percent", 0.001 is "at_0_1_percent"; other
    rates have other names.
    """
    percent = (100 * Decimal(repr(float(false_alarm_rate)))).normalize()
    return f"at_{percent:f}_percent".replace(".", "_")


def conformal_rank(n: int, false_alarm_rate: float) -> int:
    """Which of n ascending calibration scores (from 1) is the threshold: ceil((n + 1)(1 - rate)).

    In exact arithmetic on the decimal that was written, so that rounding of 0.95 cannot shift the
    rank. Raises PipelineError where n is too small for the rate, with the number of photographs
    needed: ceil(1 / rate) - 1."""
    if not 0 < false_alarm_rate < 1:
        raise PipelineError(
            f"calibration.false_alarm_rates: {false_alarm_rate} is not between 0 and 1"
        )
    rank = ceil((n + 1) * (1 - exact(false_alarm_rate)))
    if rank > n:
        raise PipelineError(
            f"a false alarm rate of {false_alarm_rate:g} needs at least "
            f"{fewest_photographs(false_alarm_rate)} calibration "
            f"photographs, got {n}: add photographs, raise split.calibration, or take the rate out "
            "of "
            "calibration.false_alarm_rates"
        )
    return rank


def fewest_photographs(false_alarm_rate: float) -> int:
    """Calibration photographs without which no threshold can promise the rate: ceil(1 / rate) - 1."""
    return ceil(1 / exact(false_alarm_rate)) - 1


def conformal_threshold(scores: np.ndarray, false_alarm_rate: float) -> float:
    """The threshold that flags (score > threshold) a new photograph with a chance of at most
    `false_alarm_rate`.
    """
    s = check_scores(scores, "calibration scores")
    return float(np.sort(s)[conformal_rank(len(s), false_alarm_rate) - 1])


def thresholds(scores: np.ndarray, false_alarm_rates: Sequence[float]) -> dict[str, float]:
    """The threshold of each rate by `rate_key`; an unsupported rate raises PipelineError with the
    number needed.
    """
    return {rate_key(rate): conformal_threshold(scores, rate) for rate in sorted(false_alarm_rates)}


def exact(rate: float) -> Fraction:
    """The decimal that was written, without the rounding of binary numbers."""
    return Fraction(repr(float(rate)))


def guarantee(n: int, false_alarm_rate: float, confidence: float) -> dict[str, float]:
    """Where the true false alarm rate of a threshold from n photographs lies: mean, and
    equal-tailed interval low, high.

    Over draws of the calibration set it follows Beta(n + 1 - rank, rank) for continuous scores
    (Vovk 2012); ties lower it."""
    from scipy.special import betaincinv

    a, b = _beta(n, false_alarm_rate)
    low, high = betaincinv(a, b, _tails(confidence))
    return {"mean": a / (a + b), "low": float(low), "high": float(high)}


def p_values(scores: np.ndarray, calibration_scores: np.ndarray) -> np.ndarray:
    """Conformal p-value of each score: (1 + number of calibration scores at least as high) / (n +
    1), float64 (m,).
    """
    ordered = np.sort(check_scores(calibration_scores, "calibration scores"))
    at_least = len(ordered) - np.searchsorted(ordered, check_scores(scores, "scores"), side="left")
    return np.asarray((1 + at_least) / (len(ordered) + 1))


def verdicts(scores: np.ndarray, review_threshold: float, flag_threshold: float) -> np.ndarray:
    """ "flag" above the flag threshold, else "review" above the review threshold, else "pass"; str
    (n,).
    """
    if not review_threshold <= flag_threshold:
        raise PipelineError(
            f"review threshold {review_threshold} is above the flag threshold {flag_threshold}: "
            "run calibrate"
        )
    levels = np.searchsorted(
        [review_threshold, flag_threshold], check_scores(scores, "scores"), side="left"
    )
    return np.array(VERDICTS)[levels]


def paper_protocol_threshold(fit_scores: np.ndarray, false_alarm_rate: float) -> float:
    """The authors' threshold: the likelihood percentile (100 * rate) of the very faces that the
    mixture was fitted on.

    For comparison only: the mixture fits these faces better than new ones, so the true false alarm
    rate is higher."""
    return float(np.quantile(check_scores(fit_scores, "fit scores"), 1 - false_alarm_rate))


def binomial_interval(successes: float, n: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a share of which `successes` of n were observed (Clopper, Pearson
    1934).
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= n or n == 0:
        raise PipelineError(
            f"an interval needs 0 <= successes <= n and n >= 1, got {successes} of {n}"
        )
    lower, upper = _tails(confidence)
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, lower))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, upper))
    return low, high


def beta_binomial_range(
    n: int, calibration_faces: int, false_alarm_rate: float, confidence: float
) -> tuple[int, int]:
    """Equal-tailed range of the count of false alarms among n, whose chance follows the Beta law of
    `guarantee`.

    So it counts, besides the chance of the n photographs, that the threshold itself rests on
    finitely many."""
    from scipy.special import betaln, gammaln

    a, b = _beta(calibration_faces, false_alarm_rate)
    k = np.arange(n + 1)
    log_choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    pmf = np.exp(log_choose + betaln(k + a, n - k + b) - betaln(a, b))
    return _quantiles(np.cumsum(pmf), confidence)


def fewest_test_photographs(false_alarm_rate: float) -> int:
    """Test photographs of which none may be above the threshold to exclude twice the rate: below,
    nothing can be said.

    The smallest m with 1 - 0.025^(1 / m), the upper end of the exact 95 % interval of 0 of m, at
    most 2 * rate."""
    doubled = 2 * exact(false_alarm_rate)
    return 1 if doubled >= 1 else ceil(log(0.025) / log1p(-float(doubled)))


def achieved(
    test_scores: np.ndarray, threshold: float, calibration_faces: int, false_alarm_rate: float
) -> dict[str, Any]:
    """The false alarms among test photographs (m,), and whether the chosen rate holds for them,
    with the reason.

    `exact_95` (Clopper-Pearson) is what the test photographs alone say; it takes them for
    independent, so it is too narrow where many show the same person. The rate does not hold where
    it lies below this interval; it holds where it does not, unless there are "too few test
    photographs", of which even 0 above the threshold could not exclude twice the rate.
    `beta_binomial_99` tells whether the number of calibration photographs explains the count. All
    intervals are of the rate. `qualifier`: what to know beside the verdict in a few words, or "".
    """
    m = len(check_scores(test_scores, "scores of the test photographs"))
    alarms = int((test_scores > threshold).sum())
    low, high = binomial_interval(alarms, m, 0.95)
    fewest, most = beta_binomial_range(m, calibration_faces, false_alarm_rate, 0.99)
    within = fewest <= alarms <= most
    explained = (
        f"which a threshold from only {calibration_faces:,} calibration photographs can explain: "
        "add calibration photographs"
        if within
        else "which the number of calibration photographs does not explain: the test photographs differ from them"
    )
    verdict, qualifier, why = _judged(
        low, high, m, false_alarm_rate, explained=explained, within=within
    )
    return {
        "false_alarms": alarms,
        "false_alarm_rate": alarms / m,
        "exact_95": {"low": low, "high": high},
        "beta_binomial_99": {"low": fewest / m, "high": most / m, "within": within},
        "verdict": verdict,
        "qualifier": qualifier,
        "reason": f"{alarms:,} of {m:,} test photographs ({_percent(alarms / m)}) are above the threshold; the exact 95 % "
        f"interval of their rate, {_percent(low)} to {_percent(high)}, {why}",
    }


def _judged(
    low: float, high: float, m: int, rate: float, *, explained: str, within: bool
) -> tuple[str, str, str]:
    """Verdict, qualifier and reason of a rate, from the exact interval (low, high) of that of m
    test photographs.
    """
    chosen, needed = _percent(rate), fewest_test_photographs(rate)
    if low > rate:
        more = "" if within else ", so calibrate on photographs like those to be judged"
        qualifier = "few calibration photographs" if within else "other photographs"
        return "does not hold", qualifier, f"lies above the chosen {chosen}, {explained}{more}"
    if high < rate:
        more = "" if within else ", or many scores are equal"
        cautious = "more cautious than chosen"
        return "holds", cautious, f"lies below the chosen {chosen}: {cautious}, {explained}{more}"
    contains = f"contains the chosen {chosen}"
    if m < needed:
        most = _percent(binomial_interval(0, m, 0.95)[1])
        few = (
            f"but 0 of {m:,} would also allow up to {most}: test on at least {needed:,} photographs"
        )
        return "too few test photographs", "", f"{contains}, {few}"
    return "holds", "", contains


def head_statistics(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n - 1 in the divisor) of each head's score over calibration
    photographs (n, heads).
    """
    if len(heads) < 2:
        raise PipelineError(
            f"{len(heads)} calibration photographs show no spread of the heads' scores: give at "
            "least 2"
        )
    return heads.mean(axis=0), heads.std(axis=0, ddof=1)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _beta(n: int, false_alarm_rate: float) -> tuple[int, int]:
    rank = conformal_rank(n, false_alarm_rate)
    return n + 1 - rank, rank


def _tails(confidence: float) -> np.ndarray:
    return np.array([(1 - confidence) / 2, (1 + confidence) / 2])


def _quantiles(cumulative: np.ndarray, confidence: float) -> tuple[int, int]:
    """Smallest counts whose cumulative chance (n + 1,) reaches either tail."""
    low, high = np.searchsorted(cumulative, _tails(confidence), side="left")
    return int(low), min(int(high), len(cumulative) - 1)
