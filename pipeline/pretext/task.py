"""A run of the pretext task from its files: the faces, training that goes on where it was ended,
the encoder's description.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.base import processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.common import artifacts, randomness, shards
from pipeline.common.names import BOX_COLUMNS, HEADS
from pipeline.encoder import checkpoints
from pipeline.encoder.preprocessing import square_box
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import CLIP_MEAN, CLIP_STD
from pipeline.pretext import resume
from pipeline.pretext.batches import FaceSet, face_set
from pipeline.pretext.training import Interrupted, Result, train

RESUME = ".resume"  # folder of saved states beside the encoder; one run at a time holds its lock
ENDED_ON_REQUEST = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run again


@dataclass(frozen=True)
class Task:
    """All that decides what training results in, but for the start weights and the code."""

    settings: Pretext
    seed: int
    inputs: Sequence[Path]  # files and folders that the faces come from
    shuffled: bool = False  # whether the training faces carry each other's EXIF tags


@contextlib.contextmanager
def trained(
    task: Task, faces: FaceSet, held_out: FaceSet, *, states: Path
) -> Iterator[tuple[Encoder, Result] | None]:
    """The trained encoder with its results, to be written inside: afterwards the run's states in
    the folder `states` are gone.

    None on all processes of a run but the first. Asked to end, the run saves its state and exits
    with ENDED_ON_REQUEST; it goes on from there when it is started again with the same task, start
    weights, files and code."""
    settings, first = task.settings, processes.rank() == 0
    model = checkpoints.start_encoder(
        settings.start, settings.architecture, settings.feature_dim, seed=task.seed
    )
    with (
        resume.lock(states) if first else contextlib.nullcontext(),
        terminal.requests_to_end() as asked_to_end,
    ):
        store = resume.Store(states, fingerprint(model, task)) if first else None
        try:
            result = train(
                model,
                faces,
                held_out,
                settings,
                seed=task.seed,
                store=store,
                asked_to_end=asked_to_end,
            )
        except Interrupted:
            if first:
                print(
                    "ended on request, the state is saved: run again (dvc repro), and training goes on from here",
                    flush=True,
                )
            raise SystemExit(ENDED_ON_REQUEST) from None
        yield (model, result) if store else None
        if store:
            store.clear()


def fingerprint(start: Encoder, task: Task) -> str:
    """The name of a run's saved states: another one for any other task, start weights, faces or
    code.
    """
    weights = hashlib.sha256()
    for tensor in start.state_dict().values():
        weights.update(tensor.contiguous().numpy().tobytes())
    settings = {**described(task), "start": weights.hexdigest(), "torch": torch.__version__}
    return resume.fingerprint(settings, task.inputs)


def read_faces(faces: Path, manipulated: Path, face_scale: float) -> tuple[FaceSet, FaceSet]:
    """The training and the held-out faces with their manipulations."""
    table = artifacts.read_table(faces / "faces.parquet")
    operations = artifacts.read_table(manipulated / "manipulated.parquet")
    photographs, manipulations = shards.read_shards(faces), shards.read_shards(manipulated)
    height, width, _ = photographs.shape
    sets = []
    for split in ("train", "validation"):
        part = table[table["split"] == split]
        try:
            boxes = square_box(part[list(BOX_COLUMNS)].to_numpy(float), face_scale, width, height)
        except ValueError as error:
            raise PipelineError(
                f"{faces}/faces.parquet, split {split}: {error}; filter_exif should reject it"
            ) from error
        sets.append(face_set(part, photographs, operations, manipulations, boxes))
    return sets[0], sets[1]


def shuffle_tags(faces: FaceSet, seed: int) -> FaceSet:
    """The faces, each with all four tags of another one (or, by chance, its own); pictures and
    manipulations stay.
    """
    order = randomness.generator(seed, "controls shuffled").permutation(len(faces))
    return dataclasses.replace(faces, tags=faces.tags[order])


def save(encoder: Encoder, task: Task, path: Path) -> None:
    """Write the encoder with metadata by which it can be used without this repository's
    params.yaml.
    """
    settings = task.settings
    meta = {
        "input_size": settings.input_size,
        "face_scale": settings.face_scale,
        "resize": "bilinear",
        "antialias": settings.antialias,
        "mean": CLIP_MEAN,
        "std": CLIP_STD,
        "tags": HEADS[:4],
        "heads": HEADS,
        "params": described(task),
    }
    checkpoints.save_encoder(path, encoder, meta)


def described(task: Task) -> dict[str, Any]:
    """The numbers of a task as JSON values."""
    numbers = {"seed": task.seed, "pretext": task.settings.model_dump(mode="json")}
    return numbers | ({"exif_tags": "shuffled"} if task.shuffled else {})


def show(result: Result, what: str = "Pretext task") -> None:
    """Print the held-out metrics, and why any is missing."""
    metrics, losses = result.metrics, result.metrics["losses"]
    rows = [
        {
            "head": name,
            "training loss": losses["train"][name],
            "held-out loss": losses["held_out"][name],
            "ranking accuracy": metrics["ranking_accuracy"].get(name),
            "AUC": metrics["manipulation_auc"] if name == "manipulation" else None,
        }
        for name in losses["train"]
    ]
    rows.append(
        dict.fromkeys(rows[0])
        | {"head": "mean", "ranking accuracy": metrics["ranking_accuracy"]["mean"]}
    )
    counts = metrics["faces"]
    terminal.table(
        rows, f"{what} on {counts['train']:,} training and {counts['held_out']:,} held-out faces"
    )
    for name, reason in metrics["not_computed"].items():
        print(f"not computed: {name}: {reason}")
    if result.faces_per_second:
        print(f"{result.faces_per_second:.0f} faces per second")
