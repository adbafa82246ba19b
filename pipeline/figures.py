"""The drawings of the report, with matplotlib: panels as inline SVG in the page's colours, and one PNG for the README.

Every drawing depends on its arguments alone: the same input gives the same bytes.
"""

import io
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

# Written into the SVG and then replaced by the page's own colours, so that a drawing is readable in light and in dark.
INK, MUTED, RULE, PAPER = "#1c2430", "#66707d", "#d8dde4", "#fffffe"
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
PHOTOGRAPHIC = "#8d98a5"
PALETTE = ("#3f7fd9", "#e08214", "#2e9e6b", "#d6455d", "#8f66cf", "#16a3b5", "#a5734e", "#dd6fb4", "#8f9a22", "#5b6b8c")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)))
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
    """Colour and dashes of one generator, the same in every drawing."""

    colour: str
    dashes: Any


@dataclass(frozen=True)
class Bar:
    """One generator's row: share of its faces detected, and ROC AUC."""

    name: str
    detection_rate: float
    auc: float


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look per name; colours repeat after ten, with the other dashes."""
    styles = [(PALETTE[i % len(PALETTE)], DASHES[(i + i // len(PALETTE)) % 2]) for i in range(len(names))]
    return {name: Look(*style) for name, style in zip(names, styles, strict=True)}


class Drawings:
    """Draws the panels of one page and numbers them, so that no two share an id."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def draw(self, drawing: Draw, alt: str, **size: float) -> str:
        """A panel."""
        return panel(drawing, alt, number=next(self._numbers), **size)


def panel(draw: Draw, alt: str, *, number: int, width: float = 4.2, height: float = 2.7) -> str:
    """An inline SVG element of the given size (inches at most); `number` keeps its ids apart from other panels'."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        draw(figure.add_subplot())
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{number}-", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    view_box = re.search(r'viewBox="[^"]+"', svg)
    assert view_box, "matplotlib writes a viewBox"
    head = f'<svg {view_box[0]} role="img" aria-label="{escape(alt)}" xmlns="http://www.w3.org/2000/svg">'
    return "\n".join(line for line in (head + svg[svg.index(">") + 1 :]).splitlines() if line.strip())


def overview(path: str | Path, bars: Sequence[Bar], curves: Mapping[str, Curve], rate: float, title: str) -> None:
    """The README's picture (PNG, 1600 pixels wide): detection rate and AUC per generator beside the ROC curves."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pipeline.artifacts import atomic

    with mpl.rc_context({**STYLE, "figure.constrained_layout.w_pad": 0.1}), atomic(path) as temporary:
        figure = Figure(figsize=(8, max(3.4, 1.5 + 0.3 * len(bars))), dpi=200, facecolor=PAPER)
        left, right = figure.subplots(1, 2, width_ratios=(1.22, 1))
        detection(bars, rate)(left)
        roc(curves, rate, logarithmic=False)(right)
        left.set_title(f"Detected at {100 * rate:g} % false alarms")
        right.set_title("ROC curves")
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, color=INK)
        figure.savefig(temporary, format="png", metadata={"Software": None}, facecolor=PAPER)


