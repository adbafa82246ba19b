"""The training loop of the pretext task, top to bottom: setup, epochs, steps, validation,
checkpoints.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.common import process_group, randomness
from pipeline.common.devices import arithmetic, resolve_precision, select_device
from pipeline.common.names import HEADS
from pipeline.common.process_group import ProcessGroup
from pipeline.encoder.network import Encoder
from pipeline.pretext import losses
from pipeline.pretext.augmentation import change_of_epoch
from pipeline.pretext.batches import (
    Plan,
    batch_slices,
    batches,
    epoch_plan,
    paired_plan,
    validation_plan,
)
from pipeline.pretext.checkpoint import CheckpointFile, State, check_finite, diverged, restore
from pipeline.pretext.faces import PHOTOGRAPH, Batch, FaceSet
from pipeline.pretext.global_batch import distribute, gather_scores, own_slice
from pipeline.pretext.model import PretextModel, check_compiler, compiled
from pipeline.pretext.optimisation import learning_rate, optimiser
from pipeline.pretext.validation import short, validation_metrics

LAYOUT = torch.channels_last  # of inputs and weights: convolutions are faster in it
READ_EVERY = {"cpu": 1, "cuda": 20}  # steps between readings of the losses, which wait for a GPU


@dataclass(frozen=True)
class Result:
    """What training leaves beside the encoder."""

    history: list[dict[str, float | int | None]]  # one row per epoch
    metrics: dict[str, Any]  # of the last epoch
    faces_per_second: float | None  # of this process's training steps


class Step(NamedTuple):
    """What is kept of a step until the device is read."""

    faces: int
    pairs: list[bool]  # (t,) whether any are known of a tag
    losses: torch.Tensor  # (heads,) on the device


@dataclass
class Run:
    """What stays the same from step to step."""

    plain: PretextModel  # from stored pictures to scores
    model: Any  # the same, perhaps compiled, or as one of several processes
    settings: Pretext
    seed: int
    device: torch.device
    group: ProcessGroup
    checkpoint: CheckpointFile | None
    asked_to_end: Callable[[], bool]
    heads: tuple[str, ...] = HEADS  # of the encoder
    faces: int = 0  # trained on by this process, in ...
    seconds: float = 0.0  # ... so many seconds
    weights: torch.Tensor = field(init=False)  # (heads,) of the losses in what is minimised

    def __post_init__(self) -> None:
        weights = [self.settings.loss_weights[head] for head in self.heads]
        self.weights = torch.tensor(weights, dtype=torch.float32, device=self.device)


def train(
    encoder: Encoder,
    faces: FaceSet,
    validation_set: FaceSet,
    settings: Pretext,
    *,
    seed: int,
    checkpoint: CheckpointFile | None = None,
    asked_to_end: Callable[[], bool] = lambda: False,
) -> Result | None:
    """Train the encoder in place on `faces`, validating after every epoch; None if asked to end,
    with the checkpoint saved.

    Deterministic on one machine: same weights for the same start, faces, settings and seed, also
    when resumed from the checkpoint. With 0 epochs the encoder stays as it is, which gives the
    random-weight control. Several processes (torchrun) share each batch. PipelineError if a loss is
    not finite."""
    if settings.epochs and len(faces) < 2:
        raise PipelineError(
            f"{len(faces)} training faces: ranking needs two; see data/faces/exif.json for what "
            "was rejected"
        )
    settings, device = resolved(settings)
    kept = torch.random.fork_rng([device] if device.type == "cuda" else [])
    computing = arithmetic(deterministic=settings.deterministic, tf32=settings.tf32)
    with computing, kept, process_group.group(device) as group:
        encoder.to(device).to(memory_format=LAYOUT)  # type: ignore[call-overload]
        state = State(encoder, optimiser(encoder, settings))
        saved = checkpoint.read() if checkpoint and group.first else None
        if saved := group.broadcast(saved):
            restore(state, saved)
        plain = PretextModel(encoder, settings)
        model = compiled(distribute(plain, group), settings)
        how = settings, seed, device, group, checkpoint, asked_to_end
        run = Run(plain, model, *how, heads=encoder.head_names)
        complete = run_epochs(run, state, faces, validation_set)
        speed = run.faces / run.seconds if run.seconds else None
        del run, model, plain  # the reducer, before its process group
        encoder.eval().cpu()
    return Result(state.history, state.metrics, speed) if complete else None


def resolved(settings: Pretext) -> tuple[Pretext, torch.device]:
    """The settings with the precision that `auto` means on their device, and that device;
    PipelineError where it is not there or nothing compiles for it.
    """
    device = select_device(settings.device, key="pretext.device", number=processes.local_rank())
    check_compiler(settings, device)
    precision = resolve_precision(settings.precision, device)
    return settings.model_copy(update={"precision": precision}), device


def run_epochs(run: Run, state: State, faces: FaceSet, validation_set: FaceSet) -> bool:
    """From where the state is to the last epoch; False if asked to end before."""
    epochs = run.settings.epochs
    with terminal.progress((), total=epochs * len(faces), what="train_pretext") as bar:
        bar.update(state.epoch * len(faces) + state.faces)
        while state.epoch < epochs or not state.history:  # 0 epochs: validation alone
            if epochs and not train_epoch(run, state, faces, bar):
                return False
            # Only at the end is every manipulation of every face scored.
            per_face = 1 if state.epoch + 1 < epochs else None
            plan = validation_plan(validation_set, per_face=per_face)
            # Layers that turn NaN into 0 hide weights that are not finite from every figure.
            check_finite(state, state.encoder.state_dict())
            scores = score(run, validation_set, plan)
            if scores is not None:
                check_finite(state, {"validation scores": torch.from_numpy(scores)})
                manipulated = plan[1] != PHOTOGRAPH
                metrics = validation_metrics(scores, manipulated, validation_set, run.settings)
                counts = {"train": len(faces), "validation": len(validation_set)}
                close_epoch(run, state, metrics, counts)
            if save_if_due(run, state, now=True):
                return False
    return True


def train_epoch(run: Run, state: State, faces: FaceSet, bar: Any) -> bool:
    """One pass over the faces, each as photograph or as one manipulation, from the state's step on
    with the same batches as if it had begun with the first; False if asked to end.
    """
    settings, pin = run.settings, run.device.type != "cpu"
    epoch, p = state.epoch + 1, settings.photograph_probability
    if p == "paired":
        plan = paired_plan(faces, seed=run.seed, epoch=epoch)
    else:
        plan = epoch_plan(faces, seed=run.seed, epoch=epoch, photograph_probability=p)
    slices = batch_slices(len(plan[0]), settings.batch_size)
    own = partial(own_slice, group=run.group)
    change = change_of_epoch(settings.augmentation, settings.input_size, seed=run.seed, epoch=epoch)
    run.plain.train()
    started = time.perf_counter()
    unread: list[Step] = []
    left = batches(faces, plan, slices[state.step :], own=own, change=change, pin=pin)
    for number, batch in enumerate(left, state.step):
        take_place(run, state, number, len(slices))
        counts = losses.has_pairs(batch.tags).tolist()  # on the CPU: no device is waited for
        unread.append(Step(len(batch), counts, step(run, state, batch.to(run.device))))
        bar.update(len(batch))
        # After the last step, too: the validation that follows takes long.
        if len(unread) == READ_EVERY[run.device.type] or state.step + len(unread) == len(slices):
            read_losses(state, unread)
            unread.clear()
            if save_if_due(run, state):
                return False
        run.faces += len(batch)
    run.seconds += time.perf_counter() - started
    return True


def take_place(run: Run, state: State, number: int, steps: int) -> None:
    """Set what the place of a step alone decides, its number in the epoch under way of so many
    steps: the learning rate, and what this process drops out.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(run.settings, state.epoch, number / steps)
    place = (state.epoch + 1, number, run.group.rank)
    key = randomness.key(run.seed, "pretext dropout", *place) % 2**63
    cuda = run.device.type == "cuda"
    generator = torch.cuda.default_generators[run.device.index] if cuda else torch.default_generator
    generator.manual_seed(key)


