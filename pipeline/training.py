"""The training loop of the pretext task, from a start encoder to held-out metrics."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pipeline import console, datasets, losses
from pipeline.datasets import Batch, FaceSet
from pipeline.devices import deterministic, select_device
from pipeline.encoder import HEADS, Encoder, normalise
from pipeline.errors import PipelineError
from pipeline.exif import TAGS
from pipeline.faces import crop_resize
from pipeline.held_out import NAMES, evaluate
from pipeline.params import Pretext

READ_EVERY = 20  # steps between two readings of the losses; each reading waits for the device


@dataclass
class Training:
    """All that changes while training runs: what a resumed run would need."""

    encoder: Encoder
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0
    seconds: float = 0.0  # spent on training steps, without the held-out metrics
    history: list[dict[str, float | int | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """What training leaves: a row of numbers per epoch, the final held-out metrics, and the speed."""

    history: list[dict[str, float | int | None]]
    metrics: dict[str, Any]
    faces_per_second: float | None


def train(encoder: Encoder, faces: FaceSet, held_out: FaceSet, settings: Pretext, *, seed: int) -> Result:
    """Train the encoder in place on `faces`, measuring on `held_out` after every epoch.

    Deterministic on one machine: same weights for the same start, faces, settings and seed. With 0 epochs the
    encoder stays as it is, which gives the random-weight control. PipelineError if a loss is not finite.
    """
    if settings.epochs and len(faces) < 2:
        raise PipelineError(f"{len(faces)} training faces: ranking needs two; see metrics/exif.json for what was rejected")
    device = select_device(settings.device, key="pretext.device")
    with deterministic():
        encoder.to(device).to(memory_format=memory_format(settings))  # type: ignore[call-overload]
        state = start_training(encoder, settings)
        model = torch.compile(encoder) if settings.compile else encoder
        total = settings.epochs * len(faces)

        def measure(per_face: int | None) -> dict[str, Any]:
            encoder.eval()
            return evaluate(lambda batch: forward(encoder, batch, settings), held_out, settings, per_face=per_face)

        with console.progress((), total=total, what="train_pretext", unit="face") as bar:
            while state.epoch < settings.epochs:
                rate = state.optimiser.param_groups[0]["lr"]
                trained = train_epoch(model, faces, state, settings, seed=seed, advance=bar.update)
                last = state.epoch == settings.epochs  # only then is every manipulation of every face scored
                metrics = measure(None if last else 1)
                state.history.append(history_row(state.epoch, rate, trained, metrics))
        if not settings.epochs:
            metrics = measure(None)
            state.history.append(history_row(0, None, None, metrics))
        encoder.eval().cpu()
    train_losses = {name: state.history[-1][f"train_loss_{name}"] for name in (*NAMES, "total")}
    metrics = {
        **metrics,
        "epochs": settings.epochs,
        "losses": {"train": train_losses, "held_out": metrics["losses"]},
        "faces": {"train": len(faces), "held_out": len(held_out)},
    }
    return Result(state.history, metrics, total / state.seconds if state.seconds else None)


def train_epoch(
    model: Any, faces: FaceSet, state: Training, settings: Pretext, *, seed: int, advance: Callable[[int], Any]
) -> dict[str, float]:
    """One pass over the faces, each as photograph or as one manipulation; the mean losses of its steps."""
    started = time.perf_counter()
    state.epoch += 1
    running = RunningLosses(state.epoch, state.optimiser.param_groups[0]["lr"])
    device = next(state.encoder.parameters()).device
    p = settings.photograph_probability
    plan = datasets.epoch_plan(faces, seed=seed, epoch=state.epoch, photograph_probability=p)
    state.encoder.train()
    for batch in datasets.batches(faces, plan, settings.batch_size):
        whole = len(batch.boxes) == settings.batch_size  # another size would be compiled anew, for one step
        five = pretext_losses(model if whole else state.encoder, batch.to(device), settings)  # (5,)
        state.optimiser.zero_grad(set_to_none=True)
        five.sum().backward()
        state.optimiser.step()
        running.add(five.detach(), len(batch.boxes))
        advance(len(batch.boxes))
    state.schedule.step()
    means = running.mean()  # also waits for the device, so that the seconds are true
    state.seconds += time.perf_counter() - started
    return means


def start_training(encoder: Encoder, settings: Pretext) -> Training:
    """Adam and the cosine schedule, which is stepped once per epoch, at their start."""
    optimiser = torch.optim.Adam(
        encoder.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=settings.schedule_epochs, eta_min=settings.minimum_learning_rate
    )
    return Training(encoder, optimiser, schedule)


def forward(model: Any, batch: Batch, settings: Pretext) -> torch.Tensor:
    """Scores (n, 5) float32 of a batch on the model's device: one crop-and-resize, normalise, encode."""
    with torch.no_grad():
        size = settings.input_size
        pixels = crop_resize(batch.pixels, batch.boxes, size, antialias=settings.antialias)  # (n, 3, size, size)
        inputs = normalise(pixels).contiguous(memory_format=memory_format(settings))
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        _, scores = model(inputs)  # (n, 5)
    return scores.float()


