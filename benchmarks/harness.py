"""Turn-by-turn timing, the row of one result, and the table of all.

Other work on the machine slows whatever runs meanwhile. So the ways to do a thing take turns, every
second round in the opposite order, and the median of each is kept: what is judged is their ratio,
not the figure alone."""

import resource
import statistics
import sys
from collections.abc import Callable
from typing import Any

Ways = dict[str, Callable[[], float]]
Row = dict[str, Any]

COLUMNS = (
    "stage",
    "ours",
    "baseline",
    "ceiling",
    "unit",
    "to_baseline",
    "to_ceiling",
    "peak_memory_mb",
    "note",
)


def interleaved(ways: Ways, rounds: int = 5) -> dict[str, float]:
    """Median units per second of each way; all run turn by turn `rounds` times, after one warm-up
    that is not counted.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds; at least one is needed")
    for once in ways.values():
        once()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        order = list(ways) if turn % 2 == 0 else list(reversed(ways))
        for name in order:
            rates[name].append(ways[name]())
    return {name: statistics.median(values) for name, values in rates.items()}


def row(
    stage: str,
    unit: str,
    *,
    ours: float,
    baseline: float | None,
    ceiling: float | None,
    peak_memory_mb: float | None = None,
    note: str = "",
) -> Row:
    """One line of the table: rates in `unit` (more is better) and the ratios ours/baseline and
    ours/ceiling.

    None where a stage has no such rate, or no memory of its own to show.
    """
    given = [value for value in (ours, baseline, ceiling) if value is not None]
    if not all(value > 0 for value in given):
        raise ValueError(f"{stage}: rates must be positive, got {given}")
    return {
        "stage": stage,
        "ours": ours,
        "baseline": baseline,
        "ceiling": ceiling,
        "unit": unit,
        "to_baseline": None if baseline is None else ours / baseline,
        "to_ceiling": None if ceiling is None else ours / ceiling,
        "peak_memory_mb": peak_memory_mb,
        "note": note,
    }


def peak_memory_mb() -> float:
    """Peak resident memory so far, MB: the largest single process among this one and its children
    that have ended.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(peaks) * unit / 1e6


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, figures with three significant digits."""
    lines = [
        COLUMNS,
        ("---",) * len(COLUMNS),
        *([_shown(one[column]) for column in COLUMNS] for one in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def show(rows: list[Row]) -> None:
    """Print the rows as a Markdown table."""
    print(table(rows))


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float | int):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
