"""AUC, detection and false alarm rates of one set of photographs against several generators, each
with its 95 % interval.

Rates: exact binomial, each face on its own. AUC: bootstrap by group
(pipeline/evaluation/bootstrap.py), none where all resamples agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.calibration.thresholds import binomial_interval
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc

CONFIDENCE = 0.95
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
    """All figures of one way to score the faces. Draws are paired between calls with the same
    groups and seed.
    """
    found = {
        name: auc(photographic, sample, resamples=resamples, seed=seed)
        for name, sample in generated.items()
    }
    return Estimates(
        {key: rate(photographic.scores, threshold) for key, threshold in thresholds.items()},
        {name: one for name, (one, _) in found.items()},
        {
            name: {key: rate(one.scores, threshold) for key, threshold in thresholds.items()}
            for name, one in generated.items()
        },
        {f"{name}: interval of the AUC": reason for name, (_, reason) in found.items() if reason},
    )


def auc(
    photographic: Sample, generated: Sample, *, resamples: int, seed: int
) -> tuple[Estimate, str]:
    """AUC and its bootstrap interval; where there is none, None and why."""
    value = roc_auc(photographic.scores, generated.scores)
    for of, sample in (("photographs: ", photographic), ("", generated)):
        if reason := bootstrap.obstacle(sample):
            return {"value": value, "low": None, "high": None}, of + reason
    return ranged(
        value, bootstrap.auc_replicates(photographic, generated, resamples=resamples, seed=seed)
    )


def ranged(value: float, replicates: np.ndarray) -> tuple[Estimate, str]:
    """A value with the interval of its bootstrap replicates (r,), or with None and the reason where
    they are all equal.
    """
    if bootstrap.agree(replicates):
        reason = f"cannot be computed: all resamples give {replicates[0]:g}, so they do not show how sure it is"
        return {"value": value, "low": None, "high": None}, reason
    low, high = bootstrap.interval(replicates, CONFIDENCE)
    return {"value": value, "low": low, "high": high}, ""


def rate(scores: np.ndarray, threshold: float) -> Estimate:
    """Share of faces (n,) above the threshold and its exact binomial interval, as if each showed
    another person.
    """
    above = int((scores > threshold).sum())
    low, high = binomial_interval(above, len(scores), CONFIDENCE)
    return {"value": above / len(scores), "low": low, "high": high}


def mean(estimates: Mapping[str, Estimate]) -> float | None:
    """Mean of the values; None where one is missing."""
    values = [one["value"] for one in estimates.values()]
    return (
        float(np.mean([value for value in values if value is not None]))
        if None not in values
        else None
    )


def missing(states: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What is not computed, and why, from the same of each state; a state is named where not all
    lack it for that reason.
    """
    everywhere = set.intersection(*(set(one.items()) for one in states.values()))
    some = [
        (f"{what}, {state.replace('_', ' ')}", reason)
        for state, one in states.items()
        for what, reason in one.items()
        if (what, reason) not in everywhere
    ]
    return dict(sorted([*everywhere, *some]))
