"""Perturbed faces of both classes beside the same faces clean, judged at the same thresholds, which
calibration photographs as they are and with calibration.histories set.

As in use: nobody calibrates anew for each social network. So the false alarm rate drifts too, and
that is shown."""

from collections.abc import Mapping
from typing import Any

from pipeline.audit.scoring import TEST, Sets, by_state, estimated
from pipeline.density.density import Density
from pipeline.evaluation.estimates import Estimate, Estimates, mean, missing

CURVES = ("kind", "strength", "auc", "detection_rate", "false_alarm_rate")


def compare(
    states: Mapping[str, tuple[Sets, Sets]],
    density: Density,
    thresholds: Mapping[str, float],
    **draws: int,
) -> dict[str, dict[str, Any]]:
    """Figures of the same faces clean and perturbed, by perturbation, each with photographs,
    generators, mean and not_computed.

    states: by perturbation, of the same faces. thresholds: by the name of the false alarm rate.
    draws: resamples and seed of the bootstrap."""
    before: Estimates | None = None
    found = {}
    for name, (clean, perturbed) in states.items():
        before = before or estimated(clean, density, thresholds, **draws)
        after = estimated(perturbed, density, thresholds, **draws)
        content = by_state({"clean": _figures(before), "perturbed": _figures(after)})
        content["photographs"]["faces"] = len(clean[TEST])
        for generator, figures in content["generators"].items():
            figures["faces"] = len(clean[generator])
        reasons = {"clean": before.not_computed, "perturbed": after.not_computed}
        found[name] = {**content, "not_computed": missing(reasons)}
    return found


def curves(found: Mapping[str, Mapping[str, Any]], rate: str) -> dict[str, list[Any]]:
    """Columns CURVES of a plot: for each kind of perturbation a row clean, then one per strength.

    found: what compare gives, each with `kind` and `strength`. rate: name of the false alarm rate.
    auc and detection_rate are means over the generators, None where one has none."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for content in found.values():
        kinds.setdefault(content["kind"], []).append(content)
    rows = [
        (
            kind,
            state if state == "clean" else f"{content['strength']:g}",
            content["mean"]["auc"][state],
            content["mean"][rate][state],
            content["photographs"][rate][state]["false_alarm_rate"],
        )
        for kind, contents in kinds.items()
        for state, content in [("clean", contents[0]), *(("perturbed", one) for one in contents)]
    ]
    return {name: [row[i] for row in rows] for i, name in enumerate(CURVES)}


def _figures(estimates: Estimates) -> dict[str, Any]:
    def named(name: str, rates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {
            key: {name: rate["value"], "low": rate["low"], "high": rate["high"]}
            for key, rate in rates.items()
        }

    detected = estimates.detection_rates
    rates = {
        key: mean({name: one[key] for name, one in detected.items()})
        for key in estimates.false_alarm_rates
    }
    return {
        "photographs": named("false_alarm_rate", estimates.false_alarm_rates),
        "generators": {
            name: {"auc": auc, **named("detection_rate", detected[name])}
            for name, auc in estimates.aucs.items()
        },
        "mean": {"auc": mean(estimates.aucs), **rates},
    }
