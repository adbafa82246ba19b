"""What all drawings share: the style, a look per generator, and panels as inline SVG in the page's
colours.
"""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import count
from typing import Any, NamedTuple

# Written into the SVG and then replaced by the page's own colours, so that a drawing is readable in
# light and in dark.
INK, MUTED, RULE, PAPER = "#1c2430", "#66707d", "#d8dde4", "#fffffe"
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
PHOTOGRAPHIC = "#8d98a5"
PALETTE = (
    "#3f7fd9",
    "#e08214",
    "#2e9e6b",
    "#d6455d",
    "#8f66cf",
    "#16a3b5",
    "#a5734e",
    "#dd6fb4",
    "#8f9a22",
    "#5b6b8c",
)
# Colours are hard to tell apart for some readers and in print, so dashes and markers vary as well.
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.4, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BESIDE: Any = (0, (2, 2))  # dashes of lines that only help to read a drawing
STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "report",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
}
Curve = tuple[Sequence[float], Sequence[float]]
Draw = Callable[[Any], None]  # draws on matplotlib axes


class Look(NamedTuple):
    """Colour, dashes and marker of one generator, the same in every drawing."""

    colour: str
    dashes: Any
    marker: str

    @property
    def dash(self) -> str:
        """The dashes as SVG writes them for a line of the legend."""
        return (
            "" if self.dashes == "-" else " ".join(f"{2 * length:g}" for length in self.dashes[1])
        )


class Value(NamedTuple):
    """A number with its interval; None is what could not be computed."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def whiskers(self) -> list[list[float]] | None:
        """How far the interval reaches to both sides, as matplotlib's error bars want it."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return [[max(0.0, self.value - self.low)], [max(0.0, self.high - self.value)]]


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look per name; colours repeat after ten, with other dashes and markers."""
    cycles = (PALETTE, DASHES, MARKERS)
    return {
        name: Look(*(cycle[i % len(cycle)] for cycle in cycles)) for i, name in enumerate(names)
    }


class Drawings:
    """Draws the panels of one page and numbers them, so that no two share an id."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def draw(self, drawing: Draw, alt: str, **size: float) -> str:
        """A panel."""
        return panel(drawing, alt, number=next(self._numbers), **size)


def panel(draw: Draw, alt: str, *, number: int, width: float = 4.2, height: float = 2.7) -> str:
    """An inline SVG element of the given size (inches at most); `number` keeps its ids apart from
    other panels'.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        draw(figure.add_subplot())
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{number}-", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    view_box = re.search(r'viewBox="[^"]+"', svg)
    assert view_box, "matplotlib writes a viewBox"
    head = f'<svg {view_box[0]} role="img" aria-label="{escape(alt)}" xmlns="http://www.w3.org/2000/svg">'
    return "\n".join(
        line for line in (head + svg[svg.index(">") + 1 :]).splitlines() if line.strip()
    )


def percent(value: float, _: Any) -> str:
    """A share as a tick's label."""
    return f"{100 * value:g} %"


def rows(axes: Any, names: Sequence[str]) -> None:
    """A row per name from the top down, named at the left."""
    axes.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
    axes.set_yticklabels(names, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def dot(axes: Any, row: float, value: Value, colour: str, marker: str) -> None:
    """A point in a row, with its interval as a line; nothing where there is no value."""
    if value.value is not None:
        style = {
            "color": colour,
            "markersize": 8 if marker == "X" else 5,
            "elinewidth": 1.6,
            "capsize": 2.5,
        }
        axes.errorbar([value.value], [row], xerr=value.whiskers, fmt=marker, **style)
