"""What all figures share: a look per generator, and panels as inline SVG in the page's colours."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.report.wording import Value

STYLE = Path(__file__).parents[1] / "templates/figures.mplstyle"
# Written into the SVG and then replaced by the page's own colours, so that a figure is readable in
# light and in dark.
INK, MUTED, RULE = "#1c2430", "#66707d", "#d8dde4"
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)"}
PHOTOGRAPHIC = "#8d98a5"
PALETTE = (
    "#3f7fd9", "#e08214", "#2e9e6b", "#d6455d", "#8f66cf",
    "#16a3b5", "#a5734e", "#dd6fb4", "#8f9a22", "#5b6b8c",
)  # fmt: skip
# Colours are hard to tell apart for some readers and in print, so dashes and markers vary as well.
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.4, 1.5)))
MARKERS = ("o", "s", "^", "D", "v")  # templates/macros.html has their outlines
BESIDE: Any = (0, (2, 2))  # dashes of lines that only help to read a figure
ROW = 0.3  # inches of height for each row of a figure with a row per generator


class Look(NamedTuple):
    """Colour, dashes and marker of one generator, the same in every figure."""

    colour: str
    dashes: Any
    marker: str

    @property
    def dash(self) -> str:
        """The dashes as SVG writes them for a line of a legend."""
        return "" if self.dashes == "-" else " ".join(f"{2 * d:g}" for d in self.dashes[1])


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look per name; colours repeat after ten, with other dashes and markers."""
    cycles = (PALETTE, DASHES, MARKERS)
    return {
        name: Look(*(cycle[i % len(cycle)] for cycle in cycles)) for i, name in enumerate(names)
    }


class Canvas:
    """Draws the panels of one page and numbers them, so that no two share an id."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def panel(
        self, draw: Callable[[Any], None], alt: str, width: float = 4.2, height: float = 2.7
    ) -> str:
        """What `draw` draws on matplotlib axes, as an inline SVG element (inches at most).

        alt: in words, for readers who do not see it.
        """
        import matplotlib as mpl
        from matplotlib.figure import Figure

        with mpl.rc_context(fname=STYLE):
            figure = Figure(figsize=(width, height))
            draw(figure.add_subplot())
            text = io.StringIO()
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        return _inline(text.getvalue(), alt, next(self._numbers))


def _inline(svg: str, alt: str, number: int) -> str:
    """matplotlib's SVG file as an element of the page: own ids, the page's colours."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{number}-", svg.replace("xlink:href", "href"))
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    _, box, rest = re.split(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', svg, maxsplit=1)
    lines = f'<svg {box} role="img" aria-label="{escape(alt)}">{rest}'.splitlines()
    return "\n".join(line for line in lines if line.strip())


def percent_tick(value: float, _: Any) -> str:
    """A share as a tick's label."""
    return f"{100 * value:g} %"


def rows(axes: Any, names: Sequence[str]) -> None:
    """A row per name from the top down, named at the left."""
    axes.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
    axes.set_yticklabels(names, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def interval(axes: Any, row: float, value: Value, **style: Any) -> None:
    """A point in a row with its interval as a line; nothing where there is no value."""
    if value.value is not None:
        ends = None
        if value.low is not None and value.high is not None:
            ends = [[max(0.0, value.value - value.low)], [max(0.0, value.high - value.value)]]
        axes.errorbar([value.value], [row], xerr=ends, capsize=2.5, **style)
