"""AUC, detection and false alarm rates of photographs against several generators, with intervals.

Rates: exact binomial, each face on its own. AUC: bootstrap by group; where all resamples agree,
exact if the classes are separated, else none. All intervals are 95 %."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.calibration.thresholds import binomial_interval
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc

Estimate = dict[str, float | None]  # value, low, high


@dataclass
class Estimates:
    """What was estimated; `not_computed` says why an interval is missing."""

    false_alarm_rates: dict[str, Estimate]  # of the photographs, by threshold
    aucs: dict[str, Estimate]  # by generator
    detection_rates: dict[str, dict[str, Estimate]]  # by generator, then by threshold
    not_computed: dict[str, str] = field(default_factory=dict)


def estimate(
    photographic: Sample,
    generated: Mapping[str, Sample],
    thresholds: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> Estimates:
    """All figures of one way to score the faces; calls with equal groups and seed are paired."""

    def rates(sample: Sample) -> dict[str, Estimate]:
        return {key: rate(sample.scores, threshold) for key, threshold in thresholds.items()}

    aucs = {
        name: auc(photographic, sample, resamples=resamples, seed=seed)
        for name, sample in generated.items()
    }
    return Estimates(
        rates(photographic),
        {name: value for name, (value, _) in aucs.items()},
        {name: rates(sample) for name, sample in generated.items()},
        {f"{name}: interval of the AUC": reason for name, (_, reason) in aucs.items() if reason},
    )


def auc(
    photographic: Sample, generated: Sample, *, resamples: int, seed: int
) -> tuple[Estimate, str]:
    """AUC and its bootstrap interval; where there is none, None and why."""
    value = roc_auc(photographic.scores, generated.scores)
    for of, sample in (("photographs: ", photographic), ("", generated)):
        if reason := bootstrap.obstacle(sample):
            return bounded(value), of + reason
    replicates = bootstrap.auc_replicates(photographic, generated, resamples=resamples, seed=seed)
    groups = min(len(np.unique(sample.groups)) for sample in (photographic, generated))
    if ends := of_separated(value, groups):
        return bounded(value, ends), ""
    return ranged(value, replicates)


def of_separated(auc: float, groups: int) -> tuple[float, float] | None:
    """Exact interval (Clopper, Pearson 1934) of an AUC of 0 or 1; None of any other.

    Every photograph lies on one side of every generated face, and so do the faces of as many
    disjoint, independent pairs as the smaller class has groups."""
    return binomial_interval(auc * groups, groups, bootstrap.CONFIDENCE) if auc in (0, 1) else None


def ranged(value: float, replicates: np.ndarray) -> tuple[Estimate, str]:
    """A value with the percentile interval of its replicates (r,); None and why if all agree."""
    if bootstrap.agree(replicates):
        reason = f"all resamples give {replicates[0]:.3g}, so they do not show how sure it is"
        return bounded(value), f"cannot be computed: {reason}"
    return bounded(value, bootstrap.interval(replicates)), ""


def rate(scores: np.ndarray, threshold: float) -> Estimate:
    """Share of faces (n,) above the threshold, its interval as if each showed another person."""
    above = int((scores > threshold).sum())
    ends = binomial_interval(above, len(scores), bootstrap.CONFIDENCE)
    return bounded(above / len(scores), ends)


def bounded(value: float, ends: tuple[float, float] | None = None) -> Estimate:
    """A value with the ends of its interval, or with none."""
    low, high = ends or (None, None)
    return {"value": value, "low": low, "high": high}


def mean(estimates: Mapping[str, Estimate]) -> float | None:
    """Mean of the values; None where one is missing."""
    values = [estimate["value"] for estimate in estimates.values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def missing(states: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What is not computed in some states, and why; a state is named where not all lack it."""
    everywhere = set.intersection(*(set(reasons.items()) for reasons in states.values()))
    some = [
        (f"{what}, {state.replace('_', ' ')}", reason)
        for state, reasons in states.items()
        for what, reason in reasons.items()
        if (what, reason) not in everywhere
    ]
    return dict(sorted([*everywhere, *some]))
