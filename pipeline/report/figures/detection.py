"""Figures of what is detected: rates and AUC per generator, ROC curves, scores, and one PNG for the
README.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PHOTOGRAPHIC,
    ROW,
    STYLE,
    Canvas,
    interval,
    looks,
    percent_tick,
    rows,
)
from pipeline.report.results import Results
from pipeline.report.wording import DASH, Value, number, percent, value_of

QUARTERS = [0, 0.25, 0.5, 0.75, 1]


def readme(path: str | Path, results: Results, title: str) -> None:
    """The README's picture (PNG, 1600 pixels wide): detection beside the ROC curves."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pipeline.base.atomic import atomic

    with mpl.rc_context(fname=STYLE), atomic(path) as temporary:
        height = max(3.4, 1.5 + ROW * len(results.generators))
        figure = Figure(figsize=(8, height), dpi=200, facecolor="white")
        figure.get_layout_engine().set(w_pad=0.1)  # type: ignore[union-attr, call-arg]
        left, right = figure.subplots(1, 2, width_ratios=(1.22, 1))
        _detection(left, results)
        _roc(right, results, logarithmic=False)
        rate = results.rates[results.headline]["chosen"]
        left.set_title(f"Detected at {100 * rate:g} % false alarms")
        right.set_title("ROC curves")
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, color=INK)
        figure.savefig(temporary, format="png", metadata={"Software": None})


def overview(results: Results, canvas: Canvas) -> list[str]:
    """Detection per generator, in one panel."""
    said = [f"{name} {percent(share.value)}" for name, share in _detected(results).items()]
    figure = partial(_detection, results=results)
    return [canvas.panel(figure, f"Detected: {'; '.join(said)}.", height=0.8 + ROW * len(said))]


def roc(results: Results, canvas: Canvas) -> list[str]:
    """ROC curves on a linear and on a logarithmic axis."""
    auc = [f"{name} {number(part['values']['auc'])}" for name, part in results.generators.items()]
    return [
        canvas.panel(
            partial(_roc, results=results, logarithmic=logarithmic),
            f"ROC curves, false alarm rates {scale}. AUC: {'; '.join(auc)}.",
            height=3.2,
        )
        for logarithmic, scale in ((False, "linear"), (True, "logarithmic"))
    ]


def scores(results: Results, canvas: Canvas) -> list[str]:
    """Score histograms of each generator, with the thresholds."""
    svgs = []
    for name, share in _detected(results).items():
        title = f"{name}: {percent(share.value)} detected"
        figure = partial(_scores, results=results, name=name, title=title)
        svgs.append(canvas.panel(figure, f"Anomaly scores of photographs and of {title}.", 3.4, 2))
    return svgs


def _detected(results: Results) -> dict[str, Value]:
    key = results.headline
    return {name: value_of(p, key, "detection_rate") for name, p in results.generators.items()}


def _detection(axes: Any, results: Results) -> None:
    """Horizontal bars of the share detected at the headline rate; share and AUC at the right."""
    styles = looks(list(results.generators))
    right = {"va": "center", "ha": "right", "fontsize": 8.5, "color": INK}
    for row, (name, share) in enumerate(_detected(results).items()):
        auc = results.generators[name]["values"]["auc"]
        axes.barh(row, share.value or 0, height=0.62, color=styles[name].colour, alpha=0.85)
        interval(axes, row, share, fmt="none", color=INK, elinewidth=1.1)
        axes.text(
            1.23, row, DASH if share.value is None else f"{number(100 * share.value, 0)} %", **right
        )
        axes.text(1.45, row, number(auc), **right)
    axes.text(1.45, -0.85, "AUC", **{**right, "color": MUTED, "fontsize": 8})
    axes.axvline(results.rates[results.headline]["chosen"], color=INK, lw=1, ls=BESIDE)
    rows(axes, list(results.generators))
    axes.set(xlim=(0, 1.45), xticks=QUARTERS, xlabel="share of AI-generated faces detected")
    axes.spines["bottom"].set_bounds(0, 1)
    axes.xaxis.set_major_formatter(percent_tick)


def _roc(axes: Any, results: Results, *, logarithmic: bool) -> None:
    """Detection rate over false alarm rate. Chosen rates are dashed lines, and a mark on a curve is
    what the rate's threshold really does. Logarithmic shows the lowest rates.
    """
    rates = [rate["chosen"] for rate in results.rates.values()]
    lowest = min(1e-3, *rates) if logarithmic else 0.0
    chance = [lowest ** (1 - i / 60) for i in range(61)] if logarithmic else [0.0, 1.0]
    axes.plot(chance, chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    steps = "steps-post" if logarithmic else "default"
    for name, style in looks(list(results.generators)).items():
        curve, values = results.roc.query("generator == @name"), results.generators[name]["values"]
        left = int((curve["fpr"] <= lowest).sum()) if logarithmic else 0
        first = max(0, left - 1)  # the last point at or left of the edge
        x, y = curve["fpr"].iloc[first:].clip(lower=lowest), curve["tpr"].iloc[first:]
        axes.plot(x, y, color=style.colour, linestyle=style.dashes, drawstyle=steps)
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


def _scores(axes: Any, results: Results, name: str, title: str) -> None:
    """Histograms of a generator's and the photographs' scores; dashed lines are the thresholds, the
    thickest is the headline rate's.
    """
    histogram = results.histograms.query("generator == @name")
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
