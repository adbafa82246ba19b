"""Figures of how far the results can be trusted, and of how the detector came about."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PALETTE,
    Look,
    looks,
    percent_tick,
    rows,
    whiskers,
)
from pipeline.report.wording import Value

if TYPE_CHECKING:
    import pandas as pd

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10000)


def calibration_sizes(axes: Any, curve: "pd.DataFrame", here: int) -> None:
    """Range of the true false alarm rate over the number of calibration photographs: expected
    (band), and measured with random subsets of those at hand (`here`, the grey line).
    """
    rate = curve["rate"].iloc[0]
    band = (curve["faces"], curve["guarantee_low"], curve["guarantee_high"])
    axes.fill_between(*band, color=PALETTE[0], alpha=0.28, linewidth=0)
    measured = curve.dropna(subset="measured_mean")
    for column in ("measured_low", "measured_high"):
        axes.plot(measured["faces"], measured[column], color=PALETTE[1], lw=1.2, ls=(0, (4, 1.5)))
    axes.plot(measured["faces"], measured["measured_mean"], "o-", color=PALETTE[1], markersize=3)
    axes.axhline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
    axes.axvline(here, color=MUTED, linewidth=0.9)
    ticks = [tick for tick in SIZES if curve["faces"].min() <= tick <= curve["faces"].max()]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(percent_tick)
    axes.set(title=f"chosen: {100 * rate:g} %", ylabel="false alarm rate")
    axes.set_xlabel("calibration photographs")


def before_and_after(axes: Any, values: Mapping[str, Sequence[Value]], label: str) -> None:
    """Two points per row, as found (square, above) and harmonised (circle, below), joined."""
    for row, pair in enumerate(values.values()):
        places = (row - 0.16, row + 0.16)
        if None not in (pair[0].value, pair[1].value):
            axes.plot([value.value for value in pair], places, color=MUTED, linewidth=0.9)
        looks_of_pair = ((PALETTE[1], "s"), (PALETTE[0], "o"))
        for value, place, (colour, marker) in zip(pair, places, looks_of_pair, strict=True):
            if value.value is not None:
                style = {"color": colour, "ms": 5, "elinewidth": 1.6, "capsize": 2.5}
                axes.errorbar([value.value], [place], xerr=whiskers(value), fmt=marker, **style)
    rows(axes, list(values))
    axes.axvline(0.5, color=INK, linewidth=1, linestyle=BESIDE)
    low, high = axes.get_xlim()
    axes.set(xlabel=label, xlim=(min(low, 0.4), max(high, 1.02)))


def over_strength(
    axes: Any,
    steps: Sequence[str],
    lines: Mapping[str, Sequence[float | None]],
    styles: Mapping[str, Look],
    *,
    joined: bool,
) -> None:
    """A rate per step and name: lines where the steps are strengths of one kind, else points."""
    for i, (name, values) in enumerate(lines.items()):
        look = styles[name]
        known = [(step, value) for step, value in enumerate(values) if value is not None]
        if not known:
            continue
        x, y = zip(*known, strict=True)
        if not joined:  # side by side
            x = tuple(step + 0.6 * ((i + 0.5) / len(lines) - 0.5) for step in x)
        dashes = look.dashes if joined else ""
        axes.plot(x, y, color=look.colour, ls=dashes, marker=look.marker, ms=3.8)
    axes.set_xticks(range(len(steps)), steps)
    axes.set(ylim=(-0.02, 1.02), xlim=(-0.5, len(steps) - 0.5))
    axes.yaxis.set_major_formatter(percent_tick)
    axes.grid(visible=False, axis="x")


def scatter(
    axes: Any, photographs: "pd.DataFrame", generated: "pd.DataFrame", look: Look, title: str
) -> None:
    """Projected faces (columns x, y): photographs as grey rings below a generator's markers."""
    rings = {"markersize": 3.4, "markerfacecolor": "none", "markeredgecolor": MUTED}
    axes.plot(photographs["x"], photographs["y"], "o", markeredgewidth=0.8, **rings)
    style = {"color": look.colour, "markersize": 3.4, "alpha": 0.7, "markeredgewidth": 0}
    axes.plot(generated["x"], generated["y"], look.marker, **style)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(True)
    axes.set_aspect("equal", adjustable="datalim")


def learning(
    axes: Any, history: "pd.DataFrame", columns: Mapping[str, str], title: str, *, share: bool
) -> None:
    """A line per column and its name over the epochs, from 0 (shares: from 0.5); legend below."""
    styles = looks(list(columns))
    for column, name in columns.items():
        look = styles[column]
        line = {"color": look.colour, "linestyle": look.dashes, "label": name}
        axes.plot(history["epoch"], history[column], marker="o", markersize=3, **line)
    lowest = history[list(columns)].min().min()
    axes.set_ylim(*((min(0.5, lowest), 1) if share else (0, None)))
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.figure.legend(loc="outside lower left", ncols=2, handlelength=2.2, columnspacing=1.2)


def tag(axes: Any, bins: "pd.DataFrame", title: str) -> None:
    """Distribution of one EXIF tag over a logarithmic axis; neighbouring bins share an edge."""
    low, high = bins["value_from"].iloc[0], bins["value_to"].iloc[-1]
    width = bins["value_to"] - bins["value_from"]
    axes.bar(bins["value_from"], bins["faces"], width, align="edge", color=PALETTE[0], alpha=0.75)
    axes.set(title=title, xscale="log", xlim=(low, high), ylabel="faces")
    axes.minorticks_off()
    values = [m * 10.0**power for power in range(-6, 7) for m in (1, 2, 5)]
    within = [value for value in values if low <= value <= high]
    ticks = within[:: ceil(len(within) / 5) or 1]  # at most five
    axes.set_xticks(ticks, [f"1/{round(1 / v)}" if v < 0.3 else f"{v:g}" for v in ticks])
    axes.grid(visible=False, axis="x")
    axes.locator_params(axis="y", nbins=4)
