"""What tests/test_distributed.py starts with torchrun: `team FOLDER` or `train FOLDER PRECISION`.

The folder is for what each process found.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import processes
from pipeline.common import process_group

BROADCAST = [b"", b"\0", np.random.default_rng(0).bytes(3_000_001)]
VALUES = [-0.0, float("nan"), 1e-40, float("inf")]  # of a row; the last column is the process


def gathered(turn: int, rank: int) -> bytes:
    """What a process sends: nothing from any, nothing from some, other lengths."""
    return [b"", bytes([rank]) * 1000 * rank, b"\0" * (3 - rank)][turn]


def rows(count: int, kind: str) -> np.ndarray:
    """Row i is process i's."""
    if kind == "bool":
        return np.arange(count) % 2 == 0
    return np.array(
        [[*(VALUES if kind.startswith("f") else (0, -1, 255, 7)), rank] for rank in range(count)]
    ).astype(kind)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def team(folder: Path) -> None:
    with process_group.group() as team:
        found: dict[str, object] = {"rank": team.rank, "count": team.count, "first": team.first}
        found["broadcast"] = [
            digest(team.broadcast(content if team.first else None)) for content in BROADCAST
        ]
        found["gather"] = [
            [digest(part) for part in team.gather(gathered(turn, team.rank))] for turn in range(3)
        ]
        for kind in ("f4", "f8", "i8", "u1", "bool"):
            own = rows(team.count, kind)
            own[np.arange(team.count) != team.rank] = 0
            found[kind] = digest(team.assemble(own).tobytes())
        found["any"] = [team.any(flag) for flag in (False, team.rank == 2, True, not team.first)]
        team.wait()
    (folder / f"{team.rank}.json").write_text(json.dumps(found))


def record(run: Any) -> tuple[dict[tuple[int, int], list[float]], list[bytes]]:
    """The losses of every step by epoch and step, and the state after the first, filled while
    training runs.
    """
    from pipeline.pretext import state as training_state

    losses: dict[tuple[int, int], list[float]] = {}
    first: list[bytes] = []
    real = run.save_if

    def save_if(self: Any, state: Any, *, now: bool) -> None:
        if state.step:
            losses[state.epoch, state.step] = state.losses[-1].tolist()
            first.extend([training_state.to_bytes(state)] if not first else [])
        real(self, state, now=now)

    run.save_if = save_if
    return losses, first


def train(folder: Path, precision: str) -> None:
    """Train; `double` is with 64 bits wherever training has 32, so that rounding no longer hides or
    grows a difference.
    """
    import torch

    from pipeline.base import params
    from pipeline.encoder import checkpoints
    from pipeline.pretext import training
    from pipeline.stages import train_pretext

    p = params.load("seed", "pretext")
    faces, held_out = train_pretext.read_faces(
        Path("faces"), Path("manipulated"), p.pretext.face_scale
    )
    encoder = checkpoints.start_encoder(
        "none", p.pretext.architecture, p.pretext.feature_dim, seed=p.seed
    )
    if precision == "double":
        encoder.double().register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
        torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    losses, first = record(training.Run)
    result = training.train(encoder, faces, held_out, p.pretext, seed=p.seed)
    weights = digest(
        b"".join(tensor.contiguous().numpy().tobytes() for tensor in encoder.state_dict().values())
    )
    (folder / f"{processes.rank()}.weights").write_text(weights)
    if processes.rank() == 0:
        steps = [[*place, *row] for place, row in sorted(losses.items())]
        content = {"steps": steps, "history": result.history, "metrics": result.metrics}
        (folder / "result.json").write_text(json.dumps(content))
        (folder / "first.safetensors").write_bytes(first[0])


if __name__ == "__main__":
    if sys.argv[1] == "team":
        team(Path(sys.argv[2]))
    else:
        train(Path(sys.argv[2]), sys.argv[3])
