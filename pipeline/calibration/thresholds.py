"""Thresholds on anomaly scores with a chosen false alarm rate on new photographs.

Split-conformal calibration (Vovk, Gammerman, Shafer 2005; Bates et al. 2023, "Testing for outliers
with conformal p-values"): the threshold is an order statistic of scores of photographs that the
mixture has never seen. A face is flagged where its score is *greater* than the threshold. If new
photographs are exchangeable with the calibration photographs, the chance that one is flagged is at
most the chosen rate, whatever the encoder and the mixture are worth.

Scores: higher = more anomalous, float64 (n,). Rates are shares in [0, 1]."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.checks import check_scores

VERDICTS = ("pass", "review", "flag")


def rate_key(false_alarm_rate: float) -> str:
    """The name of a rate in every file: 0.05 is "at_5_percent", 0.001 is "at_0_1_percent"."""
    percent = (100 * Decimal(repr(float(false_alarm_rate)))).normalize()
    return f"at_{percent:f}_percent".replace(".", "_")


def conformal_rank(n: int, false_alarm_rate: float) -> int:
    """Which of n ascending calibration scores (from 1) is the threshold: ceil((n + 1)(1 - rate)).

    In exact arithmetic on the decimal that was written, so that rounding of 0.95 cannot shift the
    rank. Raises PipelineError where n is too small for the rate, with the number of photographs
    needed: ceil(1 / rate) - 1."""
    rank = ceil((n + 1) * (1 - exact(false_alarm_rate)))
    if rank > n:
        raise PipelineError(
            f"a false alarm rate of {false_alarm_rate:g} needs at least "
            f"{fewest_photographs(false_alarm_rate)} calibration photographs, got {n}: add "
            "photographs, raise split.calibration, or take it out of calibration.false_alarm_rates"
        )
    return rank


def fewest_photographs(false_alarm_rate: float) -> int:
    """Calibration photographs that a threshold for the rate needs: ceil(1 / rate) - 1."""
    return ceil(1 / exact(false_alarm_rate)) - 1


def conformal_threshold(scores: np.ndarray, false_alarm_rate: float) -> float:
    """The threshold that a new photograph exceeds with a chance of at most `false_alarm_rate`."""
    s = check_scores(scores, "calibration scores")
    return float(np.sort(s)[conformal_rank(len(s), false_alarm_rate) - 1])


def exact(rate: float) -> Fraction:
    """The decimal that was written, without the rounding of binary numbers."""
    return Fraction(repr(float(rate)))


def p_values(scores: np.ndarray, calibration_scores: np.ndarray) -> np.ndarray:
    """Conformal p-value of each score (m,): (1 + calibration scores at least as high) / (n + 1)."""
    ordered = np.sort(check_scores(calibration_scores, "calibration scores"))
    at_least = len(ordered) - np.searchsorted(ordered, check_scores(scores, "scores"), side="left")
    return np.asarray((1 + at_least) / (len(ordered) + 1))


def verdicts(scores: np.ndarray, review_threshold: float, flag_threshold: float) -> np.ndarray:
    """Of each score (n,): "flag" or "review" where it is above that threshold, else "pass"."""
    above = np.searchsorted([review_threshold, flag_threshold], check_scores(scores, "scores"))
    return np.array(VERDICTS)[above]


def paper_protocol_threshold(fit_scores: np.ndarray, false_alarm_rate: float) -> float:
    """The authors' threshold: a quantile of the scores of the faces that the mixture was fitted on.
    It fits them better than new ones, so the true false alarm rate is higher: for comparison only.
    """
    return float(np.quantile(check_scores(fit_scores, "fit scores"), 1 - false_alarm_rate))


def binomial_interval(successes: float, n: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a share (Clopper, Pearson 1934); `successes` may be a fraction."""
    from scipy.special import betaincinv

    if not 0 <= successes <= n or n == 0:
        raise PipelineError(
            f"an interval needs 0 <= successes <= n and n >= 1, got {successes} of {n}"
        )
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high
