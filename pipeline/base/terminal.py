"""What a person at the terminal sees of a stage: a progress bar, a short table, a clear error."""

import getpass
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from pipeline.base import ending, processes
from pipeline.base.errors import PipelineError

WIDTH = 80


def run(main: Callable[[], None]) -> None:
    """Run a stage. A PipelineError or OSError (disk full, no permission) becomes its message on
    stderr and exit status 1, without a traceback. The stage ends as pipeline.base.ending says.
    """
    _prepare()
    try:
        with ending.in_order():
            main()
    except (PipelineError, OSError) as error:
        rank = processes.rank()
        print(f"error in process {rank}: {error}" if rank else f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def _prepare() -> None:
    """Let a stage run where others would not: in a container whose user has no name, which PyTorch
    asks for, and where the terminal's encoding lacks a letter of a file's name.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        os.environ["LOGNAME"] = str(os.getuid())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def progress(
    iterable: Iterable[Any], *, total: int | None = None, what: str = "", unit: str = "face"
) -> Any:
    """A tqdm bar over the iterable (with `.update`), silent where stderr is no terminal."""
    from tqdm import tqdm

    silent = not sys.stderr.isatty() or processes.rank() > 0
    return tqdm(iterable, total=total, desc=what, unit=unit, disable=silent, ncols=WIDTH)


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows with equal keys as columns that fit 80 characters."""
    print(format_table(rows, title))


def format_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> str:
    """The text that `table` prints: numbers to the right, texts to the left, shortened to fit."""
    if not rows:
        return f"{title}: nothing" if title else ""
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths) > 3:
        widths[widths.index(max(widths))] -= 1
    numeric = [all(isinstance(row[name], int | float | None) for row in rows) for name in names]
    lines = [_line(line, widths, numeric) for line in cells]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*([title] if title else []), lines[0], rule, *lines[1:]])


def fixed(value: float, decimals: int) -> str:
    """A finite number with so many decimals. A half is rounded away from zero in every table, even
    where the last bits of a float put it below: 0.5875 is 0.588.
    """
    step = Decimal(1).scaleb(-decimals)
    return f"{_exact(value).quantize(step, ROUND_HALF_UP):,f}"


def percent(share: float) -> str:
    """A share in per cent, to two digits: 0.067 %, 9.3 %, 45 %, 100 %; a half as in `fixed`."""
    two_digits = Context(prec=2, rounding=ROUND_HALF_UP).plus(_exact(100 * share))
    return f"{two_digits.normalize():f} %"


def _exact(value: float) -> Decimal:
    """The decimal that was meant."""
    return Decimal(repr(round(float(value), 12)))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        plain = value == 0 or 1e-3 <= abs(value) < 1000
        return fixed(value, 3) if plain else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    short = [c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(cells, widths, strict=True)]
    places = zip(short, widths, numeric, strict=True)
    return "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in places).rstrip()
