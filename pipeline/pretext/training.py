"""The training loop of the pretext task, from a start encoder to held-out metrics."""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.base import processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.common import process_group
from pipeline.common.devices import deterministic, select_device
from pipeline.common.names import TAGS
from pipeline.common.process_group import ProcessGroup
from pipeline.encoder.preprocessing import crop_resize, normalise
from pipeline.encoder.network import Encoder
from pipeline.pretext import batches as datasets
from pipeline.pretext import losses
from pipeline.pretext import state as training_state
from pipeline.pretext.batches import Batch, FaceSet
from pipeline.pretext.global_batch import distribute, gather_scores, share_of
from pipeline.pretext.resume import Store
from pipeline.pretext.state import Training, diverged, learning_rate, start_training
from pipeline.pretext.validation import NAMES, evaluate


@dataclass(frozen=True)
class Result:
    """What training leaves: a row of numbers per epoch, the final held-out metrics, and the speed."""

    history: list[dict[str, float | int | None]]
    metrics: dict[str, Any]
    faces_per_second: float | None


class Interrupted(Exception):
    """The run was asked to end and its state is saved."""


@dataclass
class Run:
    """One run of training: what it computes with, who takes part, where its states are kept, and
    whether it is to end.
    """

    settings: Pretext
    seed: int
    team: ProcessGroup
    store: Store | None
    asked_to_end: Callable[[], bool]
    advance: Callable[[int], Any] = lambda faces: None

    def save_if(self, state: Training, *, now: bool) -> None:
        """Save the state where it is time to, or now; end if asked to. All processes of the team
        come and leave together.
        """
        end = self.team.any(self.asked_to_end())
        if end:
            terminal.requests_met()
        if self.store and self.team.first and (now or end or self.store.due()):
            started = time.monotonic()
            self.store.save(
                (state.epoch, state.step), training_state.to_bytes(state), started=started
            )
        if end:
            self.team.wait()  # the first process to leave would make torchrun end the one that saves
            raise Interrupted


def train(
    encoder: Encoder,
    faces: FaceSet,
    held_out: FaceSet,
    settings: Pretext,
    *,
    seed: int,
    store: Store | None = None,
    asked_to_end: Callable[[], bool] = lambda: False,
) -> Result:
    """Train the encoder in place on `faces`, measuring on `held_out` after every epoch.

    Deterministic on one machine: same weights for the same start, faces, settings and seed, also
    when it goes on from a state in `store`. With 0 epochs the encoder stays as it is, which gives
    the random-weight control. Several processes (torchrun) share each batch. PipelineError if a
    loss is not finite; Interrupted, with the state saved, if asked to end."""
    if settings.epochs and len(faces) < 2:
        raise PipelineError(
            f"{len(faces)} training faces: ranking needs two; see metrics/exif.json for what was "
            "rejected"
        )
    device = select_device(settings.device, key="pretext.device", number=processes.local_rank())
    with deterministic(), process_group.group(device) as team:
        encoder.to(device).to(memory_format=memory_format(settings))  # type: ignore[call-overload]
        run = Run(settings, seed, team, store, asked_to_end)
        state = start_training(encoder, settings)
        if saved := team.broadcast(store.newest() if store and team.first else None):
            training_state.from_bytes(state, saved)
        near, near_held_out = datasets.near([faces, held_out], device)
        run_epochs(run, state, near, near_held_out)
        encoder.eval().cpu()
    return Result(state.history, final_metrics(state, faces, held_out), speed(state, faces))


def run_epochs(run: Run, state: Training, faces: FaceSet, held_out: FaceSet) -> None:
    """From where the state is to the last epoch, with the held-out metrics after each."""
    settings, encoder = run.settings, state.encoder
    model = distribute(encoder, run.team)
    model = torch.compile(model) if settings.compile else model

    def score(batch: Batch) -> torch.Tensor:
        if run.team.count == 1:  # of a team, all must end at the same place
            run.save_if(state, now=False)
        return forward(encoder, batch, settings)

    def measure(per_face: int | None) -> dict[str, Any]:
        encoder.eval()
        return evaluate(score, held_out, settings, per_face=per_face, team=run.team)

    with terminal.progress(
        (), total=settings.epochs * len(faces), what="train_pretext", unit="face"
    ) as bar:
        run.advance = bar.update
        bar.update(state.epoch * len(faces) + int(state.losses[:, 0].sum()))
        while state.epoch < settings.epochs:
            trained = train_epoch(model, faces, state, run)
            last = (
                state.epoch + 1 == settings.epochs
            )  # only then is every manipulation of every face scored
            state.metrics = measure(None if last else 1)
            finish_epoch(state, trained)
            run.save_if(state, now=True)
    if not settings.epochs:
        state.metrics = measure(None)
        state.history.append(history_row(0, None, None, state.metrics))


