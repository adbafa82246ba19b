"""What tests/pretext/test_processes.py starts with torchrun: this file with FOLDER PRECISION. It
trains on the inputs in the working folder and leaves in FOLDER what each process has computed.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.base import params, processes
from pipeline.encoder import checkpoints
from pipeline.encoder.backbones import Architecture
from pipeline.pretext import training
from pipeline.pretext.checkpoint import State, to_bytes
from pipeline.pretext.faces import read_faces


def record() -> tuple[dict[tuple[int, int], list[float]], list[bytes]]:
    """The summed losses after every step by epoch and step, and the state after the first, filled
    while training runs.
    """
    losses: dict[tuple[int, int], list[float]] = {}
    first: list[bytes] = []
    real = training.save_if_due

    def save_if_due(run: Any, state: State, *, now: bool = False) -> bool:
        if state.step:
            losses[state.epoch, state.step] = [state.faces, *state.loss_sums]
            first.extend([] if first else [to_bytes(state)])
        return real(run, state, now=now)

    training.save_if_due = save_if_due
    return losses, first


def main(folder: Path, precision: str) -> None:
    """Train; `double` is with 64 bits wherever training has 32, so that rounding no longer hides or
    grows a difference.
    """
    import torch

    p = params.load("seed", "pretext")
    faces, validation = read_faces(Path("faces"), Path("manipulated"), p.pretext.face_scale)
    encoder = checkpoints.start_encoder("none", Architecture.of(p.pretext), seed=p.seed)
    if precision == "double":
        encoder.double().register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
        torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    losses, first = record()
    result = training.train(encoder, faces, validation, p.pretext, seed=p.seed)
    assert result is not None
    weights = b"".join(
        value.contiguous().numpy().tobytes() for value in encoder.state_dict().values()
    )
    (folder / f"{processes.rank()}.weights").write_text(hashlib.sha256(weights).hexdigest())
    if processes.rank() == 0:
        steps = [[*place, *row] for place, row in sorted(losses.items())]
        content = {"steps": steps, "history": result.history, "metrics": result.metrics}
        (folder / "result.json").write_text(json.dumps(content))
        (folder / "first.safetensors").write_bytes(first[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
