"""The controls one after the other, each with its figures, its texts and its verdict."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pipeline.audit.confounds import STATES, WARNED
from pipeline.audit.controls import Refit, Result, file_size, halves, metadata
from pipeline.audit.questions import QUESTIONS, RULES
from pipeline.audit.scoring import TEST, Sets, samples, tested
from pipeline.base.errors import PipelineError
from pipeline.density.density import Density
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc

TRIVIAL = "not below the detector"
SEEN = {
    "features": "mixture of all features",
    "heads": "mixture of all head scores",
    "both": "mixtures of all features and of all head scores",
}
VERDICTS = {True: "suspicious", False: "in order", None: "not judged"}


class Inputs(NamedTuple):
    """What controls are made of."""

    density: Density  # the pipeline's own
    photographs: Sample  # all test photographs, scored by it
    chosen: Sets  # the faces that controls are computed on, with as the detector sees them
    others: Mapping[str, Sets]  # random_weights and shuffled_exif: by other encoders
    confounds: Mapping[str, Any]  # content of confounds.json
    details: Mapping[str, Any]  # architecture, epochs and shuffled_epochs of the encoders


def controls(
    inputs: Inputs, gmm: Mapping[str, Any], *, resamples: int, seed: int
) -> dict[str, Any]:
    """`detector` and `controls` of controls.json. What cannot be computed says why, and stops
    nothing.
    """
    refit = Refit(gmm, resamples, seed)
    detector = attempt(partial(refit, inputs.chosen, f"{SEEN[gmm['input']]}, fitted anew"))
    scored = samples(inputs.chosen, inputs.density)
    own = [
        roc_auc(scored[TEST].scores, scored[name].scores)
        for name in detector.generators or list(scored)[1:]
    ]
    measures = _measures(inputs, refit)
    rows = [row(name, attempt(measures[name]), detector) for name in QUESTIONS]
    for one in rows:
        if one["name"] == "shuffled_exif":
            one["expected"] += _reserve(inputs.details)
    committed = {"auc": float(np.mean(own))}
    return {"detector": {**_figures(detector), "committed": committed}, "controls": rows}


def row(name: str, result: Result, detector: Result) -> dict[str, Any]:
    """A control with its figures, its texts and its verdict."""
    question, figures = QUESTIONS[name], _figures(result)
    texts = {**question._asdict(), "rule": RULES[question.rule], "name": name}
    if result.auc is None:
        return {**texts, **figures, "suspicious": None, "judged": "not computed"}
    suspicious, remark = judge(result, detector, question.rule)
    figures["detail"] = "; ".join(filter(None, (figures["detail"], remark)))
    reaches = detector.auc is not None and result.auc >= detector.auc
    verdict = TRIVIAL if question.rule == "content" and reaches else VERDICTS[suspicious]
    return {**texts, **figures, "suspicious": suspicious, "judged": verdict}


def judge(result: Result, detector: Result, rule: str) -> tuple[bool | None, str]:
    """Whether a control is suspicious by a rule of RULES, None where that cannot be judged; and
    what it was judged by.
    """
    aucs, mine = result.generators, detector.generators
    if rule == "metadata":
        name = max(aucs, key=lambda name: aucs[name])
        return aucs[name] > WARNED, f"highest for {name}: {aucs[name]:.3f}"
    if rule == "content":
        higher = ", ".join(name for name, auc in aucs.items() if auc >= mine.get(name, np.inf))
        return False, f"at least as high as the detector for {higher}" if higher else ""
    if rule == "half" and result.interval:
        return not result.interval[0] <= 0.5 <= result.interval[1], ""
    if rule == "half":
        return None, "not judged, as there is no interval"
    if detector.auc is None or detector.replicates is None or result.replicates is None:
        return None, "not judged, as the control or the detector has no interval"
    low, high = bootstrap.interval(detector.replicates - result.replicates)
    difference = f"detector minus control {detector.auc - (result.auc or 0):+.3f}"
    remark = f"{difference} (95 %: {low:+.3f} to {high:+.3f})"
    return (low <= 0 if rule == "below" else high < 0), remark


def attempt(measure: Callable[[], Result]) -> Result:
    """The result; where it cannot be computed, one with the reason as its detail."""
    try:
        return measure()
    except PipelineError as error:
        return Result(details=(f"cannot be computed: {error}",))


def _measures(inputs: Inputs, refit: Refit) -> dict[str, Callable[[], Result]]:
    """How each control is computed, by the names of QUESTIONS."""
    exif, manipulation = (
        {
            name: replace(faces, features=faces.heads[:, columns])
            for name, faces in inputs.chosen.items()
        }
        for columns in (slice(None, -1), slice(-1, None))  # manipulation is the last
    )
    alone = {name: faces.features[:, 0] for name, faces in tested(manipulation).items()}
    as_it_is = [roc_auc(alone[TEST], alone[name]) for name in alone if name != TEST]
    mean = f"mixture of the one score (the score as it is: AUC {np.mean(as_it_is):.3f})"
    details = {
        "random_weights": f"{inputs.details['architecture']} as it starts with pretext.start none",
        "shuffled_exif": "trained for {shuffled_epochs} epochs, the encoder for {epochs}".format(
            **inputs.details
        ),
    }
    refits = {name: partial(refit, sets, details[name]) for name, sets in inputs.others.items()}
    plain = {"input": "features", "pca_components": 0, "residual": False}  # of the columns given
    draws = {"resamples": refit.resamples, "seed": refit.seed}
    return {
        "real_against_real": partial(halves, inputs.photographs, **draws),
        **refits,
        "exif_heads": partial(refit, exif, "mixture of these scores", **plain),
        "manipulation_head": partial(refit, manipulation, mean, **plain),
        **{f"metadata_{state}": partial(metadata, inputs.confounds, state) for state in STATES},
        **{f"file_size_{state}": partial(file_size, inputs.confounds, state) for state in STATES},
    }


def _reserve(details: Mapping[str, Any]) -> str:
    """What to know of a control that was trained for fewer epochs than the detector."""
    trained, epochs = details["shuffled_epochs"], details["epochs"]
    if trained >= epochs:
        return ""
    return (
        f" (trained for {trained} of {epochs} epochs: a lower value may be the shorter training; "
        f"set shuffled.epochs to {epochs} to exclude that)"
    )


def _figures(result: Result) -> dict[str, Any]:
    """The figures of a result for JSON."""
    low, high = result.interval or (None, None)
    return {
        **{"auc": result.auc, "low": low, "high": high, "faces": result.faces},
        **{"generators": result.generators, "left_out": result.left_out},
        "detail": "; ".join(result.details),
    }
