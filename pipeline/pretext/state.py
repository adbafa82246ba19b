"""All that changes while training runs, and the same as bytes: what a resumed run needs to go on as
if nothing had happened.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.common.names import HEADS
from pipeline.encoder.network import Encoder


@dataclass
class Training:
    """The state between two steps. Its bytes hold every bit of it."""

    encoder: Encoder
    optimiser: torch.optim.Optimizer
    epoch: int = 0  # complete ones, held-out metrics included
    step: int = 0  # done in the epoch under way
    losses: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 1 + len(HEADS)))
    )  # per step: faces, five losses
    seconds: float = 0.0  # spent on training steps, without the held-out metrics
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)  # held out, after the last complete epoch


def start_training(encoder: Encoder, settings: Pretext) -> Training:
    """The state before the first step: the encoder with Adam."""
    optimiser = torch.optim.Adam(
        encoder.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    return Training(encoder, optimiser)


def learning_rate(settings: Pretext, epoch: int) -> float:
    """The rate of an epoch, from 0: a cosine from the first rate to the least one in
    schedule_epochs epochs, then up again.

    Loshchilov and Hutter 2017, eq. 5. A function of the epoch alone: a resumed run has nothing to
    restore."""
    low = settings.minimum_learning_rate
    return (
        low
        + (settings.learning_rate - low)
        * (1 + math.cos(math.pi * epoch / settings.schedule_epochs))
        / 2
    )


def diverged(state: Training, what: Sequence[str], step: int) -> PipelineError:
    """The error of a run whose losses or weights `what` are not finite at a step of the epoch under
    way.
    """
    return PipelineError(
        f"training diverged: {', '.join(what)} not finite in epoch {state.epoch + 1}, step {step}, "
        "at learning rate "
        f"{state.optimiser.param_groups[0]['lr']:g}. Lower pretext.learning_rate by ten, or set "
        "pretext.precision to float32."
    )


def to_bytes(state: Training) -> bytes:
    """The state as a safetensors file with one JSON entry; PipelineError where a weight is not
    finite: no way on from there.
    """
    from safetensors.torch import save

    tensors = dict(_tensors(state))
    broken = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if broken:
        raise diverged(state, broken[:1], state.step)
    plain = {
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "history": state.history,
        "metrics": state.metrics,
    }
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content["losses"] = torch.from_numpy(state.losses)
    return save(content, metadata={"training": json.dumps(plain)})


def from_bytes(state: Training, content: bytes) -> None:
    """Set a state that has just been started to what `to_bytes` kept, bit by bit, on its own
    device.
    """
    from safetensors.torch import load

    header = int.from_bytes(content[:8], "little")  # safetensors: length, JSON header, tensors
    plain = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["training"])
    tensors = load(content)
    state.epoch, state.step, state.seconds = plain["epoch"], plain["step"], plain["seconds"]
    state.history, state.metrics = plain["history"], plain["metrics"]
    state.losses = tensors.pop("losses").numpy()
    if any(name.startswith("optimiser.") for name in tensors):
        _start_moments(state.optimiser)
    with torch.no_grad():
        for name, tensor in _tensors(state):
            tensor.copy_(tensors[name])


def _tensors(state: Training) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the state by name: weights, batch statistics, and Adam's moments where there
    are any.
    """
    for name, tensor in state.encoder.state_dict().items():
        yield f"encoder.{name}", tensor
    for group in state.optimiser.param_groups:
        for number, parameter in enumerate(group["params"]):
            for name, tensor in sorted(state.optimiser.state.get(parameter, {}).items()):
                yield f"optimiser.{number}.{name}", tensor


def _start_moments(optimiser: torch.optim.Optimizer) -> None:
    """Adam's tensors as its first step makes them, in the layout of the weights."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            optimiser.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
