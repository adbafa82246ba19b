"""Drawings of how far the results can be trusted: calibration sizes, controls, formats,
perturbations, the feature space.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from pipeline.audit.questions import TRIVIAL
from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PALETTE,
    Draw,
    Look,
    Value,
    dot,
    percent,
    rows,
)

Points = tuple[Sequence[float], Sequence[float]]  # x and y


def calibration_sizes(curve: Mapping[str, Sequence[float]], rate: float, here: int) -> Draw:
    """Bands of the false alarm rate over the number of calibration photographs (logarithmic):
    guaranteed, and measured.

    curve: faces, guarantee_low, guarantee_high, and measured_low, measured_high, measured_mean,
    which may be NaN."""

    def draw(axes: Any) -> None:
        faces = curve["faces"]
        axes.fill_between(
            faces,
            curve["guarantee_low"],
            curve["guarantee_high"],
            color=PALETTE[0],
            alpha=0.28,
            linewidth=0,
        )
        measured = [i for i, value in enumerate(curve["measured_mean"]) if isfinite(value)]
        x = [faces[i] for i in measured]
        for name in ("measured_low", "measured_high"):
            axes.plot(
                x,
                [curve[name][i] for i in measured],
                color=PALETTE[1],
                linewidth=1.2,
                linestyle=(0, (4, 1.5)),
            )
        axes.plot(
            x,
            [curve["measured_mean"][i] for i in measured],
            color=PALETTE[1],
            marker="o",
            markersize=3,
        )
        axes.axhline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
        axes.axvline(here, color=MUTED, linewidth=0.9)
        axes.set_xscale("log")
        ticks = [
            tick
            for tick in (50, 100, 200, 500, 1000, 2000, 5000, 10000)
            if min(faces) <= tick <= max(faces)
        ]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(percent)
        axes.set(
            title=f"chosen: {100 * rate:g} %",
            xlabel="calibration photographs",
            ylabel="false alarm rate",
        )

    return draw


def controls(values: Mapping[str, tuple[Value, str]]) -> Draw:
    """A point with its interval per control: `mine` (the detector), or what `judged` says of it;
    the dashed line is chance.
    """
    high = (PALETTE[3], "X")
    styles = {"mine": (INK, "D"), "in order": (PALETTE[0], "o"), "suspicious": high, TRIVIAL: high}

    def draw(axes: Any) -> None:
        for row, (value, kind) in enumerate(values.values()):
            dot(axes, row, value, *styles.get(kind, styles["in order"]))
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=BESIDE)
        rows(axes, list(values))
        known = [
            v
            for value, _ in values.values()
            for v in (value.value, value.low, value.high)
            if v is not None
        ]
        axes.set(xlim=(min([0.38, *known]) - 0.02, 1.01), xlabel="ROC AUC")

    return draw


def before_and_after(values: Mapping[str, tuple[Value, Value]], label: str) -> Draw:
    """Two points per row, as found (open, above) and harmonised (filled, below), joined by a line."""

    def draw(axes: Any) -> None:
        for row, (found, harmonised) in enumerate(values.values()):
            if found.value is not None and harmonised.value is not None:
                axes.plot(
                    [found.value, harmonised.value],
                    [row - 0.16, row + 0.16],
                    color=MUTED,
                    linewidth=0.9,
                )
            dot(axes, row - 0.16, found, PALETTE[1], "s")
            dot(axes, row + 0.16, harmonised, PALETTE[0], "o")
        rows(axes, list(values))
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=BESIDE)
        low, high = axes.get_xlim()
        axes.set(xlabel=label, xlim=(min(low, 0.4), max(high, 1.02)))

    return draw


def over_strength(
    steps: Sequence[str],
    values: Mapping[str, Sequence[Value]],
    looks: Mapping[str, Look],
    title: str,
    *,
    joined: bool,
    rate: float | None = None,
) -> Draw:
    """A rate per step for each name: lines with bands where the steps are one kind's strengths,
    else points with whiskers.

    The axis ends at 1 for several names, and above the highest value for one alone. rate: the
    chosen one, a dashed line."""

    def draw(axes: Any) -> None:
        for i, (name, points) in enumerate(values.items()):
            look = looks[name]
            known = [(step, p) for step, p in enumerate(points) if p.value is not None]
            if joined:
                style = {
                    "color": look.colour,
                    "linestyle": look.dashes,
                    "marker": look.marker,
                    "markersize": 3.5,
                }
                axes.plot([step for step, _ in known], [p.value for _, p in known], **style)
                band = [
                    (step, p.low, p.high)
                    for step, p in known
                    if p.low is not None and p.high is not None
                ]
                if band:
                    axes.fill_between(
                        *zip(*band, strict=True), color=look.colour, alpha=0.13, linewidth=0
                    )
            else:
                aside = 0.7 * ((i + 0.5) / len(values) - 0.5)
                style = {
                    "color": look.colour,
                    "fmt": look.marker,
                    "markersize": 4,
                    "elinewidth": 1.1,
                }
                for step, p in known:
                    axes.errorbar([step + aside], [p.value], yerr=p.whiskers, **style)
        if rate is not None:
            axes.axhline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
        axes.set_xticks(range(len(steps)), steps)
        highest = max((p.high or 0.0 for points in values.values() for p in points), default=0.0)
        top = 1.02 if len(values) > 1 else min(1.02, max(0.2, 1.1 * highest))
        axes.set(ylim=(-0.02 * top, top), xlim=(-0.5, len(steps) - 0.5), title=title)
        axes.yaxis.set_major_formatter(percent)
        axes.grid(visible=False, axis="x")

    return draw


def scatter(photographs: Points, generated: Points, look: Look, title: str) -> Draw:
    """The projected faces: photographs as grey rings below, generated ones in their generator's
    colour and marker.
    """

    def draw(axes: Any) -> None:
        rings = {
            "marker": "o",
            "markersize": 3.4,
            "markerfacecolor": "none",
            "markeredgecolor": MUTED,
            "markeredgewidth": 0.8,
        }
        axes.plot(*photographs, linestyle="", **rings)
        style = {
            "color": look.colour,
            "marker": look.marker,
            "markersize": 3.4,
            "alpha": 0.7,
            "markeredgewidth": 0,
        }
        axes.plot(*generated, linestyle="", **style)
        axes.set(xticks=[], yticks=[], title=title)
        axes.spines[:].set_visible(True)
        axes.set_aspect("equal", adjustable="datalim")

    return draw
