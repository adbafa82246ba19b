"""How well anomaly scores tell AI-generated from photographic faces.

Two arrays of scores everywhere, higher = more anomalous: `photographic` (n,) and `generated` (m,).
Label 1 = AI-generated. Average precision depends on which class is positive and on n : m, so both
are always named beside it."""

from collections.abc import Mapping

import numpy as np

from pipeline.common.checks import check_scores
from pipeline.evaluation.ranking import Ranking

MAXIMUM_CURVE_POINTS = 500


def measures(
    photographic: np.ndarray, generated: np.ndarray, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """`auc`, `ap_generated`, `ap_photographic`, `eer`, and at each threshold `<key>.<rate>` with
    the rates of `ranking.rates`.

    A face is called AI-generated where its score is greater than the threshold. `eer`: the error
    rate where false alarms and misses are equal, on the ROC curve with straight lines between its
    points."""
    n, g = _check(photographic, generated)
    return Ranking(np.sort(n), np.sort(g)).measures(np.ones(len(n)), np.ones(len(g)), thresholds)


def roc_auc(photographic: np.ndarray, generated: np.ndarray) -> float:
    """Chance that a generated face scores higher than a photographic one, ties counting half
    (Mann-Whitney).
    """
    n, g = _check(photographic, generated)
    n = np.sort(n)
    below = np.searchsorted(n, g, side="left") + np.searchsorted(
        n, g, side="right"
    )  # twice (below + half the ties)
    return float(below.sum() / (2 * len(n) * len(g)))


def roc_curve(
    photographic: np.ndarray, generated: np.ndarray, maximum_points: int = MAXIMUM_CURVE_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """ROC curve as false alarm rates and detection rates, each (p,) ascending, p <=
    `maximum_points`.

    A point for each distinct score, without those that two equal steps put on a straight line (as
    in scikit-learn). A longer curve is thinned: both ends and the corners of its convex hull stay,
    the rest is spread evenly."""
    n, g = (np.sort(scores) for scores in _check(photographic, generated))
    distinct = np.unique(np.concatenate([n, g]))[::-1]
    called = np.stack(
        [np.append(0, len(scores) - np.searchsorted(scores, distinct)) for scores in (n, g)]
    )  # (2, p)
    kept = np.ones(called.shape[1], dtype=bool)
    kept[2:-1] = np.diff(called[:, 1:], 2).any(axis=0)
    false_alarms, detections = called[0, kept] / len(n), called[1, kept] / len(g)
    if len(false_alarms) > maximum_points:
        keep = _thin(false_alarms, detections, maximum_points)
        false_alarms, detections = false_alarms[keep], detections[keep]
    return false_alarms, detections


def histogram(photographic: np.ndarray, generated: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """Share of each class per bin of the anomaly score: `anomaly_score` (bin centre), `low`,
    `high`, two shares; each (bins,).

    Bins are equally wide between the 0.5th and 99.5th percentile of all scores; the first and the
    last also hold what lies beyond, so that one extreme face does not squeeze the picture and the
    shares of a class add up to 1."""
    n, g = _check(photographic, generated)
    low, high = np.quantile(np.concatenate([n, g]), [0.005, 0.995])
    if not high > low:  # constant scores: one bin's width around them
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)

    def shares(scores: np.ndarray) -> np.ndarray:
        return np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0] / len(scores)

    return {
        "anomaly_score": (edges[:-1] + edges[1:]) / 2,
        "low": edges[:-1],
        "high": edges[1:],
        "photographic": shares(n),
        "generated": shares(g),
    }


def _check(photographic: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return check_scores(photographic, "scores of photographic faces"), check_scores(
        generated, "scores of AI-generated faces"
    )


def _thin(x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Ascending indices of at most `count` points: the ends, the upper hull's corners, and evenly
    spread others.
    """
    hull = _upper_hull(x, y)
    if len(hull) >= count:
        return hull[np.linspace(0, len(hull) - 1, count).round().astype(int)]
    others = np.setdiff1d(np.arange(len(x)), hull)
    spread = others[np.linspace(0, len(others) - 1, count - len(hull)).round().astype(int)]
    return np.union1d(hull, spread)


def _upper_hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of the corners of the upper convex hull of points sorted by x, then y (Andrew's
    monotone chain).
    """
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) < (y[b] - y[a]) * (x[i] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(hull)
