"""Oracle: the faces physically repeated as often as they count, and scikit-learn on these."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.evaluation.ranking import RATES, Ranking, rates

WEIGHTED = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=25
).filter(lambda faces: any(weight for _, weight in faces))
THRESHOLDS = {"low": -1.0, "between": 0.5, "above all": 3.0}


def arrays(faces):
    scores, weights = (np.array(column, dtype=float) for column in zip(*sorted(faces), strict=True))
    return scores, weights


def by_scikit_learn(photographic, generated, thresholds):
    """All measures of scores (n,), (m,); the equal error rate where scikit-learn's full curve meets
    fpr = 1 - tpr.
    """
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    scores = np.concatenate([photographic, generated])
    fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    found = {
        "auc": metrics.roc_auc_score(labels, scores),
        "ap_generated": metrics.average_precision_score(labels, scores),
        "ap_photographic": metrics.average_precision_score(1 - labels, -scores),
        "eer": np.interp(0, fpr + tpr - 1, fpr),
    }
    for key, threshold in thresholds.items():
        called = scores > threshold
        found[f"{key}.accuracy"] = metrics.accuracy_score(labels, called)
        found[f"{key}.balanced_accuracy"] = metrics.balanced_accuracy_score(labels, called)
        found[f"{key}.false_alarm_rate"] = np.mean(photographic > threshold)
        found[f"{key}.detection_rate"] = metrics.recall_score(labels, called)
    return found


@settings(deadline=None)
@given(WEIGHTED, WEIGHTED)
def test_weights_count_as_repeated_faces(photographs, faces):
    (n, n_weights), (g, g_weights) = arrays(photographs), arrays(faces)
    ranking = Ranking(n, g)
    got = ranking.measures(n_weights, g_weights, THRESHOLDS)
    expected = by_scikit_learn(
        np.repeat(n, n_weights.astype(int)), np.repeat(g, g_weights.astype(int)), THRESHOLDS
    )
    assert got == pytest.approx(expected, abs=1e-12)
    assert ranking.auc(n_weights, g_weights) == got["auc"]
    assert {type(value) for value in got.values()} == {float}


def test_rates_of_counts():
    assert rates(5, 30, 100, 40) == dict(
        zip(RATES, (125 / 140, (0.95 + 0.75) / 2, 0.05, 0.75), strict=True)
    )
