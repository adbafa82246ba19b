"""AUC, detection and false alarm rates of one set of photographs against several generators, each with its 95 % interval.

Photographs vary by person and AUC by both classes: bootstrap by group. Generated faces are independent: exact binomial.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline import bootstrap
from pipeline.bootstrap import Sample
from pipeline.calibration import binomial_interval
from pipeline.evaluation import roc_auc

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
    photographic: Sample, generated: Mapping[str, Sample], thresholds: Mapping[str, float], *, resamples: int, seed: int
) -> Estimates:
    """All figures of one way to score the faces. Draws are paired between calls with the same groups and seed."""
    alarms = {
        key: false_alarm_rate(photographic, threshold, resamples=resamples, seed=seed) for key, threshold in thresholds.items()
    }
    aucs = {name: auc(photographic, sample, resamples=resamples, seed=seed) for name, sample in generated.items()}
    detections = {
        name: {key: detection_rate(sample.scores, threshold) for key, threshold in thresholds.items()}
        for name, sample in generated.items()
    }
    return Estimates(alarms, aucs, detections, _not_computed(photographic, generated))


def auc(photographic: Sample, generated: Sample, *, resamples: int, seed: int) -> Estimate:
    """AUC and its bootstrap interval, which is None where a class has one group only."""
    value = roc_auc(photographic.scores, generated.scores)
    if bootstrap.obstacle(photographic) or bootstrap.obstacle(generated):
        return {"value": value, "low": None, "high": None}
    low, high = bootstrap.interval(
        bootstrap.auc_replicates(photographic, generated, resamples=resamples, seed=seed), CONFIDENCE
    )
    return {"value": value, "low": low, "high": high}


def false_alarm_rate(photographic: Sample, threshold: float, *, resamples: int, seed: int) -> Estimate:
    """Share of photographs above the threshold and its bootstrap interval, which is None where there is one group only."""
    value = float(np.mean(photographic.scores > threshold))
    if bootstrap.obstacle(photographic):
        return {"value": value, "low": None, "high": None}
    low, high = bootstrap.interval(
        bootstrap.rate_replicates(photographic, threshold, resamples=resamples, seed=seed), CONFIDENCE
    )
    return {"value": value, "low": low, "high": high}


def detection_rate(scores: np.ndarray, threshold: float) -> Estimate:
    """Share of generated faces (n,) above the threshold and its exact binomial interval."""
    detected = int((scores > threshold).sum())
    low, high = binomial_interval(detected, len(scores), CONFIDENCE)
    return {"value": detected / len(scores), "low": low, "high": high}


def mean(estimates: Mapping[str, Estimate]) -> float | None:
    """Mean of the values; None where one is missing."""
    values = [one["value"] for one in estimates.values()]
    return float(np.mean([value for value in values if value is not None])) if None not in values else None


def _not_computed(photographic: Sample, generated: Mapping[str, Sample]) -> dict[str, str]:
    if reason := bootstrap.obstacle(photographic):
        return {"intervals of the false alarm rate and of every AUC": f"photographs: {reason}"}
    found = {name: bootstrap.obstacle(sample) for name, sample in generated.items()}
    return {f"{name}: interval of the AUC": reason for name, reason in found.items() if reason}
