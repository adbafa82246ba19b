"""What a finished run found: the figures by which worlds are compared.

A figure has a value and its 95 % interval as the stages wrote them; without one where they wrote
none. Of a mean over some generators the ends are the means of their ends: too wide rather than too
narrow, as if all varied together."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.common.artifacts import read_json

FIRST = 6  # generators; those after them were added when these had been scored often
RATE, SHARE = "at_5_percent", 0.05
HISTORIES = ("jpeg_75", "webp_80", "resize_0.75", "blur_0.5", "noise_2")  # for false alarms
UNDER = ("jpeg_75", "resize_0.75")  # for AUC
DETECTOR = "detector fitted as the controls are"
CONTROLS = {
    "bytes per pixel alone": "file_size_as_found",
    "random weights": "random_weights",
    "shuffled EXIF tags": "shuffled_exif",
}
FILES = (
    "params.yaml",
    "data/evaluation/table.json",
    "data/audit/controls.json",
    "data/audit/robustness.json",
    "data/calibration/calibration.json",
    "metrics/pretext.json",
)


class Figure(NamedTuple):
    """A value with its interval; unit: "" for a plain number, "%" for a share."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""


Figures = dict[str, dict[str, Figure]]  # by group, then by name, in the order of the table


class Contents(NamedTuple):
    """What the figures over generators are made of."""

    table: dict[str, Any]
    controls: dict[str, Any]  # by the title of the row
    robustness: dict[str, Any]


def read(folder: Path) -> Figures:
    """The figures of the run in a folder. PipelineError where a file or the 5 % rate is missing."""
    generators = params.read_yaml(folder / "params.yaml")["generators"]
    contents = _contents(folder)
    if RATE not in contents.table["mean"]:
        raise PipelineError(
            f"{folder}/params.yaml: calibration.false_alarm_rates lacks {SHARE}, which the table "
            "is about: add it and run again"
        )
    groups = {f"All {len(generators)} generators": _of_all(contents, generators)}
    if len(generators) > FIRST:
        some = _over(contents, generators[:FIRST])
        groups[f"The first {FIRST}, without {' and '.join(generators[FIRST:])}"] = some
    groups["AUC of each generator"] = {name: _auc(contents.table[name]) for name in generators}
    alarms = _false_alarms(folder, contents.robustness)
    groups[f"False alarms at the threshold for {SHARE:.0%}"] = alarms
    groups["Pretext task"] = _pretext(folder)
    return groups


def _contents(folder: Path) -> Contents:
    audit = folder / "data/audit"
    judged = read_json(audit / "controls.json")
    by_name = {one["name"]: one for one in judged["controls"]}
    controls = {title: by_name[name] for title, name in CONTROLS.items()}
    return Contents(
        read_json(folder / "data/evaluation/table.json"),
        {DETECTOR: judged["detector"], **controls},
        read_json(audit / "robustness.json"),
    )


def _of_all(contents: Contents, generators: Sequence[str]) -> dict[str, Figure]:
    """As over some generators, with the narrower intervals that the stages have for all."""
    rows = contents.table
    return _over(contents, generators) | {
        "AUC, mean": _auc(rows["mean"]),
        "AUC, worst": _auc(rows["worst"]),
        "detected at 5 % false alarms, mean": _detected(rows["mean"]),
        **{title: _interval(one, "auc") for title, one in contents.controls.items()},
    }


def _over(contents: Contents, generators: Sequence[str]) -> dict[str, Figure]:
    """Figures over some generators."""
    rows = [contents.table[name] for name in generators]
    figures = {
        "AUC, mean": mean(map(_auc, rows)),
        "AUC, worst": min(map(_auc, rows), key=lambda auc: auc.value or 0),
        "detected at 5 % false alarms, mean": mean(map(_detected, rows)),
    }
    for title, one in contents.controls.items():
        figures[title] = mean(Figure(one["generators"].get(name)) for name in generators)
    for name in UNDER:
        if perturbed := contents.robustness.get(name):
            aucs = (perturbed["generators"][generator]["auc"] for generator in generators)
            figures[f"AUC, mean, {name}"] = mean(Figure(**auc["perturbed"]) for auc in aucs)
    return figures


def _false_alarms(folder: Path, robustness: Mapping[str, Any]) -> dict[str, Figure]:
    """On all test photographs, and on those whose perturbed copies were judged; exact intervals."""
    rate = read_json(folder / "data/calibration/calibration.json")["rates"][RATE]
    ends = rate["exact_95"]
    return {
        "as they are": Figure(rate["false_alarm_rate"], ends["low"], ends["high"], "%"),
        **{
            name: _interval(
                robustness[name]["photographs"][RATE]["perturbed"], "false_alarm_rate", "%"
            )
            for name in HISTORIES
            if name in robustness
        },
    }


def _pretext(folder: Path) -> dict[str, Figure]:
    found = read_json(folder / "metrics/pretext.json")
    return {
        "ranking accuracy, mean": Figure(found["ranking_accuracy"]["mean"]),
        "manipulation AUC": Figure(found["manipulation_auc"]),
    }


def _interval(content: Mapping[str, Any], name: str, unit: str = "") -> Figure:
    return Figure(content[name], content["low"], content["high"], unit)


def _auc(row: Mapping[str, Any]) -> Figure:
    return Figure(row["auc"], row["auc_low"], row["auc_high"])


def _detected(row: Mapping[str, Any]) -> Figure:
    name = "detection_rate"
    return Figure(row[RATE][name], row[RATE][f"{name}_low"], row[RATE][f"{name}_high"], "%")


def mean(figures: Iterable[Figure]) -> Figure:
    """Mean of values, and of ends; None where one is missing."""
    figures = list(figures)
    values, lows, highs = zip(*((f.value, f.low, f.high) for f in figures), strict=True)
    return Figure(_mean(values), _mean(lows), _mean(highs), figures[0].unit)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
