"""What a person at the terminal sees of a stage: one progress bar, one short table, one clear
error; and how it ends.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.base import processes
from pipeline.base.errors import PipelineError
from pipeline.base.processes import _start_worker as end_with_stage  # noqa: F401
from pipeline.base.processes import workers  # noqa: F401

WIDTH = 80
GRACE = 60  # seconds until a process among several that is asked to end must have met the others: they may hang
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def run(main: Callable[[], None]) -> None:
    """Run a stage; a PipelineError or OSError becomes its message on stderr and exit status 1,
    without a traceback.

    The stage ends with its parent (dvc, or torchrun). SIGTERM and SIGINT end it in order: what it
    was writing is removed."""
    end_with_parent()
    if _abandoned(os.getpid()):
        print(
            "error: the process that started this stage has died meanwhile; run it again",
            file=sys.stderr,
        )
        raise SystemExit(128 + signal.SIGTERM)
    if processes.world() > 1:
        threading.Thread(target=_end_with_launcher, daemon=True).start()
    before = signal.signal(signal.SIGTERM, _end_in_order)
    try:
        main()
    except (
        PipelineError,
        OSError,
    ) as error:  # an OSError is the machine's word: disk full, no permission, no such file
        rank = processes.rank()
        print(f"error in process {rank}: {error}" if rank else f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Have Linux send this process SIGTERM when its parent dies: no orphan goes on computing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))


@contextmanager
def requests_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT have asked this process to end: inside, they no longer end it; a
    second SIGINT does.

    One of several processes, which may wait for another in vain, is ended GRACE seconds after the
    first request, unless all have met before (`requests_met`)."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if processes.world() > 1 and not asked:
            signal.alarm(GRACE)
        asked.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        requests_met()
        for number, handler in before.items():
            signal.signal(number, handler)


def requests_met() -> None:
    """All processes have agreed on what follows a request to end, so that none is ended any more
    for waiting too long.
    """
    signal.alarm(0)


def _end_with_launcher() -> None:
    """End torchrun, and with it all its processes, when torchrun's own parent (dvc) is gone."""
    launcher = os.getppid()
    with suppress(OSError):  # when torchrun itself dies, the system ends this process
        parent = _parent_of(launcher)
        while _parent_of(launcher) == parent and not _abandoned(launcher):
            time.sleep(1)
        os.kill(launcher, signal.SIGTERM)


def _abandoned(process: int) -> bool:
    """Whether a process was handed to another session's process, such as init: its own parent is
    gone, or it is itself.
    """
    if sys.platform != "linux" or not Path("/proc/self/stat").exists():
        return False
    try:
        session, parent = os.getsid(process), int(_parent_of(process))
        return session != process and parent != 0 and os.getsid(parent) != session
    except (ProcessLookupError, FileNotFoundError):  # gone between two of these calls
        return True


def _parent_of(process: int) -> str:
    return (
        Path(f"/proc/{process}/stat")
        .read_text(encoding="ascii", errors="replace")
        .rpartition(")")[2]
        .split()[1]
    )


def _end_in_order(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def progress(
    iterable: Iterable[Any], *, total: int | None = None, what: str = "", unit: str = "face"
) -> Any:
    """A tqdm bar over the iterable (with `.update`), silent where stderr is no terminal."""
    from tqdm import tqdm

    silent = not sys.stderr.isatty() or processes.rank() > 0
    return tqdm(iterable, total=total, desc=what, unit=unit, disable=silent, ncols=WIDTH)


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows with equal keys as columns that fit 80 characters; long texts are cut with an
    ellipsis.
    """
    print(format_table(rows, title))


def format_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> str:
    """The text that `table` prints: numbers to the right, texts to the left."""
    if not rows:
        return f"{title}: nothing" if title else ""
    names = list(rows[0])
    cells = [[_text(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths) > 3:
        widths[widths.index(max(widths))] -= 1
    right = [
        all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        for name in names
    ]
    lines = [names, ["-" * width for width in widths], *cells]
    body = [_line(line, widths, right) for line in lines]
    return "\n".join([title, *body] if title else body)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return (
            f"{value:.4g}"
            if abs(value) >= 1000 or (value and abs(value) < 1e-3)
            else f"{value:.3f}"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cut = [c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(cells, widths, strict=True)]
    return "  ".join(
        c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cut, widths, right, strict=True)
    ).rstrip()
