"""How well scores part two classes, for many weightings of the faces at once: the faces are sorted once, then only counted.

A weighting says how often each face counts, as whole numbers >= 0: all ones for the faces as they are, a bootstrap's draws
for its resamples. Weights are (w, n) for n photographic faces and (w, m) for m generated ones, w weightings, both in the order
of ascending scores. Tied faces are one step of every curve, and count half in the AUC.
"""

from collections.abc import Mapping

import numpy as np

RATES = ("accuracy", "balanced_accuracy", "false_alarm_rate", "detection_rate")


class Ranking:
    """Two classes of finite scores, photographic (n,) and generated (m,), both ascending, and where each lies in the other."""

    def __init__(self, photographic: np.ndarray, generated: np.ndarray) -> None:
        n, g = self.photographic, self.generated = photographic, generated
        self._below = np.searchsorted(n, g, side="left")  # (m,) photographs below each generated face
        self._not_above = np.searchsorted(n, g, side="right")
        self._generated_not_above = np.searchsorted(g, n, side="right")  # (n,) generated faces not above each photograph
        self._first = np.searchsorted(g, g, side="left")  # (m,) the first of the generated faces with the same score
        self._last = np.searchsorted(n, n, side="right")  # (n,) one past the last photograph with the same score
        distinct = np.unique(np.concatenate([n, g]))  # (k,)
        # (k + 1,) faces below each distinct score, and below a threshold above all
        self._steps = [np.append(np.searchsorted(s, distinct), len(s)) for s in (n, g)]

    def measures(
        self, photographs: np.ndarray, generated: np.ndarray, thresholds: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """`auc`, `ap_generated`, `ap_photographic`, `eer`, and `<key>.<rate>` of each threshold, each float64 (w,)."""
        up_to = [_cumulative(photographs), _cumulative(generated)]  # (w, n + 1), (w, m + 1)
        below = up_to[0][:, self._below]  # (w, m) photographs below each generated face
        tied = below if np.array_equal(self._below, self._not_above) else up_to[0][:, self._not_above]
        wins = np.einsum("ij,ij->i", generated, below) + np.einsum("ij,ij->i", generated, tied)
        totals = up_to[0][:, -1], up_to[1][:, -1]  # (w,), (w,)
        called = totals[1][:, None] - up_to[1][:, self._first]  # (w, m) generated faces at least as high as each
        return {
            "auc": wins / (2 * totals[0] * totals[1]),
            "ap_generated": _average_precision(generated, called, totals[0][:, None] - below),
            "ap_photographic": _average_precision(photographs, up_to[0][:, self._last], up_to[1][:, self._generated_not_above]),
            "eer": self._equal_error_rate(up_to[0], up_to[1]),
            **self._rates(up_to[0], up_to[1], thresholds),
        }

    def auc(self, photographs: np.ndarray, generated: np.ndarray) -> np.ndarray:
        """Chance that a generated face scores higher than a photographic one, ties counting half (Mann-Whitney), (w,)."""
        up_to = _cumulative(photographs)
        wins = np.einsum("ij,ij->i", generated, up_to[:, self._below] + up_to[:, self._not_above])
        return np.asarray(wins / (2 * up_to[:, -1] * generated.sum(axis=1)))

    def _equal_error_rate(self, photographs: np.ndarray, generated: np.ndarray) -> np.ndarray:
        """Where the ROC curve, straight between its points, has as many false alarms as misses; from cumulative weights.

        Found by bisection over the distinct scores, in whole numbers: misses - false alarms rises with the threshold.
        """
        row, n, m = np.arange(len(photographs)), photographs[:, -1], generated[:, -1]

        def at(step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            false_alarms = n - photographs[row, self._steps[0][step]]
            misses = generated[row, self._steps[1][step]]
            return false_alarms, misses * n - false_alarms * m  # (w,) the second over n m

        low, high = np.zeros_like(row), np.full_like(row, len(self._steps[0]) - 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            more_misses = at(middle)[1] > 0
            low, high = np.where(more_misses, low, middle), np.where(more_misses, middle, high)
        (more, gap_low), (fewer, gap_high) = at(low), at(high)  # gap_low <= 0 < gap_high
        return np.asarray((fewer + (more - fewer) * (gap_high / (gap_high - gap_low))) / n)

    def _rates(self, photographs: np.ndarray, generated: np.ndarray, thresholds: Mapping[str, float]) -> dict[str, np.ndarray]:
        """The rates where a face is called AI-generated if its score is greater than the threshold; cumulative weights."""
        n, m = photographs[:, -1], generated[:, -1]
        found: dict[str, np.ndarray] = {}
        for key, threshold in thresholds.items():
            passed = photographs[:, np.searchsorted(self.photographic, threshold, side="right")]
            missed = generated[:, np.searchsorted(self.generated, threshold, side="right")]
            values = (passed + m - missed) / (n + m), (passed / n + (m - missed) / m) / 2, (n - passed) / n, (m - missed) / m
            found |= {f"{key}.{rate}": value for rate, value in zip(RATES, values, strict=True)}
        return found


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0 ... n weights, (w, n) to (w, n + 1)."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), dtype=np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _average_precision(positives: np.ndarray, true_calls: np.ndarray, false_calls: np.ndarray) -> np.ndarray:
    """Mean over positive faces, so weighted, of the precision among the faces at least as far out; each (w, p), to (w,)."""
    calls = np.maximum(true_calls + false_calls, 1)  # 0 only where the face itself does not count
    return np.asarray(np.einsum("ij,ij->i", positives, true_calls / calls) / positives.sum(axis=1))