def train_epoch(model: Any, faces: FaceSet, state: Training, run: Run) -> dict[str, float]:
    """One pass over the faces, each as photograph or as one manipulation; the mean losses of its
    steps.

    Goes on from the state's step, with the same batches as if it had begun with the first.
    """
    started = time.perf_counter()
    settings, device = run.settings, next(state.encoder.parameters()).device
    epoch, p = state.epoch + 1, settings.photograph_probability
    plan = datasets.epoch_plan(faces, seed=run.seed, epoch=epoch, photograph_probability=p)
    every = datasets.cut(len(faces), settings.batch_size)
    parts = every[state.step :]
    share = functools.partial(share_of, team=run.team)
    unread: list[tuple[int, torch.Tensor]] = []
    state.encoder.train()
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(settings, state.epoch)
    for batch in datasets.batches(faces, plan, parts, share=share, pin=device.type == "cuda"):
        whole = (
            len(batch) == settings.batch_size or run.team.count > 1
        )  # another size would be compiled, for one step
        five = pretext_losses(
            model if whole else state.encoder, batch.to(device), settings, run.team
        )  # (5,)
        state.optimiser.zero_grad(set_to_none=True)
        five.sum().backward()
        state.optimiser.step()
        unread.append((len(batch), five.detach()))
        run.advance(len(batch))
        last = state.step + len(unread) == len(every)  # the held-out pass that follows takes long
        if last or len(unread) == read_every(device):
            started = read_losses(state, unread, started)
            run.save_if(state, now=False)
    return mean_losses(state.losses)


def read_every(device: torch.device) -> int:
    """Steps between two readings of the losses: each one waits for the device."""
    return 20 if device.type == "cuda" else 1


def read_losses(state: Training, unread: list[tuple[int, torch.Tensor]], started: float) -> float:
    """Wait for the device and move losses into the state; the time of reading. PipelineError names
    a step that diverged.
    """
    if unread:
        values = torch.stack([five for _, five in unread]).double().cpu().numpy()  # (steps, 5)
        rows = np.column_stack([[faces for faces, _ in unread], values])
        for step, row in enumerate(rows, start=state.step + 1):
            broken = [
                f"loss of {name}"
                for name, value in zip(NAMES, row[1:], strict=True)
                if not math.isfinite(value)
            ]
            if broken:
                raise diverged(state, broken, step)
        state.losses = np.concatenate([state.losses, rows])
        state.step += len(unread)
        unread.clear()
    now = time.perf_counter()
    state.seconds += now - started
    return now


def mean_losses(rows: np.ndarray) -> dict[str, float]:
    """Mean of each loss over the faces of an epoch, and of their sum, from rows (steps, 1 + 5) of
    faces and losses.
    """
    means = (rows[:, 0] @ rows[:, 1:] / rows[:, 0].sum()).tolist()
    return {**dict(zip(NAMES, means, strict=True)), "total": sum(means)}


def finish_epoch(state: Training, trained: dict[str, float]) -> None:
    """Close the epoch under way with its row of the history."""
    rate = state.optimiser.param_groups[0]["lr"]
    state.epoch += 1
    state.history.append(history_row(state.epoch, rate, trained, state.metrics))
    state.step, state.losses = 0, state.losses[:0]


def forward(model: Any, batch: Batch, settings: Pretext) -> torch.Tensor:
    """Scores (m, 5) float32 of this process's share of a batch on the model's device: crop and
    resize, normalise, encode.
    """
    with torch.no_grad():
        size = settings.input_size
        pixels = crop_resize(
            batch.pixels, batch.boxes, size, antialias=settings.antialias
        )  # (m, 3, size, size)
        inputs = normalise(pixels).contiguous(memory_format=memory_format(settings))
    with torch.autocast(
        inputs.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"
    ):
        _, scores = model(inputs)  # (m, 5)
    return scores.float()


def pretext_losses(
    model: Any, batch: Batch, settings: Pretext, team: ProcessGroup | None = None
) -> torch.Tensor:
    """The five losses (5,) of a whole batch in the order of HEADS; their plain sum is what training
    minimises.

    The tags' terms apply to manipulated faces too: a manipulation leaves the traces of the camera
    in place."""
    scores = gather_scores(forward(model, batch, settings), len(batch), team or ProcessGroup())  # (n, 5)
    terms = [losses.ranking_loss(scores[:, i], batch.tags[:, i]) for i in range(len(TAGS))]
    terms.append(losses.manipulation_loss(scores[:, -1], batch.manipulated))
    return torch.stack(terms)


def history_row(
    epoch: int, rate: float | None, trained: dict[str, float] | None, metrics: dict[str, Any]
) -> dict[str, float | int | None]:
    """One row of metrics/pretext_history.csv. Epoch 0 is the untrained encoder of a run with 0
    epochs.
    """
    names = (*NAMES, "total")
    return {
        "epoch": epoch,
        "learning_rate": rate,
        **{f"train_loss_{name}": trained[name] if trained else None for name in names},
        **{f"held_out_loss_{name}": metrics["losses"][name] for name in names},
        **{
            f"ranking_accuracy_{name}": value for name, value in metrics["ranking_accuracy"].items()
        },
        "manipulation_auc": metrics["manipulation_auc"],
    }


def final_metrics(state: Training, faces: FaceSet, held_out: FaceSet) -> dict[str, Any]:
    """The held-out metrics of the last epoch with the losses of its training beside them."""
    train_losses = {name: state.history[-1][f"train_loss_{name}"] for name in (*NAMES, "total")}
    return {
        **state.metrics,
        "epochs": state.epoch,
        "losses": {"train": train_losses, "held_out": state.metrics["losses"]},
        "faces": {"train": len(faces), "held_out": len(held_out)},
    }


def speed(state: Training, faces: FaceSet) -> float | None:
    """Faces per second of all training steps."""
    return state.epoch * len(faces) / state.seconds if state.seconds else None


def memory_format(settings: Pretext) -> torch.memory_format:
    """Layout of inputs and weights."""
    return torch.channels_last if settings.channels_last else torch.contiguous_format
