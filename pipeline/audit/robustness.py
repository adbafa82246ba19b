"""Perturbed faces of both classes beside the same faces clean, judged at the thresholds of the
clean ones.

As in use: nobody calibrates anew for each social network. So the false alarm rate drifts too, and
that is shown."""

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import Estimate, Estimates, mean, missing

Scored = tuple[Sample, Mapping[str, Sample]]  # the photographs, and the generators by name


def compare(
    clean: Estimates, perturbed: Estimates, faces: Scored, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Figures of the same faces clean and perturbed, as metrics/robustness.json has them by
    perturbation.

    Keys: photographs, generators, mean, not_computed.
    """
    found = {"clean": clean, "perturbed": perturbed}
    photographs: dict[str, Any] = {"faces": len(faces[0].scores)}
    for key in thresholds:
        photographs[key] = {
            state: _named("false_alarm_rate", one.false_alarm_rates[key])
            for state, one in found.items()
        }
    generators: dict[str, Any] = {}
    for name, sample in faces[1].items():
        generators[name] = {
            "faces": len(sample.scores),
            "auc": {state: one.aucs[name] for state, one in found.items()},
        }
        for key in thresholds:
            rates = {state: one.detection_rates[name][key] for state, one in found.items()}
            generators[name][key] = {
                state: _named("detection_rate", rate) for state, rate in rates.items()
            }
    means: dict[str, Any] = {"auc": {state: mean(one.aucs) for state, one in found.items()}}
    for key in thresholds:
        means[key] = {
            state: mean({name: rates[key] for name, rates in one.detection_rates.items()})
            for state, one in found.items()
        }
    return {
        "photographs": photographs,
        "generators": generators,
        "mean": means,
        "not_computed": missing({state: one.not_computed for state, one in found.items()}),
    }


def _named(name: str, found: Estimate) -> Estimate:
    return {name: found["value"], "low": found["low"], "high": found["high"]}
