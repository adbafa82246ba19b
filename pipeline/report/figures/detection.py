"""Drawings of what is detected: rates and AUC with intervals, ROC curves, scores, verdicts, and one
PNG for the README.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    PHOTOGRAPHIC,
    STYLE,
    Curve,
    Draw,
    Look,
    Value,
    dot,
    looks,
    percent,
    rows,
)

VERDICT_COLOURS = {
    "pass": "#c3cad3",
    "review": PALETTE[1],
    "flag": "#2458a6",
}  # differ in lightness too


@dataclass(frozen=True)
class Bar:
    """One generator's row: share of its faces detected at the headline rate, and ROC AUC."""

    name: str
    detection_rate: Value
    auc: Value


@dataclass(frozen=True)
class Roc:
    """One generator's ROC curve, and its (false alarm rate, detection rate) at the threshold of
    each chosen rate.
    """

    curve: Curve
    points: Sequence[tuple[float, float]] = field(default_factory=tuple)


def overview(
    path: str | Path,
    bars: Sequence[Bar],
    curves: Mapping[str, Roc],
    rates: Sequence[float],
    title: str,
) -> None:
    """The README's picture (PNG, 1600 pixels wide): detection rate and AUC per generator beside the
    ROC curves.

    rates: the chosen false alarm rates, the headline rate first.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pipeline.common.artifacts import atomic

    with (
        mpl.rc_context({**STYLE, "figure.constrained_layout.w_pad": 0.1}),
        atomic(path) as temporary,
    ):
        figure = Figure(figsize=(8, max(3.4, 1.5 + 0.3 * len(bars))), dpi=200, facecolor=PAPER)
        left, right = figure.subplots(1, 2, width_ratios=(1.22, 1))
        detection(bars, rates[0])(left)
        roc(curves, rates, logarithmic=False)(right)
        left.set_title(f"Detected at {100 * rates[0]:g} % false alarms")
        right.set_title("ROC curves")
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, color=INK)
        figure.savefig(temporary, format="png", metadata={"Software": None}, facecolor=PAPER)


def detection(bars: Sequence[Bar], rate: float) -> Draw:
    """Horizontal bars of the share detected with whiskers, in the generators' colours; both numbers
    at the right.
    """
    styles = looks([bar.name for bar in bars])

    def draw(axes: Any) -> None:
        for row, bar in enumerate(bars):
            share = bar.detection_rate
            axes.barh(row, share.value, height=0.62, color=styles[bar.name].colour, alpha=0.85)
            if share.whiskers:
                axes.errorbar(
                    [share.value],
                    [row],
                    xerr=share.whiskers,
                    fmt="none",
                    color=INK,
                    elinewidth=1.1,
                    capsize=2.5,
                )
            said = f"{100 * share.value:.0f} %" if share.value is not None else "–"
            axes.text(1.18, row, said, va="center", ha="right", fontsize=8.5, color=INK)
            auc = f"{bar.auc.value:.3f}" if bar.auc.value is not None else "–"
            axes.text(1.4, row, auc, va="center", ha="right", fontsize=8.5, color=INK)
        axes.text(1.4, -0.85, "AUC", va="center", ha="right", fontsize=8, color=MUTED)
        axes.axvline(rate, color=INK, linewidth=1, linestyle=BESIDE)
        rows(axes, [bar.name for bar in bars])
        axes.set(xlim=(0, 1.4), xticks=[0, 0.25, 0.5, 0.75, 1])
        axes.spines["bottom"].set_bounds(0, 1)
        axes.xaxis.set_major_formatter(percent)
        axes.set_xlabel("share of AI-generated faces detected")

    return draw


def aucs(bars: Sequence[Bar]) -> Draw:
    """A point per generator with its interval; the dashed line is chance."""
    styles = looks([bar.name for bar in bars])

    def draw(axes: Any) -> None:
        for row, bar in enumerate(bars):
            dot(axes, row, bar.auc, styles[bar.name].colour, styles[bar.name].marker)
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=BESIDE)
        rows(axes, [bar.name for bar in bars])
        lows = [low for bar in bars for low in (bar.auc.value, bar.auc.low) if low is not None]
        axes.set_xlim(min([0.47, *(low - 0.02 for low in lows)]), 1.01)
        axes.set_xlabel("ROC AUC")

    return draw


def roc(curves: Mapping[str, Roc], rates: Sequence[float], *, logarithmic: bool) -> Draw:
    """Detection rate over false alarm rate; chosen rates are dashed lines. Logarithmic shows the
    lowest rates.
    """
    styles = looks(list(curves))

    def draw(axes: Any) -> None:
        lowest = min(1e-3, *rates)
        chance = [lowest ** (1 - i / 60) for i in range(61)] if logarithmic else [0.0, 1.0]
        axes.plot(chance, chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for name, content in curves.items():
            (false_alarms, detections), style = content.curve, styles[name]
            shown = slice(bisect_right(false_alarms, lowest) - 1 if logarithmic else 0, None)
            x = [max(value, lowest) if logarithmic else value for value in false_alarms[shown]]
            steps = "steps-post" if logarithmic else "default"
            axes.plot(
                x, detections[shown], color=style.colour, linestyle=style.dashes, drawstyle=steps
            )
            points = [(max(a, lowest) if logarithmic else a, b) for a, b in content.points]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    linestyle="",
                    marker=style.marker,
                    markersize=4.5,
                    color=style.colour,
                )
        for rate in rates:
            axes.axvline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
        axes.set(
            ylim=(-0.01, 1.02),
            xlim=(lowest, 1) if logarithmic else (-0.01, 1.01),
            yticks=[0, 0.25, 0.5, 0.75, 1],
        )
        if logarithmic:
            axes.set_xscale("log")
        else:
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel(
            "false alarm rate on photographs" + (", logarithmic" if logarithmic else "")
        )
        axes.set_ylabel("detection rate")

    return draw


def scores(
    name: str, histogram: Mapping[str, Sequence[float]], thresholds: Sequence[float], look: Look
) -> Draw:
    """Two histograms of the anomaly score, and the thresholds: a dashed line each, the first
    (review's) the thickest.
    """

    def draw(axes: Any) -> None:
        edges = [*histogram["low"], histogram["high"][-1]]
        axes.stairs(histogram["photographic"], edges, fill=True, color=PHOTOGRAPHIC, alpha=0.6)
        axes.stairs(histogram["generated"], edges, fill=True, color=look.colour, alpha=0.45)
        axes.stairs(histogram["generated"], edges, color=look.colour, linewidth=1.3)
        for i, threshold in enumerate(thresholds):
            x = min(max(threshold, edges[0]), edges[-1])
            axes.axvline(x, color=INK, linewidth=0.7 if i else 1.3, linestyle=BESIDE)
        axes.set(yticks=[], xlim=(edges[0], edges[-1]), title=name)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("anomaly score")

    return draw


def verdicts(counts: Mapping[str, Mapping[str, int]]) -> Draw:
    """A bar per face set, divided into the shares of its verdicts; shares from 8 % on are written."""

    def draw(axes: Any) -> None:
        for row, content in enumerate(counts.values()):
            total, left = sum(content.values()) or 1, 0.0
            for verdict, colour in VERDICT_COLOURS.items():
                share = content[verdict] / total
                axes.barh(row, share, left=left, height=0.66, color=colour)
                if share >= 0.08:
                    dark = {"color": "white"} if verdict == "flag" else {"color": "black"}
                    axes.text(
                        left + share / 2,
                        row,
                        f"{100 * share:.0f} %",
                        va="center",
                        ha="center",
                        fontsize=8,
                        **dark,
                    )
                left += share
        rows(axes, list(counts))
        axes.set(xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="share of faces")
        axes.xaxis.set_major_formatter(percent)

    return draw
