"""The checkpoint of a resumable run: all that changes while training runs, in one file.

A run's checkpoint lies outside the outs, is named by the run's fingerprint, is written completely
or not at all, and is gone when the run's outs are written."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Adam

from pipeline.base.atomic import SUFFIX, atomic
from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS
from pipeline.encoder.network import Encoder

INTERVAL = 60.0  # seconds between two checkpoints, at least ...
SHARE = 0.02  # ... and so many that saving takes no more than this share of the time
CHECKPOINTS_KEPT = 3  # of runs with other parameters, data or code: going back to them resumes them


@dataclass
class State:
    """The state between two steps. Its bytes hold every bit of it."""

    encoder: Encoder
    optimiser: Adam
    epoch: int = 0  # complete ones, validation included
    step: int = 0  # complete ones of the epoch under way
    faces: int = 0  # seen in the epoch under way
    loss_sums: list[float] = field(default_factory=lambda: [0.0] * len(HEADS))  # over these faces
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)  # of the last complete epoch

    def plain(self) -> dict[str, Any]:
        """All of it that is not a tensor, as JSON values."""
        return {key: value for key, value in vars(self).items() if key not in TENSORS}


TENSORS = ("encoder", "optimiser")


def to_bytes(state: State) -> bytes:
    """The state as a safetensors file with one JSON entry. PipelineError where a weight is not
    finite: training cannot continue from there.
    """
    from safetensors.torch import save

    tensors = {f"encoder.{name}": value for name, value in state.encoder.state_dict().items()}
    for number, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise diverged(state, name, state.step)
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(content, metadata={"state": json.dumps(state.plain())})


def restore(state: State, content: bytes) -> None:
    """Set a state that has just been started to what `to_bytes` kept, bit by bit."""
    from safetensors.torch import load

    header = int.from_bytes(content[:8], "little")  # safetensors: length, JSON header, tensors
    plain = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["state"])
    for name, value in plain.items():
        setattr(state, name, value)
    tensors = load(content)
    weights = {name: tensors[f"encoder.{name}"] for name in state.encoder.state_dict()}
    state.encoder.load_state_dict(weights)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for number, weight in enumerate(state.optimiser.param_groups[0]["params"]):
        if f"adam.{number}.step" in tensors:
            moments[number] = {"step": tensors[f"adam.{number}.step"]}
            for name in ("exp_avg", "exp_avg_sq"):  # in the memory layout of the weight
                value = torch.empty_like(weight, requires_grad=False)
                moments[number][name] = value.copy_(tensors[f"adam.{number}.{name}"])
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})


def diverged(state: State, name: str, step: int) -> PipelineError:
    """The error of a run in which `name` is not finite at a step of the epoch under way."""
    return PipelineError(
        f"training diverged: {name} not finite in epoch {state.epoch + 1}, step {step}, at "
        f"learning rate {state.optimiser.param_groups[0]['lr']:g}. Lower pretext.learning_rate by "
        "ten, or set pretext.precision to float32."
    )


class CheckpointFile:
    """Where the checkpoint of the run with this fingerprint is kept."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = folder / f"{fingerprint}.checkpoint"
        self.saved = time.monotonic()
        self.pause = INTERVAL

    def read(self) -> bytes | None:
        """The checkpoint, if there is one; a damaged file is reported and ignored."""
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        if content[:32] == hashlib.sha256(content[32:]).digest():
            return content[32:]
        print(f"warning: {self.path} is damaged, training starts afresh", file=sys.stderr)
        return None

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved >= self.pause

    def save(self, state: State) -> None:
        """Replace the checkpoint; PipelineError if it cannot be written, the one before is kept."""
        started = time.monotonic()
        content = to_bytes(state)
        try:
            with atomic(self.path) as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
        except OSError as error:
            raise PipelineError(
                f"{self.path}: the checkpoint cannot be saved ({os.strerror(error.errno or 0)}); "
                f"the one before it is kept: make room for {len(content) / 1e6:.0f} MB and run "
                "again to resume from it"
            ) from None
        self.saved = time.monotonic()
        self.pause = max(INTERVAL, (self.saved - started) / SHARE)

    def clear(self) -> None:
        """Remove the checkpoint, once the run's outs are written, and the oldest of other runs."""
        self.path.unlink(missing_ok=True)
        others = self.path.parent.glob("*.checkpoint")
        for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-CHECKPOINTS_KEPT]:
            path.unlink()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Only one run at a time writes here; a second one gets a PipelineError that names the first.
    The system frees the lock however the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 1000).decode(errors="replace").strip()
            raise PipelineError(
                f"{folder}: another run holds the lock, {holder or 'one that is just starting'}; "
                "wait until it ends, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {since}\n"
        os.pwrite(descriptor, holder.encode(), 0)
        for left in folder.glob(f".*{SUFFIX}"):  # half-written checkpoints of killed runs
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
