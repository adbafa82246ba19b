"""Oracle: the faces physically repeated as often as they count, and scikit-learn on these."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.base.errors import PipelineError
from pipeline.evaluation.ranking import Ranking

WEIGHTED = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=25
).filter(lambda faces: any(weight for _, weight in faces))
THRESHOLDS = {"low": -1.0, "between": 0.5, "above all": 3.0}


def by_scikit_learn(photographic, generated, thresholds):
    """All measures of scores (n,), (m,); the equal error rate is where scikit-learn's full curve
    meets fpr = 1 - tpr.
    """
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    scores = np.concatenate([photographic, generated])
    fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    expected = {
        "auc": metrics.roc_auc_score(labels, scores),
        "ap_generated": metrics.average_precision_score(labels, scores),
        "ap_photographic": metrics.average_precision_score(1 - labels, -scores),
        "eer": np.interp(0, fpr + tpr - 1, fpr),
    }
    for key, threshold in thresholds.items():
        called = scores > threshold  # strictly: a score at the threshold is not called
        expected[f"{key}.accuracy"] = metrics.accuracy_score(labels, called)
        expected[f"{key}.balanced_accuracy"] = metrics.balanced_accuracy_score(labels, called)
        expected[f"{key}.false_alarm_rate"] = np.mean(photographic > threshold)
        expected[f"{key}.detection_rate"] = metrics.recall_score(labels, called)
    return expected


@settings(deadline=None)
@given(WEIGHTED, WEIGHTED)
def test_weights_count_as_repeated_faces(photographs, faces):
    (n, n_weights), (g, g_weights) = (np.array(faces).T for faces in (photographs, faces))
    ranking = Ranking(n, g)
    got = ranking.measures(THRESHOLDS, (n_weights, g_weights))
    repeated = np.repeat(n, n_weights), np.repeat(g, g_weights)
    assert got == pytest.approx(by_scikit_learn(*repeated, THRESHOLDS), abs=1e-12)
    assert Ranking(*repeated).measures(THRESHOLDS) == got  # the default weight is 1
    assert Ranking(*repeated).auc() == got["auc"]
    assert {type(value) for value in got.values()} == {float}


@pytest.mark.parametrize(
    ("photographic", "generated", "message"),
    [
        ([], [1.0], "scores of photographic faces: no faces"),
        ([1.0], [], "scores of AI-generated faces: no faces"),
        ([1.0, np.nan], [1.0], "scores of photographic faces: 1 of 2 are NaN"),
        ([1.0], [np.inf], "scores of AI-generated faces: 1 of 1"),
    ],
)
def test_a_class_without_usable_scores_is_a_clear_error(photographic, generated, message):
    with pytest.raises(PipelineError, match=message):
        Ranking(np.array(photographic), np.array(generated))
