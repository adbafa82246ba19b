"""The checkpoint of a resumable run: all that changes while training runs, in one file.

It lies outside the outs, carries the run's fingerprint, is written completely or not at all, and is
removed when the outs are written."""

import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Adam

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.encoder.network import Encoder

INTERVAL = 60.0  # seconds between two checkpoints


@dataclass
class State:
    """The state between two steps. Its bytes hold every bit of it."""

    encoder: Encoder
    optimiser: Adam
    epoch: int = 0  # complete ones, validation included
    step: int = field(init=False)  # complete ones of the epoch under way
    faces: int = field(init=False)  # seen in the epoch under way
    loss_sums: list[float] = field(init=False)  # of each head over ...
    loss_faces: list[int] = field(init=False)  # ... so many of these faces
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)  # of the last complete epoch

    def __post_init__(self) -> None:
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Nothing is seen of the epoch under way."""
        heads = len(self.encoder.head_names)
        self.step, self.faces = 0, 0
        self.loss_sums, self.loss_faces = [0.0] * heads, [0] * heads


def to_bytes(state: State) -> bytes:
    """The state as a safetensors file with one JSON entry. PipelineError where a weight is not
    finite: training cannot continue from there.
    """
    from safetensors.torch import save

    plain = dict(vars(state))
    tensors = {f"encoder.{k}": v for k, v in plain.pop("encoder").state_dict().items()}
    for number, moments in plain.pop("optimiser").state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
    content = {name: value.cpu().contiguous() for name, value in tensors.items()}
    check_finite(state, content)
    return save(content, metadata={"state": json.dumps(plain)})


def check_finite(state: State, tensors: Mapping[str, torch.Tensor]) -> None:
    """PipelineError where one of the named tensors, all on one device, is not finite after the step
    just done; waits once for the device.
    """
    broken = torch.stack([value.isfinite().all().logical_not() for value in tensors.values()])
    for name, bad in zip(tensors, broken.cpu().tolist(), strict=True):
        if bad:
            raise diverged(state, name, state.step)


def restore(state: State, content: bytes) -> None:
    """Set a state that has just been started to what `to_bytes` kept, bit by bit. PipelineError
    where it kept no such state.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        header = int.from_bytes(content[:8], "little")  # safetensors: length, JSON header, tensors
        plain = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["state"])
        _check_plain(state, plain)
        tensors = load(content)
        _set(state, plain, tensors)
        check_finite(state, tensors)
    except torch.OutOfMemoryError:  # a RuntimeError that says nothing about the file
        raise
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise PipelineError(
            f"the checkpoint is none of this run ({str(error).partition(chr(10))[0]:.150}); remove "
            "the folder .resume beside the encoder, and run again"
        ) from None


def _check_plain(state: State, plain: Any) -> None:
    """ValueError unless there is what a state has beside tensors, of the same types."""
    own = {k: v for k, v in vars(state).items() if k not in ("encoder", "optimiser")}
    if not isinstance(plain, dict) or {k: type(v) for k, v in plain.items()} != {
        k: type(v) for k, v in own.items()
    }:
        raise ValueError("it has other entries than a state")
    counts = [plain["epoch"], plain["step"], plain["faces"], *plain["loss_faces"]]
    heads = len(state.loss_sums)
    if not (
        len(plain["loss_sums"]) == len(plain["loss_faces"]) == heads
        and all(type(count) is int and count >= 0 for count in counts)
        and all(type(loss) is float and math.isfinite(loss) for loss in plain["loss_sums"])
        and all(isinstance(row, dict) for row in plain["history"])
    ):
        raise ValueError("it counts what cannot be")


def _set(state: State, plain: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    for name, value in plain.items():
        setattr(state, name, value)
    state.encoder.load_state_dict(
        {name: tensors[f"encoder.{name}"] for name in state.encoder.state_dict()}
    )
    moments: dict[int, dict[str, torch.Tensor]] = {}
    groups = state.optimiser.state_dict()["param_groups"]
    weights = [weight for group in state.optimiser.param_groups for weight in group["params"]]
    for number, weight in enumerate(weights):
        if f"adam.{number}.step" in tensors:
            moments[number] = {"step": tensors[f"adam.{number}.step"]}
            for name in ("exp_avg", "exp_avg_sq"):  # in the memory layout of the weight
                kept = tensors[f"adam.{number}.{name}"]
                if kept.shape != weight.shape:  # copying would repeat it
                    raise ValueError(f"adam.{number}.{name} has another shape than its weight")
                moments[number][name] = torch.empty_like(weight, requires_grad=False).copy_(kept)
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})


def diverged(state: State, name: str, step: int) -> PipelineError:
    """The error of a run in which `name` is not finite at a step of the epoch under way. Before any
    step is complete it comes from the start, not from the learning rate.
    """
    if not state.epoch and not state.step:
        return PipelineError(
            f"training cannot begin: {name} not finite before any weight was changed. The weights "
            "of pretext.start are too large for these faces, or for pretext.precision: use float32 "
            "or another start"
        )
    return PipelineError(
        f"training diverged: {name} not finite in epoch {state.epoch + 1}, step {step}, at "
        f"learning rate {state.optimiser.param_groups[0]['lr']:g}. Lower pretext.learning_rate by "
        "ten, or set pretext.precision to float32."
    )


class CheckpointFile:
    """Where the checkpoint of the run with this fingerprint is kept."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.saved = time.monotonic()

    def read(self) -> bytes | None:
        """The run's checkpoint, if there is one; another one is reported and ignored."""
        if not self.path.exists():
            return None
        header, _, content = self.path.read_bytes().partition(b"\n")
        if header == self._header(content):
            return content
        print(
            f"{self.path} is damaged, or of other parameters, data or code: training starts afresh",
            file=sys.stderr,
        )
        return None

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved >= INTERVAL

    def save(self, state: State) -> None:
        """Replace the checkpoint; OSError if the disk is full, the one before is kept."""
        content = to_bytes(state)
        with atomic(self.path) as temporary:
            temporary.write_bytes(self._header(content) + b"\n" + content)
        self.saved = time.monotonic()

    def clear(self) -> None:
        """Remove the checkpoint, once the run's outs are written."""
        self.path.unlink(missing_ok=True)

    def _header(self, content: bytes) -> bytes:
        return f"{self.fingerprint} {hashlib.sha256(content).hexdigest()}".encode()
