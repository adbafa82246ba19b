"""Figures of what is detected: rates and AUC per generator, ROC curves, scores, and one PNG for the
README.
"""

from pathlib import Path
from typing import Any

from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PAPER,
    PHOTOGRAPHIC,
    STYLE,
    looks,
    percent_tick,
    rows,
    whiskers,
)
from pipeline.report.results import Results
from pipeline.report.wording import value_of

QUARTERS = [0, 0.25, 0.5, 0.75, 1]


def overview(path: str | Path, results: Results, title: str) -> None:
    """The README's picture (PNG, 1600 pixels wide): detection beside the ROC curves."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pipeline.base.atomic import atomic

    with (
        mpl.rc_context({**STYLE, "figure.constrained_layout.w_pad": 0.1}),
        atomic(path) as temporary,
    ):
        height = max(3.4, 1.5 + 0.3 * len(results.generators))
        figure = Figure(figsize=(8, height), dpi=200, facecolor=PAPER)
        left, right = figure.subplots(1, 2, width_ratios=(1.22, 1))
        detection(left, results)
        roc(right, results)
        rate = results.rates[results.headline]["chosen"]
        left.set_title(f"Detected at {100 * rate:g} % false alarms")
        right.set_title("ROC curves")
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, color=INK)
        figure.savefig(temporary, format="png", metadata={"Software": None}, facecolor=PAPER)


def detection(axes: Any, results: Results) -> None:
    """Horizontal bars of the share detected at the headline rate, with intervals; share and AUC at
    the right.
    """
    styles = looks(list(results.generators))
    right = {"va": "center", "ha": "right", "fontsize": 8.5, "color": INK}
    for row, (name, content) in enumerate(results.generators.items()):
        share, auc = value_of(content, results.headline, "detection_rate"), value_of(content, "auc")
        if share.value is not None:
            axes.barh(row, share.value, height=0.62, color=styles[name].colour, alpha=0.85)
        if bars := whiskers(share):
            style = {"fmt": "none", "color": INK, "elinewidth": 1.1, "capsize": 2.5}
            axes.errorbar([share.value], [row], xerr=bars, **style)
        axes.text(1.18, row, "–" if share.value is None else f"{100 * share.value:.0f} %", **right)
        axes.text(1.4, row, "–" if auc.value is None else f"{auc.value:.3f}", **right)
    axes.text(1.4, -0.85, "AUC", **{**right, "color": MUTED, "fontsize": 8})
    axes.axvline(results.rates[results.headline]["chosen"], color=INK, lw=1, ls=BESIDE)
    rows(axes, list(results.generators))
    axes.set(xlim=(0, 1.4), xticks=QUARTERS, xlabel="share of AI-generated faces detected")
    axes.spines["bottom"].set_bounds(0, 1)
    axes.xaxis.set_major_formatter(percent_tick)


def roc(axes: Any, results: Results, *, logarithmic: bool = False) -> None:
    """Detection rate over false alarm rate. Chosen rates are dashed lines, and a mark on a curve is
    what the rate's threshold really does. Logarithmic shows the lowest rates.
    """
    styles = looks(list(results.generators))
    rates = [rate["chosen"] for rate in results.rates.values()]
    lowest = min(1e-3, *rates) if logarithmic else 0.0
    chance = [lowest ** (1 - i / 60) for i in range(61)] if logarithmic else [0.0, 1.0]
    axes.plot(chance, chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    for name, curve in results.roc.groupby("generator", sort=False):
        if name not in styles:
            continue
        style, values = styles[name], results.generators[name]["values"]
        first = int((curve["fpr"] <= lowest).sum()) - 1 if logarithmic else 0
        shown = curve.iloc[max(0, first) :]
        axes.plot(
            shown["fpr"].clip(lower=lowest), shown["tpr"],
            color=style.colour, linestyle=style.dashes,
            drawstyle="steps-post" if logarithmic else "default",
        )  # fmt: skip
        for key in results.rates:
            alarms, detected = values[key]["false_alarm_rate"], values[key]["detection_rate"]
            if alarms is not None and detected is not None:
                axes.plot(max(alarms, lowest), detected, style.marker, ms=4.5, color=style.colour)
    for rate in rates:
        axes.axvline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
    axes.set(ylim=(-0.01, 1.02), yticks=QUARTERS, ylabel="detection rate")
    if logarithmic:
        axes.set(xscale="log", xlim=(lowest, 1), xlabel="false alarm rate, logarithmic")
    else:
        axes.set(xlim=(-0.01, 1.01), xticks=QUARTERS, xlabel="false alarm rate on photographs")
    axes.xaxis.set_major_formatter(percent_tick)
    axes.yaxis.set_major_formatter(percent_tick)


def scores(axes: Any, results: Results, name: str, title: str) -> None:
    """Histograms of a generator's and the photographs' anomaly scores, and the thresholds as dashed
    lines, the headline rate's the thickest.
    """
    histogram = results.histograms[results.histograms["generator"] == name]
    edges = [*histogram["low"], *histogram["high"][-1:]]
    colour = looks(list(results.generators))[name].colour
    axes.stairs(histogram["photographic"], edges, fill=True, color=PHOTOGRAPHIC, alpha=0.6)
    axes.stairs(histogram["generated"], edges, fill=True, color=colour, alpha=0.45)
    axes.stairs(histogram["generated"], edges, color=colour, linewidth=1.3)
    for key, rate in results.rates.items():
        x = min(max(rate["threshold"], edges[0]), edges[-1])
        axes.axvline(x, color=INK, lw=1.3 if key == results.headline else 0.7, ls=BESIDE)
    axes.set(yticks=[], xlim=(edges[0], edges[-1]), title=title, xlabel="anomaly score")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)
