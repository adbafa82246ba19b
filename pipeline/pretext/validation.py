"""How well the pretext task is solved on the validation set."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base.schema import Pretext
from pipeline.common.names import HEADS, TAGS
from pipeline.pretext import losses
from pipeline.pretext.batches import batch_slices
from pipeline.pretext.faces import FaceSet

SHORT = {"exposure_time_s": "exposure_time", "focal_length_mm": "focal_length"}
NAMES = tuple(SHORT.get(head, head) for head in HEADS)  # as in metrics: without units


def validation_metrics(
    scores: NDArray[np.float32], manipulated: NDArray[np.bool_], faces: FaceSet, settings: Pretext
) -> dict[str, Any]:
    """Ranking accuracy per tag on photographs, manipulation AUC, and the five losses.

    scores (m, 5) and manipulated (m,) follow `validation_plan`: the first n rows are the
    photographs. What cannot be computed is None, with the reason under `not_computed`."""
    if not len(faces):
        reason = "no validation face; raise split.validation, or add photographs of more authors"
        return {
            "ranking_accuracy": dict.fromkeys((*NAMES[:-1], "mean")),
            "manipulation_auc": None,
            "losses": dict.fromkeys((*NAMES, "total")),
            "not_computed": {"all": reason},
        }
    ranking = ranking_accuracies(scores[: len(faces)], faces.tags)
    auc = losses.detection_auc(scores[:, -1], manipulated)
    gap = "no two validation faces differ by 1/6 stop"
    missing = {f"ranking_accuracy.{name}": gap for name, value in ranking.items() if value is None}
    if auc is None:
        missing["manipulation_auc"] = "no validation face has a manipulation"
    return {
        "ranking_accuracy": ranking,
        "manipulation_auc": auc,
        "losses": validation_losses(scores, manipulated, faces, settings),
        "not_computed": missing,
    }


def ranking_accuracies(
    scores: NDArray[np.float32], tags: NDArray[np.float32]
) -> dict[str, float | None]:
    """Pairwise ranking accuracy per tag and their mean; scores (n, 5), tags (n, 4) in stops."""
    ranking = {
        NAMES[i]: losses.ranking_accuracy(scores[:, i], tags[:, i]) for i in range(len(TAGS))
    }
    known = [value for value in ranking.values() if value is not None]
    return {**ranking, "mean": sum(known) / len(known) if len(known) == len(TAGS) else None}


def validation_losses(
    scores: NDArray[np.float32], manipulated: NDArray[np.bool_], faces: FaceSet, settings: Pretext
) -> dict[str, float | None]:
    """The five losses and their sum.

    Ranking is over pairs within blocks of one batch, manipulation weighs photographs and
    manipulations as training draws them: so the numbers compare with the training losses."""
    outputs, tags = torch.from_numpy(scores), torch.from_numpy(faces.tags)  # (m, 5), (n, 4)
    sums = torch.zeros(len(TAGS), dtype=torch.float64)
    for part in batch_slices(len(faces), settings.batch_size):
        block = losses.ranking_losses(outputs[part], tags[part], settings.tie_stops)  # (4,)
        sums += block.double() * (part.stop - part.start)
    values: list[float | None] = [*(sums / len(faces)).tolist(), None]
    if manipulated.any():
        p = settings.photograph_share
        logits, truth = outputs[:, -1], torch.from_numpy(manipulated)
        negative = losses.manipulation_loss(logits[~truth], truth[~truth])
        positive = losses.manipulation_loss(logits[truth], truth[truth])
        values[-1] = float(p * negative + (1 - p) * positive)
    known = [value for value in values if value is not None]
    total = sum(known) if len(known) == len(NAMES) else None
    return {**dict(zip(NAMES, values, strict=True)), "total": total}
