"""How well the pretext task is solved on the validation set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base.schema import Pretext
from pipeline.pretext import losses
from pipeline.pretext.batches import batch_slices
from pipeline.pretext.faces import FaceSet

SHORT = {"exposure_time_s": "exposure_time", "focal_length_mm": "focal_length"}


def short(heads: Sequence[str]) -> tuple[str, ...]:
    """Heads as in metrics: without units."""
    return tuple(SHORT.get(head, head) for head in heads)


def validation_metrics(
    scores: NDArray[np.float32], manipulated: NDArray[np.bool_], faces: FaceSet, settings: Pretext
) -> dict[str, Any]:
    """Ranking accuracy and tie rate per tag on photographs, manipulation AUC, and the losses.

    scores (m, t + 1) and manipulated (m,) follow `validation_plan`: the first n rows are the
    photographs. What cannot be computed is None, with the reason under `not_computed`."""
    names = short(faces.heads)
    ties = [losses.tie_rate(values, settings.tie_stops) for values in faces.tags.T]
    tie_rate = dict(zip(names, ties, strict=False))  # manipulation has none
    if not len(faces):
        reason = "no validation face; raise split.validation, or add photographs of more authors"
        return {
            "ranking_accuracy": dict.fromkeys((*names[:-1], "mean")),
            "tie_rate": tie_rate,
            "manipulation_auc": None,
            "losses": dict.fromkeys((*names, "total")),
            "not_computed": {"all": reason},
        }
    ranking = ranking_accuracies(scores[: len(faces)], faces)
    auc = losses.detection_auc(scores[:, -1], manipulated)
    gap = "no two validation faces that have it differ by 1/6 stop"
    missing = {f"ranking_accuracy.{name}": gap for name, value in ranking.items() if value is None}
    if auc is None:
        missing["manipulation_auc"] = "no validation face has a manipulation"
    return {
        "ranking_accuracy": ranking,
        "tie_rate": tie_rate,
        "manipulation_auc": auc,
        "losses": validation_losses(scores, manipulated, faces, settings),
        "not_computed": missing,
    }


def ranking_accuracies(scores: NDArray[np.float32], faces: FaceSet) -> dict[str, float | None]:
    """Pairwise ranking accuracy per tag and their mean, None unless all are known; scores
    (n, t + 1) of the faces as photographs.
    """
    columns = zip(short(faces.heads), scores.T, faces.tags.T, strict=False)  # manipulation apart
    ranking = {name: losses.ranking_accuracy(own, values) for name, own, values in columns}
    known = [value for value in ranking.values() if value is not None]
    return {**ranking, "mean": sum(known) / len(known) if len(known) == len(ranking) else None}


def validation_losses(
    scores: NDArray[np.float32], manipulated: NDArray[np.bool_], faces: FaceSet, settings: Pretext
) -> dict[str, float | None]:
    """The losses and their sum.

    Ranking is over pairs within blocks of one batch, manipulation weighs photographs and
    manipulations as training draws them: so the numbers compare with the training losses."""
    outputs, tags = torch.from_numpy(scores), torch.from_numpy(faces.tags)  # (m, t + 1), (n, t)
    sums, seen = torch.zeros(2, len(faces.ranked), dtype=torch.float64)
    for part in batch_slices(len(faces), settings.batch_size):
        block = losses.ranking_losses(outputs[part], tags[part], settings.tie_stops)  # (t,)
        count = (part.stop - part.start) * losses.has_pairs(tags[part])
        sums += block.double() * count
        seen += count
    pairs = zip(sums.tolist(), seen.tolist(), strict=True)
    values: list[float | None] = [*(total / n if n else None for total, n in pairs), None]
    if manipulated.any():
        p = settings.photograph_share
        logits, truth = outputs[:, -1], torch.from_numpy(manipulated)
        negative = losses.manipulation_loss(logits[~truth], truth[~truth])
        positive = losses.manipulation_loss(logits[truth], truth[truth])
        values[-1] = float(p * negative + (1 - p) * positive)
    known = [value for value in values if value is not None]
    names = short(faces.heads)
    total = sum(known) if len(known) == len(names) else None
    return {**dict(zip(names, values, strict=True)), "total": total}
