"""Figures of how far the results can be trusted: calibration, robustness, formats, the map of
features, learning curves.
"""

from collections.abc import Mapping
from functools import partial
from math import log
from typing import TYPE_CHECKING, Any

from pipeline.report.figures.canvas import (
    BESIDE,
    INK,
    MUTED,
    PALETTE,
    ROW,
    Canvas,
    Look,
    interval,
    looks,
    percent_tick,
    rows,
)
from pipeline.report.results import Results
from pipeline.report.wording import KINDS, Value, chosen, number, percent, value_in

if TYPE_CHECKING:
    import pandas as pd

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10000)
PHOTOGRAPHS = "photographs"
Steps = Mapping[str, Mapping[str, Any]]  # label of a perturbation, and its results


def sizes(results: Results, canvas: Canvas) -> list[str]:
    """Range of the true false alarm rate over the number of calibration photographs, for each
    chosen rate: expected (band), and measured with subsets of those at hand (grey line).
    """
    here = results.calibration["calibration_faces"]

    def draw(axes: Any, curve: "pd.DataFrame", rate: float) -> None:
        band = (curve["faces"], curve["guarantee_low"], curve["guarantee_high"])
        axes.fill_between(*band, color=PALETTE[0], alpha=0.28, linewidth=0)
        measured = curve.dropna(subset="measured_mean")
        for end in ("low", "high"):
            line = measured[f"measured_{end}"]
            axes.plot(measured["faces"], line, color=PALETTE[1], lw=1.2, ls=(0, (4, 1.5)))
        axes.plot(measured["faces"], measured["measured_mean"], "o-", color=PALETTE[1], ms=3)
        axes.axhline(rate, color=INK, linewidth=0.9, linestyle=BESIDE)
        axes.axvline(here, color=MUTED, linewidth=0.9)
        ticks = [tick for tick in SIZES if curve["faces"].min() <= tick <= curve["faces"].max()]
        axes.set(xscale="log", title=f"chosen: {100 * rate:g} %", ylabel="false alarm rate")
        axes.set_xlabel("calibration photographs")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(percent_tick)

    svgs = []
    for rate in sorted(set(results.sizes["rate"])):
        curve = results.sizes[results.sizes["rate"] == rate]
        alt = f"Range of the true rate for {chosen(rate)} over the number of photographs."
        svgs.append(canvas.panel(partial(draw, curve=curve, rate=rate), alt, height=2.8))
    return svgs


