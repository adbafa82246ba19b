"""How well the pretext task is solved on faces that training has not seen."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base.schema import Pretext
from pipeline.common.names import HEADS, TAGS
from pipeline.common.process_group import ProcessGroup
from pipeline.pretext import batches as datasets
from pipeline.pretext import losses
from pipeline.pretext.batches import Batch, FaceSet

SHORT = {"exposure_time_s": "exposure_time", "focal_length_mm": "focal_length"}
NAMES = tuple(
    SHORT.get(head, head) for head in HEADS
)  # as in metrics/pretext.json: names without units
Scorer = Callable[
    [Batch], torch.Tensor
]  # a batch on the CPU -> scores (n, 5) in the order of HEADS


def evaluate(
    score: Scorer,
    faces: FaceSet,
    settings: Pretext,
    *,
    per_face: int | None = None,
    team: ProcessGroup | None = None,
) -> dict[str, Any]:
    """Ranking accuracy per tag on photographs, manipulation AUC, and the five losses.

    per_face: manipulations scored per face, all of them by default. What cannot be computed is
    None, with the reason under `not_computed`. The processes of a team share the batches out; all
    get the same result."""
    if not len(faces):
        reason = "no held-out face; raise split.validation, or add photographs of more authors"
        return {
            "ranking_accuracy": dict.fromkeys((*NAMES[:-1], "mean")),
            "manipulation_auc": None,
            "losses": dict.fromkeys((*NAMES, "total")),
            "not_computed": {"all": reason},
        }
    scores, manipulated = held_out_scores(
        score, faces, settings.batch_size, per_face=per_face, team=team
    )
    ranking = ranking_accuracies(
        scores[: len(faces)], faces.tags
    )  # the first n rows are the photographs
    auc = losses.detection_auc(scores[:, -1], manipulated)
    gap = "no two held-out faces differ by 1/6 stop"
    missing = {f"ranking_accuracy.{name}": gap for name, value in ranking.items() if value is None}
    if auc is None:
        missing["manipulation_auc"] = "no held-out face has a manipulation"
    return {
        "ranking_accuracy": ranking,
        "manipulation_auc": auc,
        "losses": held_out_losses(scores, manipulated, faces, settings),
        "not_computed": missing,
    }


def held_out_scores(
    score: Scorer,
    faces: FaceSet,
    batch_size: int,
    *,
    per_face: int | None = None,
    team: ProcessGroup | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores (m, 5) and manipulated (m,): all photographs in the order of `faces`, then the
    manipulations.
    """
    team = team or ProcessGroup()
    plan = datasets.held_out_plan(faces, per_face=per_face)
    own = datasets.cut(len(plan[0]), batch_size)[
        team.rank :: team.count
    ]  # whole batches: the same bits for any team
    scores = np.zeros((len(plan[0]), len(HEADS)), np.float32)
    with torch.no_grad():
        for part, batch in zip(own, datasets.batches(faces, plan, own), strict=True):
            scores[part] = score(batch).float().cpu().numpy()
    return team.assemble(scores), plan[1] != datasets.PHOTOGRAPH


def ranking_accuracies(
    scores: NDArray[np.float32], tags: NDArray[np.float32]
) -> dict[str, float | None]:
    """Pairwise ranking accuracy per tag and their mean, from scores (n, 5) and tags (n, 4) in
    stops.
    """
    ranking = {
        NAMES[i]: losses.ranking_accuracy(scores[:, i], tags[:, i]) for i in range(len(TAGS))
    }
    known = [value for value in ranking.values() if value is not None]
    return {**ranking, "mean": sum(known) / len(known) if len(known) == len(TAGS) else None}


def held_out_losses(
    scores: NDArray[np.float32], manipulated: NDArray[np.bool_], faces: FaceSet, settings: Pretext
) -> dict[str, float | None]:
    """The five losses and their sum from scores (m, 5), of which the first n rows are the
    photographs in order.

    Ranking is over pairs within blocks of one batch, manipulation weighs photographs and
    manipulations as training draws them: so the numbers compare with the training losses."""
    outputs, tags = torch.from_numpy(scores), torch.from_numpy(faces.tags)
    sums = torch.zeros(len(TAGS), dtype=torch.float64)
    for part in datasets.cut(len(faces), settings.batch_size):
        block = [losses.ranking_loss(outputs[part, i], tags[part, i]) for i in range(len(TAGS))]
        sums += torch.stack(block).double() * (part.stop - part.start)
    values: dict[str, float | None] = dict(
        zip(NAMES[:-1], (sums / len(faces)).tolist(), strict=True)
    )
    values[NAMES[-1]] = None
    if manipulated.any():
        p = settings.photograph_probability
        logits, truth = outputs[:, -1], torch.from_numpy(manipulated)
        negative = losses.manipulation_loss(logits[~truth], truth[~truth])
        positive = losses.manipulation_loss(logits[truth], truth[truth])
        values[NAMES[-1]] = float(p * negative + (1 - p) * positive)
    known = [value for value in values.values() if value is not None]
    return {**values, "total": sum(known) if len(known) == len(NAMES) else None}
