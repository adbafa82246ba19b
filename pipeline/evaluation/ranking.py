"""Measures of a ranking under any weights of the faces: sort once, then only add up.

A weight says how often a face counts: 1 for faces as they are (the default), or how often a
bootstrap drew it; whole numbers >= 0, (n,) of photographic and (m,) of generated faces. Tied faces
are one step of every curve and count half in the AUC. scikit-learn computes the same (the tests
compare), but sorts for every resample."""

from collections.abc import Mapping

import numpy as np

from pipeline.common.checks import check_scores

RATES = ("accuracy", "balanced_accuracy", "false_alarm_rate", "detection_rate")
Weights = tuple[np.ndarray | None, np.ndarray | None]  # of photographic and of generated faces


class Ranking:
    """The k distinct values among the scores of photographic (n,) and generated faces (m,)."""

    def __init__(self, photographic: np.ndarray, generated: np.ndarray) -> None:
        n = check_scores(photographic, "scores of photographic faces")
        g = check_scores(generated, "scores of AI-generated faces")
        self._distinct = np.unique(np.concatenate([n, g]))
        self._values = [np.searchsorted(self._distinct, scores) for scores in (n, g)]

    def measures(
        self, thresholds: Mapping[str, float], weights: Weights = (None, None)
    ) -> dict[str, float]:
        """`auc`, `ap_generated`, `ap_photographic`, `eer`, and `<key>.<rate>` with RATES for each
        threshold: a face is called AI-generated where its score is greater.

        `ap_*`: average precision with this class as the positive one, the sum of precision times
        gain in recall over the distinct scores. It depends on n : m, and so does `accuracy`, which
        is over all faces; `balanced_accuracy` is the mean over the two classes. `eer`: the error
        rate where false alarms and misses are equal."""
        n, g = self._passed(weights)
        n_above, g_above = n[-1] - n[:-1], g[-1] - g[:-1]  # (k,) at each value or above
        measures = {
            "auc": _auc(n, g),
            "ap_generated": _average_precision(np.diff(g), g_above, n_above),
            "ap_photographic": _average_precision(np.diff(n), n[1:], g[1:]),
            "eer": _equal_error_rate(n, g),
        }
        for key, threshold in thresholds.items():
            step = np.searchsorted(self._distinct, threshold, side="right")
            passed, detected = n[step], g[-1] - g[step]
            shares = (
                (passed + detected) / (n[-1] + g[-1]),
                (passed / n[-1] + detected / g[-1]) / 2,
                (n[-1] - passed) / n[-1],
                detected / g[-1],
            )
            measures |= {f"{key}.{rate}": float(x) for rate, x in zip(RATES, shares, strict=True)}
        return measures

    def auc(self) -> float:
        """The chance that a generated face scores higher than a photographic one (Mann-Whitney)."""
        return _auc(*self._passed((None, None)))

    def _passed(self, weights: Weights) -> list[np.ndarray]:
        """What a threshold lets pass of each class, (k + 1,): below all values, then up to each."""
        k = len(self._distinct)
        return [
            np.append(0.0, np.cumsum(np.bincount(values, of_class, k)))
            for values, of_class in zip(self._values, weights, strict=True)
        ]


def _auc(n: np.ndarray, g: np.ndarray) -> float:
    wins = np.diff(g) @ (n[:-1] + n[1:])  # twice (below + half the ties), exact
    return float(wins / (2 * n[-1] * g[-1]))


def _average_precision(positives: np.ndarray, true: np.ndarray, false: np.ndarray) -> float:
    """Mean over the positive faces (k,) of the precision among all faces at least as far out."""
    calls = np.maximum(true + false, 1)  # 0 only where no face has a weight
    # A sum, as the rounding of a product by BLAS depends on the number of threads.
    return float((positives * (true / calls)).sum() / positives.sum())


def _equal_error_rate(n: np.ndarray, g: np.ndarray) -> float:
    """On the ROC curve with straight lines between its points.

    Misses minus false alarms rise with the threshold, from -1 to 1; times n m they are exact."""
    false_alarms = n[-1] - n
    gap = g * n[-1] - false_alarms * g[-1]
    above = int(np.searchsorted(gap, 0, side="right"))
    low, high = gap[above - 1], gap[above]  # low <= 0 < high
    more, fewer = false_alarms[above - 1], false_alarms[above]
    return float((fewer + (more - fewer) * (high / (high - low))) / n[-1])
