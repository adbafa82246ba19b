"""What more calibration photographs are worth: how far the false alarm rate that a threshold
achieves spreads with their number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.calibration.rates import Size, guarantee
from pipeline.calibration.thresholds import conformal_rank, fewest_photographs
from pipeline.common import randomness
from pipeline.common.checks import check_scores

DRAWS = 200  # subsets of each size: its 2.5th percentile then rests on five of them
_SIZES = [step * 10**decade for decade in range(1, 8) for step in (1, 2, 5)]
_SMALLEST, _LARGEST = 50, 10_000
_COLUMNS = ("rate", "faces", "guarantee_low", "guarantee_high")
_MEASURED = ("measured_mean", "measured_low", "measured_high")


def size_curve(
    scores: np.ndarray,
    persons: np.ndarray,
    test_scores: np.ndarray,
    rates: Sequence[float],
    *,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, list[Any]]:
    """Columns rate, faces, guarantee_low and _high (95 %), measured_*: a row for each size of a
    calibration set that supports the rate, 50, 100, 200, 500, ... to 10,000 and all n.

    scores: (n,), or (h, n) of the same photographs with several histories, of whose thresholds the
    largest counts. Measured: the false alarm rate on the test photographs (m,) of thresholds from
    subsets of the n photographs, mean and 2.5th and 97.5th percentile; None above n. A subset takes
    all photographs of one random person (`persons`, (n,)) after another, the last one's in part, as
    a user with so many photographs would have them. Subsets near n are nearly equal, so there the
    guarantee tells more than their spread."""
    s = np.stack([check_scores(own, "calibration scores") for own in np.atleast_2d(scores)])
    test = np.sort(check_scores(test_scores, "scores of the test photographs"))
    n, distinct = s.shape[1], np.unique(persons)
    shuffled = s[:, _orders(persons, draws, seed)]  # (h, draws, n)
    sizes = {size for size in _SIZES if _SMALLEST <= size <= max(n, _LARGEST)} | {n}
    rows = []
    for rate in sorted(rates):
        for size in sorted(size for size in sizes if size >= fewest_photographs(rate)):
            promise = guarantee(Size(size, -(-size * len(distinct) // n)), rate)
            measured = _measured(shuffled[..., :size], rate, test) if size <= n else (None,) * 3
            rows.append((rate, size, promise["low"], promise["high"], *measured))
    return {name: [row[i] for row in rows] for i, name in enumerate(_COLUMNS + _MEASURED)}


def _orders(persons: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Row numbers (draws, n) in which the persons come at random and the photographs of each
    together.
    """
    distinct, person = np.unique(persons, return_inverse=True)
    hashes = randomness.hashes(distinct.tolist())
    places = [
        randomness.uniforms(seed, "calibration size", hashes, draw)[person] for draw in range(draws)
    ]
    return np.argsort(np.stack(places), axis=1, kind="stable")


def _measured(subsets: np.ndarray, rate: float, test: np.ndarray) -> tuple[float, float, float]:
    """Mean, low, high of the share of ascending test scores (m,) above the threshold of each subset
    (histories, draws, size), the largest of the histories.
    """
    rank = conformal_rank(subsets.shape[-1], rate)
    thresholds = np.partition(subsets, rank - 1)[..., rank - 1].max(axis=0)
    shares = (len(test) - np.searchsorted(test, thresholds, side="right")) / len(test)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(shares.mean()), float(low), float(high)
