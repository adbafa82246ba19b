"""The detector's figures as found, and once every face went through the same resize and the same
JPEG compression.

In both states the density is fitted anew and the threshold calibrated anew, on the very same faces
with the same seed, so that only harmonisation differs between the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.audit.scoring import CALIBRATION, FIT, TEST, Sets, by_state, estimated, tested
from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common.randomness import key
from pipeline.density.density import fit_density
from pipeline.evaluation.estimates import Estimate, Estimates, mean, missing


def figures(
    states: Mapping[str, Sets], gmm: Mapping[str, Any], rate: float, *, resamples: int, seed: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """`harmonised` of confounds.json at the false alarm rate, from the sets as_found and
    harmonised; and what could not be computed, with the reasons.

    A state whose photographs cannot carry the mixture or the threshold has no figures."""
    found: dict[str, Estimates] = {}
    warnings: list[str] = []
    absent: dict[str, str] = {}
    for state, sets in states.items():
        title = state.replace("_", " ")
        try:
            # fit_gmm's seed: with all photographs chosen, as found is the pipeline's own, but for
            # the threshold where calibration.histories names more than none.
            fit, own = sets[FIT], sets[CALIBRATION]
            fitted = fit_density(fit.features, fit.heads, fit.persons, gmm, key(seed, "fit_gmm"))
            scores = fitted.density.anomaly_score(own.features, own.heads)
            threshold = {"rate": conformal_threshold(scores, rate)}
        except PipelineError as error:
            few = f"{len(sets[FIT])} faces to fit, {len(sets[CALIBRATION])} to calibrate with"
            absent[f"{title} figures"] = f"{error} ({few}, see controls.fit_faces)"
            continue
        warnings += [f"{title}: {warning}" for warning in fitted.warnings]
        found[state] = estimated(sets, fitted.density, threshold, resamples=resamples, seed=seed)
    if found:
        absent |= missing({state: one.not_computed for state, one in found.items()})
    sets = states["as_found"]
    faces = {name: len(one) for name, one in tested(sets).items()}
    unknown = _unknown([name for name in faces if name != TEST])
    return {
        "fit_faces": len(sets[FIT]),
        "calibration_faces": len(sets[CALIBRATION]),
        "faces": faces,
        "warnings": warnings,
        **by_state({state: _figures(found.get(state, unknown)) for state in states}),
    }, absent


def _figures(estimates: Estimates) -> dict[str, Any]:
    detected = {name: rates["rate"] for name, rates in estimates.detection_rates.items()}
    return {
        "false_alarm_rate": estimates.false_alarm_rates["rate"],
        "generators": {
            name: {"auc": auc, "detection_rate": detected[name]}
            for name, auc in estimates.aucs.items()
        },
        "mean": {"auc": mean(estimates.aucs), "detection_rate": mean(detected)},
    }


def _unknown(generators: Sequence[str]) -> Estimates:
    nothing: Estimate = {"value": None, "low": None, "high": None}
    rates = {name: {"rate": nothing} for name in generators}
    return Estimates({"rate": nothing}, dict.fromkeys(generators, nothing), rates)
