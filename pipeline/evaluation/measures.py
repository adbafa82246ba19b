"""How well anomaly scores tell AI-generated from photographic faces: AUC, curves, histograms.

Two arrays of scores everywhere, higher = more anomalous: `photographic` (n,) and `generated` (m,).
Label 1 = AI-generated. Raises PipelineError for a class without scores, or with NaN."""

import numpy as np

from pipeline.common.checks import check_scores
from pipeline.evaluation.ranking import Ranking

MAXIMUM_CURVE_POINTS = 500  # of a curve in git; a plot shows no more


def roc_auc(photographic: np.ndarray, generated: np.ndarray) -> float:
    """Chance that a generated face scores higher than a photographic one, ties counting half."""
    return Ranking(photographic, generated).auc()


def roc_curve(photographic: np.ndarray, generated: np.ndarray) -> dict[str, np.ndarray]:
    """ROC curve: `fpr` (false alarm rates) and `tpr` (detection rates), each (p,) ascending.

    Of a curve of more than MAXIMUM_CURVE_POINTS, so many evenly spaced points with both ends."""
    from sklearn import metrics

    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    fpr, tpr, _ = metrics.roc_curve(labels, np.concatenate([photographic, generated]))
    count = min(len(fpr), MAXIMUM_CURVE_POINTS)
    kept = np.linspace(0, len(fpr) - 1, count).round().astype(int)
    return {"fpr": fpr[kept], "tpr": tpr[kept]}


def histogram(photographic: np.ndarray, generated: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """Share of each class per bin of the score: `low`, `high`, `photographic`, `generated` (bins,).

    Bins are equally wide between the 0.5th and 99.5th percentile of all scores; the first and the
    last also hold what lies beyond, so that one extreme face does not squeeze the picture and the
    shares of a class add up to 1."""
    n = check_scores(photographic, "scores of photographic faces")
    g = check_scores(generated, "scores of AI-generated faces")
    low, high = np.quantile(np.concatenate([n, g]), [0.005, 0.995])
    if not high > low:  # constant scores: one bin's width around them
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    shares = [np.histogram(np.clip(s, low, high), edges)[0] / len(s) for s in (n, g)]
    return {"low": edges[:-1], "high": edges[1:], "photographic": shares[0], "generated": shares[1]}
