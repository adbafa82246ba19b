"""The real stage train_pretext, which here saves a checkpoint every few steps and logs what it
does; tests kill it.

A line of the file named by TRAINER_LOG is a time in seconds, an event and numbers."""

import os
import runpy
import time
from typing import Any


def log(event: str, *numbers: int) -> None:
    with open(os.environ["TRAINER_LOG"], "a", encoding="ascii") as file:
        file.write(" ".join([f"{time.monotonic():.3f}", event, *map(str, numbers)]) + "\n")


def tell(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
    """Log each call of a function."""
    real = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if before:
            log(before)
        result = real(*arguments, **named)
        if after:
            log(after)
        return result

    setattr(owner, name, call)


def tell_where_it_resumes(owner: Any) -> None:
    real = owner.restore

    def restore(state: Any, content: bytes) -> None:
        real(state, content)
        log("from", state.epoch, state.step)

    owner.restore = restore


def main() -> None:
    log("up", os.getpid())
    from pipeline.encoder import checkpoints
    from pipeline.pretext import checkpoint, training

    checkpoint.INTERVAL = 0.3
    file = checkpoint.CheckpointFile
    tell(file, "read", after="begin")
    tell_where_it_resumes(training)
    tell(file, "due", before="step")
    tell(file, "save", before="save", after="saved")
    tell(checkpoints, "save_encoder", before="write")
    tell(file, "clear", after="end")
    runpy.run_module("pipeline.stages.train_pretext", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
