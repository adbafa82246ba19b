from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.common.names import HEADS
from pipeline.pretext import losses
from pipeline.pretext.batches import validation_plan
from pipeline.pretext.faces import PHOTOGRAPH, FaceSet
from pipeline.pretext.validation import (
    ranking_accuracies,
    short,
    validation_losses,
    validation_metrics,
)
from tests.pretext_world import FOUR

NAMES = short(HEADS)

SETTINGS: Any = SimpleNamespace(batch_size=4, photograph_share=0.5, tie_stops=0.1667)


def make(n, per_face=4, tags=None):
    """Faces whose first pixel is their number; a manipulation's is 100 + its row."""
    rng = np.random.default_rng(n)

    def pixels(values):
        return (
            np.asarray(values, dtype=np.uint8)[:, None, None, None]
            .repeat(2, 1)
            .repeat(2, 2)
            .repeat(3, 3)
        )

    return FaceSet(
        photographs=pixels(np.arange(n)),
        manipulations=pixels(100 + np.arange(n * per_face)),
        hashes=np.arange(n, dtype=np.uint64),
        rows=np.arange(n),
        boxes=np.zeros((n, 4), np.float32),
        tags=rng.normal(size=(n, 4)).astype(np.float32)
        if tags is None
        else np.asarray(tags, np.float32),
        manipulated_rows=np.arange(n * max(per_face, 1)).reshape(n, max(per_face, 1)),
        manipulated_counts=np.full(n, per_face),
        ranked=FOUR,
    )


def noisy(faces, per_face=None):
    """Scores of a validation plan that depend on the picture alone: wrong often enough to be
    interesting; and which pictures are manipulated.
    """
    order, shown = validation_plan(faces, per_face=per_face)
    value = np.where(shown == PHOTOGRAPH, order, 100 + shown)
    scores = np.sin(value[:, None] * np.arange(1, 6)).astype(np.float32)
    return scores, shown != PHOTOGRAPH


def metrics_of(faces, per_face=None):
    scores, manipulated = noisy(faces, per_face)
    return validation_metrics(scores, manipulated, faces, SETTINGS)


def test_metrics_agree_with_independent_ones():
    faces = make(11)
    metrics = metrics_of(faces)
    value = np.concatenate([np.arange(11), 100 + np.arange(44)])
    scores = np.sin(value[:, None] * np.arange(1, 6)).astype(np.float32)
    auc = roc_auc_score(value >= 100, scores[:, 4])
    assert metrics["manipulation_auc"] == pytest.approx(auc, abs=1e-6)
    for i, name in enumerate(NAMES[:4]):
        right = [
            (scores[a, i] > scores[b, i]) == (faces.tags[a, i] > faces.tags[b, i])
            for a in range(11)
            for b in range(a)
            if abs(faces.tags[a, i] - faces.tags[b, i]) >= 1 / 6
        ]
        assert metrics["ranking_accuracy"][name] == pytest.approx(np.mean(right), abs=1e-6)
    four = [metrics["ranking_accuracy"][name] for name in NAMES[:4]]
    assert metrics["ranking_accuracy"]["mean"] == pytest.approx(np.mean(four))
    assert metrics["not_computed"] == {}


def test_fewer_manipulations_leave_the_ranking_as_it_is():
    faces = make(9)
    every, one = (metrics_of(faces, k) for k in (None, 1))
    assert every["ranking_accuracy"] == one["ranking_accuracy"]
    assert every["manipulation_auc"] != one["manipulation_auc"]


def test_losses_are_means_over_blocks_weighted_as_in_training():
    faces = make(6, per_face=2)
    scores, manipulated = noisy(faces)
    settings: Any = SimpleNamespace(batch_size=4, photograph_share=0.75, tie_stops=0.5)
    found = validation_losses(scores, manipulated, faces, settings)
    s, t = torch.from_numpy(scores), torch.from_numpy(faces.tags)
    blocks = [
        losses.ranking_loss(s[part, 1], t[part, 1], tolerance=0.5) * n
        for part, n in ((slice(0, 4), 4), (slice(4, 6), 2))
    ]
    assert found["f_number"] == pytest.approx(float(sum(blocks)) / 6, abs=1e-6)
    p = torch.sigmoid(s[:, 4].double())
    parts = [(1 - torch.sqrt(q + 1e-8) - 1e-4).mean() for q in (1 - p[:6], p[6:])]
    assert found["manipulation"] == pytest.approx(
        float(0.75 * parts[0] + 0.25 * parts[1]), abs=1e-6
    )
    assert found["total"] == pytest.approx(sum(found[name] or 0 for name in NAMES))


def test_perfect_and_constant_scorers():
    tags = np.linspace(0, 4, 8, dtype=np.float32)[:, None].repeat(4, 1)
    faces = make(8, tags=tags)
    assert ranking_accuracies(np.c_[tags, tags[:, 0]].astype(np.float32), faces)["mean"] == 1
    metrics = validation_metrics(np.zeros((40, 5), np.float32), noisy(faces)[1], faces, SETTINGS)
    assert metrics["ranking_accuracy"]["mean"] == 0.5 and metrics["manipulation_auc"] == 0.5


def test_what_cannot_be_computed_is_null_with_a_reason():
    tags = np.array([[1, 2, 3, 4], [1, 5, 3, 4.1]])
    metrics = metrics_of(make(2, per_face=0, tags=tags))
    assert metrics["ranking_accuracy"]["f_number"] in (0, 1)
    absent = [metrics["ranking_accuracy"][name] for name in ("iso", "mean")]
    assert [*absent, metrics["manipulation_auc"]] == [None] * 3
    assert metrics["losses"]["manipulation"] is metrics["losses"]["total"] is None
    assert metrics["losses"]["iso"] is not None
    names = ("iso", "exposure_time", "focal_length", "mean")
    missing = {f"ranking_accuracy.{name}" for name in names} | {"manipulation_auc"}
    assert set(metrics["not_computed"]) == missing


@pytest.mark.parametrize("n", [0, 1])
def test_nearly_no_validation_face(n):
    metrics = metrics_of(make(n))
    assert metrics["ranking_accuracy"]["mean"] is None and metrics["not_computed"]
    assert (metrics["manipulation_auc"] is None) == (n == 0)
    assert set(metrics["losses"]) == {*NAMES, "total"}
