"""How many calibration photographs to bring: what their number does to the false alarm rate that a
threshold achieves.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import (
    conformal_rank,
    exact,
    fewest_photographs,
    guarantee,
)
from pipeline.common import randomness
from pipeline.common.checks import check_scores

_STEPS = (1, 2, 5)  # sizes of the curve in each decade
_SMALLEST_SIZE, _LARGEST_SIZE = 50, 10_000


def photographs_needed(false_alarm_rate: float, relative_half_width: float) -> int:
    """Calibration photographs from which on half the width of the 95 % guarantee is at most this
    share of the rate.

    Looked for among the sizes that meet the rate exactly, ceil(a / rate) - 1 with a calibration
    scores above the threshold."""
    if not relative_half_width > 0:
        raise PipelineError(
            f"relative half width {relative_half_width}: give a positive share of the rate, such "
            "as 0.5"
        )
    rate = exact(false_alarm_rate)

    def sharp(above: int) -> bool:
        law = guarantee(ceil(above / rate) - 1, false_alarm_rate, 0.95)
        return (law["high"] - law["low"]) / 2 <= relative_half_width * false_alarm_rate

    most = 1
    while not sharp(most):
        most *= 2
    above = 1 + bisect_left(range(1, most), True, key=sharp)
    return ceil(above / rate) - 1


def size_curve(
    scores: np.ndarray,
    people: np.ndarray,
    test_scores: np.ndarray,
    rates: Sequence[float],
    *,
    draws: int,
    seed: int,
) -> dict[str, list[Any]]:
    """What more calibration photographs are worth: columns rate, faces, guarantee_low and _high (95
    %), measured_*.

    Sizes 50, 100, 200, 500, ... to 10,000 and all n, where they support the rate. Measured: the
    false alarm rate on the test photographs (m,) of thresholds from `draws` subsets of the scores
    (n,), mean and 2.5th and 97.5th percentile; None above n. A subset takes all photographs of one
    random person (`people`, (n,)) after another, the last one's in part, as a user with so many
    photographs would have them. Subsets near n are nearly equal, so there the guarantee tells more
    than their spread."""
    s, test = (
        check_scores(scores, "calibration scores"),
        np.sort(check_scores(test_scores, "scores of the test photographs")),
    )
    shuffled = s[_orders(people, draws, seed)]  # (draws, n)
    rows = []
    for rate in sorted(rates):
        for size in _sizes(len(s)):
            if size < fewest_photographs(rate):
                continue
            promise = guarantee(size, rate, 0.95)
            measured = (
                _measured(shuffled[:, :size], rate, test) if size <= len(s) else (None, None, None)
            )
            rows.append((rate, size, promise["low"], promise["high"], *measured))
    names = (
        "rate",
        "faces",
        "guarantee_low",
        "guarantee_high",
        "measured_mean",
        "measured_low",
        "measured_high",
    )
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _orders(people: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Row numbers (draws, n) in which the persons come at random and the photographs of each
    together.
    """
    distinct, person = np.unique(people, return_inverse=True)
    hashes = randomness.hashes(distinct.tolist())
    places = [
        randomness.uniforms(seed, "calibration size", hashes, draw)[person] for draw in range(draws)
    ]
    return np.argsort(np.stack(places), axis=1, kind="stable")


def _sizes(n: int) -> list[int]:
    series = [step * 10**decade for decade in range(1, max(len(str(n)), 5)) for step in _STEPS]
    return sorted(
        {size for size in series if _SMALLEST_SIZE <= size <= max(n, _LARGEST_SIZE)} | {n}
    )


def _measured(subsets: np.ndarray, rate: float, test: np.ndarray) -> tuple[float, float, float]:
    """Mean, low, high of the share of ascending test scores (m,) above the threshold of each subset
    (draws, size).
    """
    rank = conformal_rank(subsets.shape[1], rate)
    cuts = np.partition(subsets, rank - 1, axis=1)[:, rank - 1]
    shares = (len(test) - np.searchsorted(test, cuts, side="right")) / len(test)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(shares.mean()), float(low), float(high)
