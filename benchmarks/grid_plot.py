"""The grid's plot: each row's values by seed with their mean, and its differences to the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.atomic import atomic
from pipeline.report.figures.canvas import BESIDE, INK, MUTED, PALETTE, ROW, STYLE

if TYPE_CHECKING:
    from benchmarks.grid import Row


def draw(path: Path, rows: Sequence["Row"], measure: str) -> None:
    """A PNG, 1600 pixels wide; a dot for each seed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(fname=STYLE), atomic(path) as temporary:
        figure = Figure(figsize=(8, 1.2 + ROW * len(rows)), dpi=200, facecolor="white")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
        for y, row in enumerate(rows):
            left.plot(row.values, [y] * len(row.values), "o", color=MUTED, ms=3)
            left.plot(row.over_seeds.mean, y, "|", color=PALETTE[0], ms=12, mew=2)
            if row.difference is not None:
                _interval(right, y, row.difference)
        left.set_yticks(range(len(rows)), [row.name for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.set_title(f"{measure}: seeds (dots) and mean")
        right.axvline(0, color=INK, linestyle=BESIDE, linewidth=1)
        right.set_title("Difference to the first row, 95 % interval")
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _interval(axes: Any, y: int, difference: Any) -> None:
    axes.plot(difference.mean, y, "o", color=PALETTE[0], ms=5)
    if difference.low is not None:
        axes.plot([difference.low, difference.high], [y, y], color=PALETTE[0])
