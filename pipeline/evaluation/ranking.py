"""How well scores part two classes, whatever the weights of the faces: they are sorted once, then
only counted.

A weight says how often a face counts, a whole number >= 0: 1 for each face as it is, or how often a
bootstrap drew it. Weights are float64 (n,) of the photographic and (m,) of the generated faces, in
the order of ascending scores; their sums are exact. Tied faces are one step of every curve and
count half in the AUC."""

from collections.abc import Mapping

import numpy as np

RATES = ("accuracy", "balanced_accuracy", "false_alarm_rate", "detection_rate")


class Ranking:
    """Where finite scores of photographic (n,) and generated faces (m,), both ascending, lie among
    each other.
    """

    def __init__(self, photographic: np.ndarray, generated: np.ndarray) -> None:
        n, g = self._photographic, self._generated = photographic, generated
        self._below = np.searchsorted(
            n, g, side="left"
        )  # (m,) photographs below each generated face
        self._not_above = np.searchsorted(n, g, side="right")
        self._generated_not_above = np.searchsorted(
            g, n, side="right"
        )  # (n,) generated faces not above each photograph
        self._own_below = np.searchsorted(
            g, g, side="left"
        )  # (m,) generated faces below each of them
        self._own_not_above = np.searchsorted(
            n, n, side="right"
        )  # (n,) photographs not above each of them
        distinct = np.unique(np.concatenate([n, g]))  # (k,)
        # Faces of either class below each distinct score, and below a threshold above all: k + 1
        # points of the ROC curve.
        self._steps = [
            (*np.searchsorted(scores, distinct).tolist(), len(scores)) for scores in (n, g)
        ]

    def measures(
        self, photographs: np.ndarray, generated: np.ndarray, thresholds: Mapping[str, float]
    ) -> dict[str, float]:
        """`auc`, `ap_generated`, `ap_photographic`, `eer`, and `<key>.<rate>` for each threshold,
        under these weights.

        `ap_*`: average precision with this class as the positive one, the sum of precision times
        gain in recall over the distinct scores (as in scikit-learn, without interpolation), so that
        it depends on n : m."""
        n, g = _cumulative(photographs), _cumulative(generated)  # (n + 1,), (m + 1,)
        below = n[self._below]
        found = {
            "auc": self._auc(generated, below, n),
            "ap_generated": _average_precision(
                generated, g[-1] - g[self._own_below], n[-1] - below
            ),
            "ap_photographic": _average_precision(
                photographs, n[self._own_not_above], g[self._generated_not_above]
            ),
            "eer": self._equal_error_rate(n, g),
        }
        for key, threshold in thresholds.items():
            passed = n[np.searchsorted(self._photographic, threshold, side="right")]
            missed = g[np.searchsorted(self._generated, threshold, side="right")]
            found |= {
                f"{key}.{rate}": value
                for rate, value in rates(n[-1] - passed, g[-1] - missed, n[-1], g[-1]).items()
            }
        return found

    def auc(self, photographs: np.ndarray, generated: np.ndarray) -> float:
        """Chance that a generated face scores higher than a photographic one, ties counting half
        (Mann-Whitney).
        """
        n = _cumulative(photographs)
        return self._auc(generated, n[self._below], n)

    def _auc(self, generated: np.ndarray, below: np.ndarray, photographs: np.ndarray) -> float:
        wins = (
            generated @ below + generated @ photographs[self._not_above]
        )  # twice (below + half the ties)
        return float(wins / (2 * photographs[-1] * generated.sum()))

    def _equal_error_rate(self, photographs: np.ndarray, generated: np.ndarray) -> float:
        """Where the ROC curve, straight between its points, has as many false alarms as misses
        (shares of their classes).

        From cumulative weights. Misses - false alarms rises with the threshold: found by bisection,
        in whole numbers."""
        n, m = photographs[-1], generated[-1]

        def point(step: int) -> tuple[float, float]:
            """False alarms, and n m (share of misses - share of false alarms)."""
            false_alarms = n - photographs[self._steps[0][step]]
            return false_alarms, generated[self._steps[1][step]] * n - false_alarms * m

        low, high = 0, len(self._steps[0]) - 1  # all faces called, none called
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if point(middle)[1] > 0 else (middle, high)
        (more, gap_low), (fewer, gap_high) = point(low), point(high)  # gap_low <= 0 < gap_high
        return float((fewer + (more - fewer) * (gap_high / (gap_high - gap_low))) / n)


def rates(
    false_alarms: float, detections: float, photographic: float, generated: float
) -> dict[str, float]:
    """RATES of so many faces called AI-generated among so many of each class.

    `accuracy` is over all faces, so it depends on n : m; `balanced_accuracy` is the mean over the
    two classes."""
    passed = photographic - false_alarms
    values = (
        (passed + detections) / (photographic + generated),
        (passed / photographic + detections / generated) / 2,
        false_alarms / photographic,
        detections / generated,
    )
    return dict(zip(RATES, map(float, values), strict=True))


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0 ... n weights, (n,) to (n + 1,)."""
    sums = np.zeros(len(weights) + 1)
    np.cumsum(weights, out=sums[1:])
    return sums


def _average_precision(
    positives: np.ndarray, true_calls: np.ndarray, false_calls: np.ndarray
) -> float:
    """Mean over the positive faces, weighted (p,), of the precision among all faces at least as far
    out; all (p,).
    """
    calls = np.maximum(true_calls + false_calls, 1)  # 0 only at a face of weight 0
    return float(
        (positives * (true_calls / calls)).sum() / positives.sum()
    )  # a product `@` follows the number of threads
