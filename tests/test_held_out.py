from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.pretext import losses
from pipeline.pretext.batches import FaceSet
from pipeline.pretext.validation import (
    NAMES,
    evaluate,
    held_out_losses,
    held_out_scores,
    ranking_accuracies,
)

SETTINGS: Any = SimpleNamespace(batch_size=4, photograph_probability=0.5)


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
    )


def noisy(batch):
    """Scores that depend on the picture alone: wrong often enough to be interesting."""
    value = batch.pixels[:, 0, 0, 0].float()
    return torch.stack([torch.sin(value * (i + 1)) for i in range(5)], dim=1)


def test_names_have_no_units():
    assert NAMES == ("iso", "f_number", "exposure_time", "focal_length", "manipulation")


def test_scores_are_the_photographs_then_every_manipulation():
    scores, manipulated = held_out_scores(noisy, make(7), 4, per_face=None)
    expected = np.sin(np.concatenate([np.arange(7), 100 + np.arange(28)]))
    assert scores[:, 0] == pytest.approx(expected, abs=1e-5)
    assert manipulated.tolist() == [False] * 7 + [True] * 28


def test_metrics_agree_with_independent_ones():
    faces = make(11)
    metrics = evaluate(noisy, faces, SETTINGS)
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
    assert (
        metrics["ranking_accuracy"]["mean"] == pytest.approx(np.mean(four))
        and metrics["not_computed"] == {}
    )


def test_fewer_manipulations_leave_the_ranking_as_it_is():
    faces = make(9)
    every, one = (evaluate(noisy, faces, SETTINGS, per_face=k) for k in (None, 1))
    assert every["ranking_accuracy"] == one["ranking_accuracy"]
    assert every["manipulation_auc"] != one["manipulation_auc"]


def test_losses_are_means_over_blocks_weighted_as_in_training():
    faces = make(6, per_face=2)
    scores, manipulated = held_out_scores(noisy, faces, 4, per_face=None)
    settings: Any = SimpleNamespace(batch_size=4, photograph_probability=0.75)
    found = held_out_losses(scores, manipulated, faces, settings)
    s, t = torch.from_numpy(scores), torch.from_numpy(faces.tags)
    blocks = [
        losses.ranking_loss(s[part, 1], t[part, 1]) * n
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
    assert ranking_accuracies(np.c_[tags, tags[:, 0]].astype(np.float32), tags)["mean"] == 1
    metrics = evaluate(lambda batch: torch.zeros(len(batch.boxes), 5), make(8, tags=tags), SETTINGS)
    assert metrics["ranking_accuracy"]["mean"] == 0.5 and metrics["manipulation_auc"] == 0.5


def test_what_cannot_be_computed_is_null_with_a_reason():
    tags = np.array([[1, 2, 3, 4], [1, 5, 3, 4.1]])
    metrics = evaluate(noisy, make(2, per_face=0, tags=tags), SETTINGS)
    assert metrics["ranking_accuracy"]["f_number"] in (0, 1)
    assert (
        metrics["ranking_accuracy"]["iso"]
        is metrics["ranking_accuracy"]["mean"]
        is metrics["manipulation_auc"]
        is None
    )
    assert metrics["losses"]["manipulation"] is metrics["losses"]["total"] is None
    assert metrics["losses"]["iso"] is not None
    assert set(metrics["not_computed"]) == {
        "ranking_accuracy.iso",
        "ranking_accuracy.exposure_time",
        "ranking_accuracy.focal_length",
        "ranking_accuracy.mean",
        "manipulation_auc",
    }


@pytest.mark.parametrize("n", [0, 1])
def test_nearly_no_held_out_face(n):
    metrics = evaluate(noisy, make(n), SETTINGS)
    assert metrics["ranking_accuracy"]["mean"] is None and metrics["not_computed"]
    assert (metrics["manipulation_auc"] is None) == (n == 0)
    assert set(metrics["losses"]) == {*NAMES, "total"}