def detection(bars: Sequence[Bar], rate: float) -> Draw:
    """Horizontal bars of the share detected, in the generators' colours, with the AUC as a number at the right."""
    styles = looks([bar.name for bar in bars])

    def draw(axes: Any) -> None:
        for row, bar in enumerate(bars):
            axes.barh(row, bar.detection_rate, height=0.62, color=styles[bar.name].colour)
            inside = bar.detection_rate > 0.25
            look = {"ha": "right", "color": "white", "weight": "bold"} if inside else {"ha": "left", "color": INK}
            x = bar.detection_rate + (-0.02 if inside else 0.02)
            axes.text(x, row, f"{100 * bar.detection_rate:.0f} %", va="center", fontsize=8, **look)
            axes.text(1.04, row, f"{bar.auc:.3f}", va="center", ha="left", fontsize=8.5, color=INK)
        axes.text(1.04, -0.85, "AUC", va="center", ha="left", fontsize=8, color=MUTED)
        axes.axvline(rate, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.set(xlim=(0, 1), ylim=(len(bars) - 0.4, -0.6), yticks=range(len(bars)), xticks=[0, 0.25, 0.5, 0.75, 1])
        axes.set_yticklabels([bar.name for bar in bars], color=INK)
        axes.xaxis.set_major_formatter(_percent)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of AI-generated faces detected")

    return draw


def roc(curves: Mapping[str, Curve], rate: float, *, logarithmic: bool) -> Draw:
    """Detection rate over false alarm rate; the chosen rate is a dotted line. Logarithmic shows the lowest rates."""
    styles = looks(list(curves))

    def draw(axes: Any) -> None:
        lowest = 1e-3
        chance = [10 ** (-3 + 0.05 * i) for i in range(61)] if logarithmic else [0.0, 1.0]
        axes.plot(chance, chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for name, (false_alarms, detections) in curves.items():
            style = styles[name]
            shown = slice(bisect_right(false_alarms, lowest) - 1 if logarithmic else 0, None)
            x = [max(value, lowest) if logarithmic else value for value in false_alarms[shown]]
            steps = "steps-post" if logarithmic else "default"
            axes.plot(x, detections[shown], color=style.colour, linestyle=style.dashes, drawstyle=steps)
        axes.axvline(rate, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.set(ylim=(-0.01, 1.02), xlim=(lowest, 1) if logarithmic else (-0.01, 1.01), yticks=[0, 0.25, 0.5, 0.75, 1])
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xticks([1e-3, 1e-2, 0.1, 1])
        else:
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_xlabel("false alarm rate on photographs" + (", logarithmic" if logarithmic else ""))
        axes.set_ylabel("detection rate")

    return draw


def scores(name: str, histogram: Mapping[str, Sequence[float]], threshold: float, look: Look) -> Draw:
    """Two histograms of the anomaly score with the threshold between them."""

    def draw(axes: Any) -> None:
        edges = [*histogram["low"], histogram["high"][-1]]
        axes.stairs(histogram["photographic"], edges, fill=True, color=PHOTOGRAPHIC, alpha=0.6)
        axes.stairs(histogram["generated"], edges, fill=True, color=look.colour, alpha=0.45)
        axes.stairs(histogram["generated"], edges, color=look.colour, linewidth=1.3)
        axes.axvline(min(max(threshold, edges[0]), edges[-1]), color=INK, linewidth=1.1, linestyle=(0, (2, 2)))
        axes.set(yticks=[], xlim=(edges[0], edges[-1]), title=name)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("anomaly score")

    return draw


def tag(title: str, low: Sequence[float], high: Sequence[float], faces: Sequence[float]) -> Draw:
    """Distribution of one EXIF tag over a logarithmic axis; neighbouring bins share an edge."""

    def draw(axes: Any) -> None:
        axes.bar(low, faces, width=[b - a for a, b in zip(low, high, strict=True)], align="edge", color=PALETTE[0], alpha=0.75)
        axes.set_xscale("log")
        axes.set(title=title, xlim=(low[0], high[-1]))
        axes.minorticks_off()
        ticks = _round_values(low[0], high[-1])
        axes.set_xticks(ticks, [_short(value) for value in ticks])
        axes.grid(visible=False, axis="x")
        axes.locator_params(axis="y", nbins=4)
        axes.set_ylabel("faces")

    return draw


def learning(lines: Mapping[str, Curve], title: str, *, share: bool) -> Draw:
    """A line per name over the epochs, from 0.5 to 1 where they are shares; the legend stands below."""
    styles = looks(list(lines))

    def draw(axes: Any) -> None:
        for name, (epochs, values) in lines.items():
            look = styles[name]
            axes.plot(epochs, values, color=look.colour, linestyle=look.dashes, marker="o", markersize=3, label=name)
        every = [value for _, values in lines.values() for value in values]
        if share:
            axes.set_ylim(min([0.5, *every]), 1)
        else:
            axes.set_ylim(bottom=0)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.figure.legend(loc="outside lower left", ncols=2 if len(lines) < 4 else 3, handlelength=2.2, columnspacing=1.2)

    return draw


def _percent(value: float, _: Any) -> str:
    return f"{100 * value:g} %"


def _round_values(low: float, high: float) -> list[float]:
    """At most five of 1, 2, 5 times powers of ten (or 1 over them) within the range."""
    values = [m * 10.0**power for power in range(-6, 7) for m in (1, 2, 5)]
    within = [value for value in values if low <= value <= high]
    return within[:: ceil(len(within) / 5) or 1]


def _short(value: float) -> str:
    return f"1/{round(1 / value)}" if value < 0.3 else f"{value:g}"