def step(run: Run, state: State, batch: Batch) -> torch.Tensor:
    """One step of the optimiser; returns the losses (heads,), on the device."""
    # A batch of another size would be compiled, for one step of an epoch.
    whole = len(batch) == run.settings.batch_size or run.group.count > 1
    model = run.model if whole else run.plain
    state.optimiser.zero_grad(set_to_none=True)  # first: its memory is free for what follows
    each = pretext_losses(model, batch, run.settings, run.group)
    (run.weights * each).sum().backward()
    state.optimiser.step()
    return each.detach()


def pretext_losses(
    model: Any, batch: Batch, settings: Pretext, group: ProcessGroup
) -> torch.Tensor:
    """The losses (heads,) of a whole batch in the order of the heads; training minimises their sum,
    weighted.

    The tags' terms apply to manipulated faces too: a manipulation leaves the traces of the camera
    in place."""
    scores = model(batch.pixels, batch.boxes)  # (m, heads), of this process's m faces
    scores = gather_scores(scores, len(batch), group)  # (n, heads)
    ranking = losses.ranking_losses(scores, batch.tags, settings.tie_stops)  # (heads - 1,)
    manipulation = losses.manipulation_loss(scores[:, -1], batch.manipulated)  # ()
    return torch.cat([ranking, manipulation[None]])


