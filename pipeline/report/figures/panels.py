"""The panels of each section of the page: which figures are drawn of which results."""

from collections.abc import Callable, Mapping
from functools import partial
from math import log
from typing import Any

from pipeline.report.figures import checks, detection
from pipeline.report.figures.canvas import INK, Canvas, Look, looks
from pipeline.report.results import Results
from pipeline.report.wording import HEADS, KINDS, chosen, number, percent, value_in

PHOTOGRAPHS = "photographs"
ROW = 0.3  # inches of height for each row of a figure with a row per generator


def draw(results: Results) -> dict[str, list[str]]:
    """Inline SVG elements by section, in the order in which the page shows them."""
    canvas = Canvas()
    parts: dict[str, Callable[[Results, Canvas], list[str]]] = {
        "overview": overview,
        "roc": roc,
        "scores": scores,
        "sizes": sizes,
        "robustness": robustness,
        "formats": formats,
        "map": feature_map,
        "learning": learning,
        "tags": tags,
    }
    return {name: part(results, canvas) for name, part in parts.items()}


def overview(results: Results, canvas: Canvas) -> list[str]:
    """Detection per generator."""
    key = results.headline
    shares = {
        name: part["values"][key]["detection_rate"] for name, part in results.generators.items()
    }
    alt = "Detected: " + "; ".join(f"{name} {percent(share)}" for name, share in shares.items())
    figure = partial(detection.detection, results=results)
    return [canvas.panel(figure, alt, height=0.8 + ROW * len(shares))]


def roc(results: Results, canvas: Canvas) -> list[str]:
    """ROC curves on a linear and on a logarithmic axis."""
    auc = "; ".join(
        f"{name} {number(part['values']['auc'])}" for name, part in results.generators.items()
    )
    return [
        canvas.panel(
            partial(detection.roc, results=results, logarithmic=logarithmic),
            f"ROC curves, false alarm rates {scale}. AUC: {auc}.",
            height=3.2,
        )
        for logarithmic, scale in ((False, "linear"), (True, "logarithmic"))
    ]


def scores(results: Results, canvas: Canvas) -> list[str]:
    """Score histograms of each generator."""
    svgs = []
    for name, part in results.generators.items():
        title = f"{name}: {percent(part['values'][results.headline]['detection_rate'])} detected"
        figure = partial(detection.scores, results=results, name=name, title=title)
        alt = f"Anomaly scores of photographs and of {title} at the headline rate."
        svgs.append(canvas.panel(figure, alt, width=3.4, height=2))
    return svgs


def sizes(results: Results, canvas: Canvas) -> list[str]:
    """True false alarm rate over the number of calibration photographs, for each chosen rate."""
    here, svgs = results.calibration["calibration_faces"], []
    for rate, curve in results.sizes.groupby("rate"):
        figure = partial(checks.calibration_sizes, curve=curve, here=here)
        alt = f"Range of the true rate for {chosen(rate)} over the number of photographs."
        svgs.append(canvas.panel(figure, alt, height=2.8))
    return svgs


