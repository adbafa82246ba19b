"""Several processes that run one stage together, started by torchrun; with a single one nothing
here costs anything.

Who am I is read from torchrun's environment (RANK, WORLD_SIZE, LOCAL_RANK). Processes exchange
bytes and arrays, never pickles."""

import os
from typing import TYPE_CHECKING

from pipeline.base.errors import PipelineError

if TYPE_CHECKING:
    pass


def world() -> int:
    """How many processes run this stage together."""
    return _environment("WORLD_SIZE", 1)


def rank() -> int:
    """The number of this process among them."""
    return _environment("RANK", 0)


def local_rank() -> int:
    """The number of this process among those of its machine: the number of its GPU."""
    return _environment("LOCAL_RANK", 0)


def local_count() -> int:
    """How many processes of this run share this machine and its cores."""
    return _environment("LOCAL_WORLD_SIZE", 1)


def _environment(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise PipelineError(
            f"environment variable {name} is {text!r}, not a whole number: start the stage with "
            "torchrun"
        )
    return int(text)