def read_losses(state: State, steps: list[Step]) -> None:
    """Add the losses of steps, each where there were pairs, to the state; waits for the device.
    PipelineError names the first step that diverged.
    """
    values = torch.stack([one.losses for one in steps]).double().cpu().tolist()  # steps x heads
    names = short(state.encoder.head_names)
    for one, each in zip(steps, values, strict=True):
        broken = [name for name, x in zip(names, each, strict=True) if not math.isfinite(x)]
        if broken:
            raise diverged(state, f"loss of {', '.join(broken)}", state.step + 1)
        faces = [one.faces * known for known in (*one.pairs, True)]
        state.loss_faces = [a + b for a, b in zip(state.loss_faces, faces, strict=True)]
        added = [a + n * x for a, n, x in zip(state.loss_sums, faces, each, strict=True)]
        state.loss_sums = added
        state.faces += one.faces
        state.step += 1


@torch.no_grad()
def score(run: Run, faces: FaceSet, plan: Plan) -> NDArray[np.float32] | None:
    """Scores (m, heads) of the m pictures of a plan; None if asked to end.

    They stay on the device until the last is computed, which alone is waited for. Several processes
    take whole batches in turn: the same bits for any number of them. They end together, after it.
    """
    settings, group = run.settings, run.group
    slices = batch_slices(len(plan[0]), settings.batch_size)[group.rank :: group.count]
    run.plain.eval()
    found = [torch.zeros(0, len(run.heads), device=run.device)]
    for batch in batches(faces, plan, slices, pin=run.device.type != "cpu"):
        if group.count == 1 and run.asked_to_end():
            return None
        there = batch.to(run.device)
        found.append(run.plain(there.pixels, there.boxes))
    scores = np.zeros((len(plan[0]), len(run.heads)), np.float32)
    rows = [np.arange(part.start, part.stop) for part in slices]
    scores[np.concatenate([np.zeros(0, np.int64), *rows])] = torch.cat(found).cpu().numpy()
    return group.assemble(scores)


def close_epoch(run: Run, state: State, metrics: dict[str, Any], faces: dict[str, int]) -> None:
    """Close the epoch under way with a row of the history; without a step it is epoch 0."""
    heads, trained, steps = state.encoder.head_names, bool(state.step), state.step
    names = (*short(heads), "total")
    rate = learning_rate(run.settings, state.epoch, (steps - 1) / steps) if trained else None
    means = [a / max(1, n) for a, n in zip(state.loss_sums, state.loss_faces, strict=True)]
    train = {n: x if trained else None for n, x in zip(names, [*means, sum(means)], strict=True)}
    state.epoch += trained
    state.metrics = {
        **metrics,
        "epochs": state.epoch,
        "losses": {"train": train, "validation": metrics["losses"]},
        "faces": faces,
    }
    row = {"epoch": state.epoch, "learning_rate": rate}
    for kind, values in state.metrics["losses"].items():
        row |= {f"{kind}_loss_{name}": values[name] for name in names}
    ranking = metrics["ranking_accuracy"].items()
    row |= {f"ranking_accuracy_{name}": value for name, value in ranking}
    state.history.append(row | {"manipulation_auc": metrics["manipulation_auc"]})
    state.begin_epoch()


def save_if_due(run: Run, state: State, *, now: bool = False) -> bool:
    """Save a checkpoint if it is time to, or now, or if asked to end; returns whether to end. All
    processes come here together and agree.
    """
    end = run.group.any(run.asked_to_end())
    if run.checkpoint and run.group.first and (now or end or run.checkpoint.due()):
        run.checkpoint.save(state)
    if end:
        run.group.wait()  # the first process to leave would make torchrun end the one that saves
    return end