def robustness(results: Results, canvas: Canvas) -> list[str]:
    """A panel per kind of perturbation with several strengths, one for all the others."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for content in results.robustness.values():
        kinds.setdefault(content["kind"], []).append(content)
    svgs = []
    for kind, contents in kinds.items():
        if len(contents) > 1:
            steps = {
                f"{content['strength']:g}": content for content in sorted(contents, key=severity)
            }
            title, _, meaning = KINDS.get(kind, (kind, "", "strength"))
            svgs.append(_steps(results, canvas, steps, f"{title}: {meaning}"))
    single = [contents[0] for contents in kinds.values() if len(contents) == 1]
    steps = {f"{KINDS[c['kind']][0]}\n{c['strength']:g}".replace(" ", "\n"): c for c in single}
    return svgs + ([_steps(results, canvas, steps, "one strength", joined=False)] if steps else [])


def severity(content: Mapping[str, Any]) -> float:
    """Sorts the strengths of one kind from mild to severe."""
    kind, strength = content["kind"], float(content["strength"])
    if kind in ("blur", "noise"):
        return strength
    return abs(log(strength)) if kind in ("resize", "crop") else -strength


def _steps(
    results: Results,
    canvas: Canvas,
    steps: Mapping[str, Mapping[str, Any]],
    title: str,
    *,
    joined: bool = True,
) -> str:
    """Detection rates and the photographs' false alarm rate, clean and at each step."""
    key, first = results.headline, next(iter(steps.values()))
    states = [(first, "clean"), *((content, "perturbed") for content in steps.values())]
    lines = {
        name: [
            content["generators"][name][key][state]["detection_rate"] for content, state in states
        ]
        for name in results.generators
    }
    lines[PHOTOGRAPHS] = [c["photographs"][key][state]["false_alarm_rate"] for c, state in states]
    styles = {**looks(list(results.generators)), PHOTOGRAPHS: Look(INK, "-", "o")}

    def figure(axes: Any) -> None:
        checks.over_strength(axes, ["clean", *steps], lines, styles, joined=joined)
        axes.axhline(results.rates[key]["chosen"], color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_title(title)

    said = [f"{name} {', '.join(map(percent, values))}" for name, values in lines.items()]
    alt = f"{title}, called AI-generated at clean, {', '.join(steps)}: {'; '.join(said)}"
    return canvas.panel(figure, alt.replace("\n", " "), height=2.9)


def formats(results: Results, canvas: Canvas) -> list[str]:
    """AUC as found and harmonised, of the detector and of file metadata alone."""
    found, svgs = results.confounds, []
    parts = {
        "detector: ROC AUC": (found["harmonised"]["generators"], ("auc",), "value"),
        "metadata alone: ROC AUC": (found["metadata_classifier"]["generators"], (), "auc"),
    }
    for label, (content, above, last) in parts.items():
        values = {
            name: [
                value_in(content[name], *above, state, last) for state in ("as_found", "harmonised")
            ]
            for name in results.generators
        }
        said = [f"{name} {number(a.value)}, {number(b.value)}" for name, (a, b) in values.items()]
        figure = partial(checks.before_and_after, values=values, label=label)
        alt = f"{label}, as found and harmonised: {'; '.join(said)}"
        svgs.append(canvas.panel(figure, alt, height=0.9 + ROW * len(values)))
    return svgs


def feature_map(results: Results, canvas: Canvas) -> list[str]:
    """The map of features: photographs and one generator in each panel."""
    sets = {str(name): places for name, places in results.projection.groupby("set")}
    photographs, svgs = sets.get("photographic_test"), []
    for name, look in looks(list(results.generators)).items():
        if photographs is not None and name in sets:
            places = {"photographs": photographs, "generated": sets[name]}
            figure = partial(checks.scatter, **places, look=look, title=name)
            svgs.append(canvas.panel(figure, f"Map of photographs and {name}.", 3, 2.6))
    return svgs


def learning(results: Results, canvas: Canvas) -> list[str]:
    """Losses and validation measures over the epochs."""
    history = results.history
    losses = {"train_loss_total": "training", "validation_loss_total": "validation"}
    measures = {
        name: name.removeprefix("ranking_accuracy_").replace("_", " ")
        for name in history
        if name.startswith("ranking_accuracy_") and name != "ranking_accuracy_mean"
    } | {"manipulation_auc": "manipulation (AUC)"}
    svgs = []
    for columns, title in (
        (losses, "sum of the five losses"),
        (measures, "validation accuracy, AUC"),
    ):
        shown = {column: name for column, name in columns.items() if column in history}
        figure = partial(
            checks.learning, history=history, columns=shown, title=title, share=columns is measures
        )
        svgs.append(canvas.panel(figure, f"{title} over the epochs.", height=3))
    return svgs


def tags(results: Results, canvas: Canvas) -> list[str]:
    """Distribution of each EXIF tag."""
    svgs = []
    for name, bins in results.tags.groupby("tag", sort=False):
        title = HEADS.get(str(name), str(name))
        figure = partial(checks.tag, bins=bins, title=title)
        svgs.append(canvas.panel(figure, f"Distribution of {title} over the kept faces.", 4.2, 2.2))
    return svgs