def pretext_losses(model: Any, batch: Batch, settings: Pretext) -> torch.Tensor:
    """The five losses (5,) of a batch in the order of HEADS; their plain sum is what training minimises.

    The tags' terms apply to manipulated faces too: a manipulation leaves the traces of the camera in place.
    """
    scores = forward(model, batch, settings)  # (n, 5)
    terms = [losses.ranking_loss(scores[:, i], batch.tags[:, i]) for i in range(len(TAGS))]
    terms.append(losses.manipulation_loss(scores[:, -1], batch.manipulated))
    return torch.stack(terms)


class RunningLosses:
    """Mean of the five losses over an epoch, kept on the device and read every READ_EVERY steps."""

    def __init__(self, epoch: int, rate: float) -> None:
        self.epoch, self.rate = epoch, rate
        self.steps = self.faces = 0
        self.sums = np.zeros(len(HEADS))
        self.unread: list[tuple[torch.Tensor, int]] = []

    def add(self, five: torch.Tensor, faces: int) -> None:
        """Take the losses (5,) of one step over that many faces."""
        self.unread.append((five, faces))
        if len(self.unread) >= READ_EVERY:
            self.read()

    def read(self) -> None:
        """Wait for the device and add up; PipelineError names the first step whose loss is not finite."""
        if not self.unread:
            return
        values = torch.stack([five for five, _ in self.unread]).double().cpu().numpy()  # (steps, 5)
        weights = np.array([faces for _, faces in self.unread])
        broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(broken):
            heads = ", ".join(name for name, v in zip(NAMES, values[broken[0]], strict=True) if not math.isfinite(v))
            raise PipelineError(
                f"training diverged: the loss of {heads} is not finite in epoch {self.epoch}, step "
                f"{self.steps + broken[0] + 1}, at learning rate {self.rate:g}. Lower pretext.learning_rate by ten, "
                "or set pretext.precision to float32."
            )
        self.sums += weights @ values
        self.steps += len(weights)
        self.faces += int(weights.sum())
        self.unread = []

    def mean(self) -> dict[str, float]:
        """Mean of each loss over the epoch's faces, and of their sum."""
        self.read()
        means = (self.sums / self.faces).tolist()
        return {**dict(zip(NAMES, means, strict=True)), "total": sum(means)}


def history_row(
    epoch: int, rate: float | None, trained: dict[str, float] | None, metrics: dict[str, Any]
) -> dict[str, float | int | None]:
    """One row of metrics/pretext_history.csv. Epoch 0 is the untrained encoder of a run with 0 epochs."""
    names = (*NAMES, "total")
    return {
        "epoch": epoch,
        "learning_rate": rate,
        **{f"train_loss_{name}": trained[name] if trained else None for name in names},
        **{f"held_out_loss_{name}": metrics["losses"][name] for name in names},
        **{f"ranking_accuracy_{name}": value for name, value in metrics["ranking_accuracy"].items()},
        "manipulation_auc": metrics["manipulation_auc"],
    }


def memory_format(settings: Pretext) -> torch.memory_format:
    """Layout of inputs and weights."""
    return torch.channels_last if settings.channels_last else torch.contiguous_format
