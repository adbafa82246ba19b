"""All generators side by side: the figures of each, their mean and the worst."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.estimates import Estimate, bounded, ranged
from pipeline.evaluation.generator import Figures, nested

PAPER = "paper_protocol"  # name of the authors' threshold
PAPER_RATES = ("accuracy", "false_alarm_rate", "detection_rate")
MEAN, WORST = "mean", "worst"  # no generator can have these names


def table(generators: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    """A row for each generator, "mean" and "worst", as data/evaluation/table.json has it.

    The replicates of all generators are paired by the photographs that they share. The mean's
    interval is that of the replicates' mean, None where one generator has none. "worst" is the
    generator of the lowest AUC. As it is selected, its interval takes the minimum over generators
    inside each resample; it is None where a generator has no replicates."""
    every = list(generators.values())
    rows = {
        name: {
            "generated_faces": figures.counts["generated_faces"],
            "photographic_faces": figures.counts["photographic_faces"],
            **_row(figures.estimates),
        }
        for name, figures in generators.items()
    }
    rows[MEAN] = _row({name: _mean(name, every) for name in every[0].estimates})
    worst = min(generators, key=lambda name: rows[name]["auc"])
    rows[WORST] = {"generator": worst, **_row({"auc": _lowest(rows[worst]["auc"], every)})}
    return rows


def headline(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The few numbers of the table that are compared between runs, for metrics/evaluation.json.

    The mean's interval is among them: a commit without its scores then still tells its noise."""
    rates = [key for key in rows[MEAN] if key.startswith("at_")]
    numbers: dict[str, Any] = {
        name: {"auc": row["auc"]}
        | {f"detection_rate_{key}": row[key]["detection_rate"] for key in rates if key in row}
        for name, row in rows.items()
    }
    numbers[MEAN] |= {f"auc_{end}": rows[MEAN][f"auc_{end}"] for end in ("low", "high")}
    alarms = {f"false_alarm_rate_{key}": rows[MEAN][key]["false_alarm_rate"] for key in rates}
    return numbers | alarms


def _row(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """The values, nested, with the intervals of the AUC and of the detection rates."""
    row: dict[str, Any] = {}
    for name, estimate in estimates.items():
        threshold, _, rate = name.partition(".")
        if threshold != PAPER or rate in PAPER_RATES:
            row[name] = estimate["value"]
        if name == "auc" or (rate == "detection_rate" and threshold != PAPER):
            row |= {f"{name}_{end}": estimate[end] for end in ("low", "high")}
    return nested(row)


def _mean(name: str, generators: Sequence[Figures]) -> Estimate:
    """Mean of a measure; of a generator whose resamples agree the ends of its interval count."""
    estimates = [figures.estimates[name] for figures in generators]
    value = float(np.mean([estimate["value"] for estimate in estimates]))
    sides = []
    for side, end in enumerate(("low", "high")):
        ends = [estimate[end] for estimate in estimates]
        if None in ends:
            return bounded(value)
        drawn = zip((figures.replicates[name] for figures in generators), ends, strict=True)
        moved = [np.full_like(d, own) if bootstrap.agree(d) else d for d, own in drawn]
        sides.append(bootstrap.interval(np.mean(moved, axis=0))[side])
    return bounded(value, (sides[0], sides[1]))


def _lowest(auc: float, generators: Sequence[Figures]) -> Estimate:
    """The lowest AUC, with its interval."""
    drawn = [figures.replicates["auc"] for figures in generators if "auc" in figures.replicates]
    complete = len(drawn) == len(generators)
    return ranged(auc, np.min(drawn, axis=0))[0] if complete else bounded(auc)