def robustness(results: Results, canvas: Canvas) -> list[str]:
    """A panel per kind of perturbation with several strengths, one for all the others."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for content in results.robustness.values():
        kinds.setdefault(content["kind"], []).append(content)
    svgs, single = [], {}
    for kind, contents in kinds.items():
        title, _, meaning = KINDS.get(kind, (kind, "", "strength"))
        if len(contents) > 1:
            steps = {f"{c['strength']:g}": c for c in sorted(contents, key=severity)}
            svgs.append(_steps(results, canvas, steps, f"{title}: {meaning}", joined=True))
        else:
            single[f"{title} {contents[0]['strength']:g}"] = contents[0]
    if single:
        svgs.append(_steps(results, canvas, single, "single strengths", joined=False))
    return svgs


def severity(content: Mapping[str, Any]) -> float:
    """Sorts the strengths of one kind from mild to severe."""
    kind, strength = content["kind"], float(content["strength"])
    if kind in ("blur", "noise"):
        return strength
    return abs(log(strength)) if kind in ("resize", "crop") else -strength


def _steps(results: Results, canvas: Canvas, steps: Steps, title: str, *, joined: bool) -> str:
    """Detection rates and the photographs' false alarm rate, clean and at each step: lines where
    the steps are strengths of one kind (joined), else points side by side.
    """
    key, first = results.headline, next(iter(steps.values()))
    states = [(first, "clean"), *((content, "perturbed") for content in steps.values())]
    lines = {
        name: [part["generators"][name][key][state]["detection_rate"] for part, state in states]
        for name in results.generators
    }
    lines[PHOTOGRAPHS] = [c["photographs"][key][state]["false_alarm_rate"] for c, state in states]
    styles = {**looks(list(results.generators)), PHOTOGRAPHS: Look(INK, "-", "o")}

    def draw(axes: Any) -> None:
        for i, (name, values) in enumerate(lines.items()):
            aside = 0 if joined else 0.6 * ((i + 0.5) / len(lines) - 0.5)
            x = [step + aside for step, value in enumerate(values) if value is not None]
            style = {"color": styles[name].colour, "marker": styles[name].marker, "ms": 3.8}
            y = [value for value in values if value is not None]
            axes.plot(x, y, ls=styles[name].dashes if joined else "", **style)
        axes.axhline(results.rates[key]["chosen"], color=INK, linewidth=0.9, linestyle=BESIDE)
        labels = [label.replace(" ", "\n") for label in ("clean", *steps)]
        axes.set_xticks(range(len(labels)), labels)
        axes.set(ylim=(-0.02, 1.02), xlim=(-0.5, len(labels) - 0.5), title=title)
        axes.yaxis.set_major_formatter(percent_tick)
        axes.grid(visible=False, axis="x")

    said = [f"{name} {', '.join(map(percent, values))}" for name, values in lines.items()]
    alt = f"{title}, called AI-generated at clean, {', '.join(steps)}: {'; '.join(said)}"
    return canvas.panel(draw, alt, 3.6, 2.6)


def formats(results: Results, canvas: Canvas) -> list[str]:
    """AUC as found (square) and harmonised (circle), of the detector and of file metadata alone."""
    found, states = results.confounds, ("as_found", "harmonised")
    parts: dict[str, list[list[Value]]] = {"detector: ROC AUC": [], "metadata alone: ROC AUC": []}
    for name in results.generators:
        detector = found["harmonised"]["generators"][name]["auc"]
        metadata = found["metadata_classifier"]["generators"][name]
        own, alone = parts.values()
        own.append([value_in(detector, state, "value") for state in states])
        alone.append([value_in(metadata, state, "auc") for state in states])

    def draw(axes: Any, label: str) -> None:
        for row, pair in enumerate(parts[label]):
            values = [value.value for value in pair]
            if None not in values:
                axes.plot(values, [row - 0.16, row + 0.16], color=MUTED, linewidth=0.9)
            interval(axes, row - 0.16, pair[0], color=PALETTE[1], fmt="s", ms=5, elinewidth=1.6)
            interval(axes, row + 0.16, pair[1], color=PALETTE[0], fmt="o", ms=5, elinewidth=1.6)
        rows(axes, list(results.generators))
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=BESIDE)
        low, high = axes.get_xlim()
        axes.set(xlabel=label, xlim=(min(low, 0.4), max(high, 1.02)))

    svgs = []
    for label, pairs in parts.items():
        said = [f"{number(before.value)} to {number(after.value)}" for before, after in pairs]
        listed = [f"{name} {text}" for name, text in zip(results.generators, said, strict=True)]
        alt = f"{label}, as found and harmonised: {'; '.join(listed)}"
        svgs.append(canvas.panel(partial(draw, label=label), alt, height=0.9 + ROW * len(pairs)))
    return svgs


def feature_map(results: Results, canvas: Canvas) -> list[str]:
    """The map of features: photographs as rings, and one generator in each panel."""
    photographs = results.projection.query("set == 'photographic_test'")
    rings = {"markersize": 3.4, "markerfacecolor": "none", "markeredgecolor": MUTED}

    def draw(axes: Any, name: str, look: Look) -> None:
        faces = results.projection.query("set == @name")
        axes.plot(photographs["x"], photographs["y"], "o", markeredgewidth=0.8, **rings)
        style = {"color": look.colour, "markersize": 3.4, "alpha": 0.7, "markeredgewidth": 0}
        axes.plot(faces["x"], faces["y"], look.marker, **style)
        axes.set(xticks=[], yticks=[], title=name)
        axes.spines[:].set_visible(True)
        axes.set_aspect("equal", adjustable="datalim")

    return [
        canvas.panel(partial(draw, name=name, look=look), f"Map: photographs, {name}.", 3, 2.6)
        for name, look in looks(list(results.generators)).items()
        if len(photographs)
    ]


def learning(results: Results, canvas: Canvas) -> list[str]:
    """Losses from 0, and validation accuracies and AUC from 0.5, over the epochs."""
    history = results.history
    accuracies = [c for c in map(str, history) if c.startswith("ranking_accuracy_")]

    def draw(axes: Any, columns: Mapping[str, str], title: str, lowest: float) -> None:
        for column, look in looks(list(columns)).items():
            line = {"color": look.colour, "linestyle": look.dashes, "label": columns[column]}
            axes.plot(history["epoch"], history[column], marker="o", markersize=3, **line)
        axes.set_ylim(bottom=min(lowest, history[list(columns)].min().min()))
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.figure.legend(loc="outside lower left", ncols=2, handlelength=2.2)

    losses = {"train_loss_total": "training", "validation_loss_total": "validation"}
    names = {c: c.removeprefix("ranking_accuracy_").replace("_", " ") for c in accuracies}
    measures = {**names, "manipulation_auc": "manipulation (AUC)"}
    measures.pop("ranking_accuracy_mean", None)
    first = partial(draw, columns=losses, title="sum of the losses", lowest=0.0)
    second = partial(draw, columns=measures, title="validation accuracy, AUC", lowest=0.5)
    return [
        canvas.panel(first, "Training and validation loss over the epochs.", height=3),
        canvas.panel(second, "Validation measures over the epochs.", height=3),
    ]
