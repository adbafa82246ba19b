"""All measures of one generator against the test photographs, with 95 % intervals.

Measures are named flat: `auc`, or `<threshold>.<rate>` as in `at_5_percent.detection_rate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.calibration.thresholds import binomial_interval
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import Estimate, bounded, of_separated, ranged
from pipeline.evaluation.ranking import Ranking

CLASSES = {"false_alarm_rate": "photographic", "detection_rate": "generated"}  # a rate's faces


@dataclass(frozen=True)
class Figures:
    """What is known of one generator."""

    counts: dict[str, int]  # photographic_faces, photographic_groups and so on
    estimates: dict[str, Estimate]  # by flat name
    replicates: dict[str, np.ndarray]  # (resamples,), of what can be resampled
    not_computed: dict[str, str]  # what, and why
    cautions: list[str]

    def content(self) -> dict[str, Any]:
        """The same without the replicates, as data/evaluation/generators.json has it."""
        return {
            **self.counts,
            **{
                part: nested({name: estimate[key] for name, estimate in self.estimates.items()})
                for part, key in (("values", "value"), ("low", "low"), ("high", "high"))
            },
            "not_computed": self.not_computed,
            "cautions": self.cautions,
        }


def figures(
    photographic: Sample,
    generated: Sample,
    thresholds: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> Figures:
    """Measure a generator. What its faces are too few for is None, with the reason."""
    values = Ranking(photographic.scores, generated.scores).measures(thresholds)
    replicates, reasons = bootstrap.replicates(
        photographic, generated, thresholds, resamples=resamples, seed=seed
    )
    if np.ptp(np.concatenate([photographic.scores, generated.scores])) == 0:
        reasons["ranking"] = (
            "all faces of both classes have the same anomaly score: no measure can tell the "
            "classes apart"
        )
    counts = {}
    for label, sample in (("photographic", photographic), ("generated", generated)):
        counts[f"{label}_faces"] = len(sample.scores)
        counts[f"{label}_groups"] = len(np.unique(sample.groups))
    estimates, more = with_intervals(values, replicates, counts)
    cautions = bootstrap.cautions(photographic, generated)
    return Figures(counts, estimates, replicates, reasons | more, cautions)


def with_intervals(
    values: Mapping[str, float], replicates: Mapping[str, np.ndarray], counts: Mapping[str, int]
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The interval of each measure, and why a measure has none.

    Percentiles of the replicates. Where all resamples agree, these would claim to know the measure
    exactly: a rate then gets the exact binomial interval (Clopper, Pearson 1934) with its groups
    as the trials, the accuracies that rest on it the worse and the better ends of both rates, the
    AUC that of separated classes, and other measures none."""
    ends: dict[str, tuple[float, float]] = {}
    reasons: dict[str, str] = {}
    groups = min(counts[f"{label}_groups"] for label in CLASSES.values())
    agreed = {name for name, drawn in replicates.items() if bootstrap.agree(drawn)}
    for name, drawn in replicates.items():
        rate = name.partition(".")[2]
        if rate in CLASSES and name in agreed:
            trials = counts[f"{CLASSES[rate]}_groups"]
            ends[name] = binomial_interval(values[name] * trials, trials, bootstrap.CONFIDENCE)
        elif rate or name not in agreed:
            ends[name] = bootstrap.interval(drawn)
        elif name == "auc" and (exact := of_separated(values[name], groups)):
            ends[name] = exact
        else:
            reasons[f"interval of {name}"] = ranged(values[name], drawn)[1]
    for threshold in {name.partition(".")[0] for name in agreed if "." in name}:
        rates = [f"{threshold}.{rate}" for rate in CLASSES]
        if set(rates) <= set(ends):
            ends |= _accuracies(threshold, ends[rates[0]], ends[rates[1]], counts)
    return {name: bounded(value, ends.get(name)) for name, value in values.items()}, reasons


def _accuracies(
    threshold: str,
    alarms: tuple[float, float],
    detections: tuple[float, float],
    counts: Mapping[str, int],
) -> dict[str, tuple[float, float]]:
    """Intervals of both accuracies from those of both rates."""
    photographic, generated = counts["photographic_faces"], counts["generated_faces"]
    share = photographic / (photographic + generated)
    return {
        f"{threshold}.{name}": (
            weight * (1 - alarms[1]) + (1 - weight) * detections[0],
            weight * (1 - alarms[0]) + (1 - weight) * detections[1],
        )
        for name, weight in (("accuracy", share), ("balanced_accuracy", 0.5))
    }


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`<threshold>.<rate>` as {threshold: {rate: ...}}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        first, _, rest = name.partition(".")
        if rest:
            tree.setdefault(first, {})[rest] = value
        else:
            tree[first] = value
    return tree
