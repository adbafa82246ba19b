"""What the report says of perturbed faces: detection and false alarms over the strength of each
perturbation.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from pipeline.report.document import Cell, LegendEntry, Panels, Table, Text
from pipeline.report.figures import checks
from pipeline.report.figures.canvas import INK, Drawings, Look, Value, looks
from pipeline.report.results import Results
from pipeline.report.sections.generators import ranged
from pipeline.report.wording import KINDS, cell, chosen, number, percent, perturbation

NONE = "No perturbation was asked for: the list `perturbations` in params.yaml is empty, so nothing is known of changed faces."
PHOTOGRAPHS = {"photographs": Look(INK, "-", "o")}
_MEANINGS = {"jpeg": "quality", "webp": "quality", "double_jpeg": "quality of the first", "resize": "share of the side",
             "crop": "share of the side", "blur": "sigma in pixels", "noise": "sigma in grey levels"}  # fmt: skip
Step = tuple[str, Mapping[str, Any]]  # how its strength is written, and the content of its file


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    if not results.robustness:
        return [Text(NONE)]
    first = next(iter(results.robustness.values()))
    rate = chosen(results.rates[results.headline]["chosen"])
    text = (
        "Faces of both classes were changed as files are on their way through the world, and "
        "judged at the threshold for "
        f"{rate} of clean photographs. {first['photographs']['faces']:,} photographs and at most "
        f"{max(content['faces'] for content in first['generators'].values()):,} faces of each "
        "generator; clean means the same "
        "faces unchanged. A perturbation is harmless if detection stays and false alarms stay low: "
        "where both rise, everything "
        "looks generated; where both fall, everything passes. Look for detection that falls, and "
        "for false alarms that rise "
        "above the chosen rate (dashed line). Bands and whiskers are 95 % intervals."
    )
    parts = [content.get("not_computed", {}) for content in results.robustness.values()]
    missing = {what: why for part in parts for what, why in part.items()}
    notes = [Text(f"Not computed: {what}: {why}", "warning") for what, why in missing.items()]
    return [Text(text), *notes, *_curves(results, panels), _table(results)]


def _curves(results: Results, panels: Drawings) -> list[Panels]:
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for content in results.robustness.values():
        kinds.setdefault(content["kind"], []).append(content)
    blocks = []
    for kind, contents in kinds.items():
        if len(contents) > 1:
            hardest = sorted(contents, key=_severity)
            steps = [(f"{content['strength']:g}", content) for content in hardest]
            title = KINDS.get(kind, (kind.replace("_", " "), ""))[0]
            caption = (
                f"{title[0].upper()}{title[1:]} ({_MEANINGS.get(kind, 'strength')}) from mild to "
                "severe. "
                f"{_change(results, hardest[-1])}"
            )
            blocks.append(_panels(results, panels, (title, steps), caption, joined=True))
    single = [contents[0] for contents in kinds.values() if len(contents) == 1]
    if single:
        steps = [
            (perturbation(content["kind"], content["strength"]).replace(" ", "\n", 1), content)
            for content in single
        ]
        blocks.append(
            _panels(
                results,
                panels,
                ("one strength", steps),
                "Perturbations of a single strength.",
                joined=False,
            )
        )
    return blocks


def _change(results: Results, content: Mapping[str, Any]) -> str:
    """What a perturbation does, in one sentence."""
    mean, alarms = content["mean"][results.headline], content["photographs"][results.headline]
    return (
        f"At {content['strength']:g} the mean detection rate is {cell(mean['perturbed'], percent)} "
        "instead of "
        f"{cell(mean['clean'], percent)}, and {percent(alarms['perturbed']['false_alarm_rate'])} "
        "of photographs are false "
        f"alarms instead of {percent(alarms['clean']['false_alarm_rate'])}."
    )


def _severity(content: Mapping[str, Any]) -> float:
    """Sorts the strengths of one kind from mild to severe."""
    strength = float(content["strength"])
    if content["kind"] in ("blur", "noise"):
        return strength
    return abs(log(strength)) if content["kind"] in ("resize", "crop") else -strength


def _panels(
    results: Results,
    panels: Drawings,
    titled: tuple[str, Sequence[Step]],
    caption: str,
    *,
    joined: bool,
) -> Panels:
    key, styles = results.headline, looks(results.generators)
    title, steps = titled
    labels = ["clean", *(label for label, _ in steps)]
    clean = steps[0][1]
    detected = {
        name: [_rate(clean["generators"][name][key], "clean", "detection_rate"),
               *(_rate(content["generators"][name][key], "perturbed", "detection_rate") for _, content in steps)]
        for name in results.generators
    }  # fmt: skip
    alarms = [_rate(clean["photographs"][key], "clean", "false_alarm_rate"),
              *(_rate(content["photographs"][key], "perturbed", "false_alarm_rate") for _, content in steps)]  # fmt: skip
    words = ", ".join(label.replace("\n", " ") for label in labels)
    said = [
        f"{name} {', '.join(cell(value.value, percent) for value in values)}"
        for name, values in detected.items()
    ]
    alts = [
        f"Detection rate at {words}: " + "; ".join(said),
        f"False alarm rate at {words}: "
        + ", ".join(cell(value.value, percent) for value in alarms),
    ]
    drawings = [
        checks.over_strength(labels, detected, styles, f"{title}: detected", joined=joined),
        checks.over_strength(
            labels,
            {"photographs": alarms},
            PHOTOGRAPHS,
            f"{title}: false alarms",
            joined=joined,
            rate=results.rates[key]["chosen"],
        ),
    ]
    svgs = [
        panels.draw(drawing, alt, height=2.8) for drawing, alt in zip(drawings, alts, strict=True)
    ]
    legend = [
        LegendEntry(name, look.colour, look.dash, look.marker) for name, look in styles.items()
    ]
    return Panels(svgs, alts, caption, legend)


def _rate(content: Mapping[str, Any], state: str, measure: str) -> Value:
    return Value(content[state][measure], content[state]["low"], content[state]["high"])


def _table(results: Results) -> Table:
    key = results.headline
    first = next(iter(results.robustness.values()))
    rows: list[list[str | Cell]] = [["clean", *_row(results, first, "clean")]]
    for content in results.robustness.values():
        rows.append(
            [
                perturbation(content["kind"], content["strength"]),
                *_row(results, content, "perturbed"),
            ]
        )
    return Table(
        head=["perturbation", "photographs", *results.generators, "mean detected", "mean AUC"],
        rows=rows,
        groups=[
            ("", 1),
            ("false alarms", 1),
            ("detected", len(results.generators)),
            ("mean of the generators", 2),
        ],
        caption=f"At the threshold for {chosen(results.rates[key]['chosen'])}, with exact 95 % intervals, as if "
        "every face showed another person. The stronger a cell's colour, the more of its faces are "
        "called AI-generated. Look "
        "first at the column of photographs: where it is strong, the row's detections mean nothing.",
        sortable=True,
    )


def _row(results: Results, content: Mapping[str, Any], state: str) -> list[Cell]:
    key = results.headline
    values = [_rate(content["photographs"][key], state, "false_alarm_rate")]
    values += [
        _rate(content["generators"][name][key], state, "detection_rate")
        for name in results.generators
    ]
    mean, auc = content["mean"][key][state], content["mean"]["auc"][state]
    cells = [ranged(value, percent, value.value) for value in values]
    return [
        *cells,
        Cell(cell(mean, percent), value=mean, shade=mean),
        Cell(cell(auc, number), value=auc),
    ]
