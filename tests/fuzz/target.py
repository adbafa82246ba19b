"""A target: a function of bytes that reads them as the pipeline does."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Target(NamedTuple):
    """What is fuzzed.

    `run` reads the bytes below a folder and asserts what holds of an input that is accepted;
    PipelineError and Rejection are the ways to refuse one, any other exception is a finding."""

    run: Callable[[bytes, Path], None]
    seeds: Callable[[], list[bytes]]
    megabytes: int = 64  # that an input may cost beside what the process has
    seconds: float = 2.0  # of processor time that it may take
    longest: int = 4096  # bytes of an input


def must(holds: object, what: str) -> None:
    """A property; AssertionError where it does not hold."""
    if not holds:
        raise AssertionError(what)


def put(path: Path, data: bytes) -> Path:
    """The file with these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
