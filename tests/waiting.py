"""Waiting for other processes, without fixed naps."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool], event: str, seconds: float = 120.0) -> None:
    """Return once the condition holds; AssertionError naming the event after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {event}"
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
