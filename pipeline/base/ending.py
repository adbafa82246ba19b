"""How a stage ends: with its parent, and in order when it is asked to."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.base import processes
from pipeline.base.errors import PipelineError

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


@contextmanager
def in_order() -> Iterator[None]:
    """SIGTERM raises SystemExit inside, so that what is being written is removed.

    Linux sends it when the parent (dvc, or torchrun) dies: no orphan goes on computing."""
    before = signal.signal(signal.SIGTERM, _end)
    if sys.platform == "linux":
        _end_with_parent()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def requests_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT have asked this process to end: inside, neither ends it, except a
    second SIGINT. torchrun kills processes that have not ended half a minute after its SIGTERM.
    """
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
    if _is_orphan(os.getpid()):
        raise PipelineError("the process that started this stage has died; run it again")
    if processes.world() > 1:
        threading.Thread(target=_end_with_launcher, daemon=True).start()


def _end_with_launcher() -> None:
    """End torchrun, and with it all its processes, when torchrun's own parent (dvc) is gone."""
    launcher = os.getppid()
    with suppress(OSError):  # torchrun itself is gone: the system ends this process
        parent = _parent(launcher)
        while _parent(launcher) == parent and not _is_orphan(launcher):
            time.sleep(1)
        os.kill(launcher, signal.SIGTERM)


def _is_orphan(process: int) -> bool:
    """Whether a process has been handed to one of another session, such as init.

    Where init shares the session (a container's command), a parent that is init and a parent that
    has died look the same: the answer is no."""
    try:
        session, parent = os.getsid(process), _parent(process)
        return session != process and parent != 0 and os.getsid(parent) != session
    except (ProcessLookupError, FileNotFoundError):  # gone between two of these calls
        return True


def _parent(process: int) -> int:
    stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])
