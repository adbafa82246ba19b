"""Controls: ways of scoring faces that should find nothing, or less than the detector. High, they say what could fake it.

Each is judged on the detector's own faces, with the same resamples, so that the difference of the two has an interval too.
The rules by which a control is called suspicious are in `RULES`; intervals are 95 % group bootstrap (pipeline/bootstrap.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipeline import bootstrap, confounds, density, evaluation, randomness
from pipeline.bootstrap import Sample
from pipeline.errors import PipelineError

RULES = {
    "half": "suspicious if the interval excludes 0.5",
    "below": "suspicious unless it is below the detector: the interval of detector minus control lies above 0",
    "not above": "suspicious if it is above the detector: the interval of detector minus control lies below 0",
    "metadata": f"suspicious if the AUC of any generator exceeds {confounds.WARNED:g}",
}


class Question(NamedTuple):
    """What a control is, what it should show, and what it would mean if it showed more."""

    title: str
    rule: str  # of RULES
    expected: str
    if_high: str


QUESTIONS = {
    "real_against_real": Question(
        "Photographs against photographs",
        "half",
        "near 0.5",
        "Two halves of the photographs, split by person, are told apart as if one were generated: an AUC of a generator that "
        "is no further from 0.5 says nothing.",
    ),
    "random_weights": Question(
        "Encoder with random weights",
        "below",
        "clearly below the detector",
        "A network that has learnt nothing tells the classes apart: they differ in something coarse, such as size, compression "
        "or colours, and the pretext task is not what works.",
    ),
    "exif_heads": Question(
        "Four EXIF heads alone",
        "not above",
        "not above the detector",
        "The four scores that the pretext task trains know more than the mixture of all features finds: choose the mixture "
        "anew (fewer principal components or Gaussians).",
    ),
    "manipulation_head": Question(
        "Manipulation head alone",
        "not above",
        "not above the detector",
        "The faces are found as manipulated ones, by traces of blending and warping, and not because no camera took them: "
        "expect nothing of generators that leave no such traces.",
    ),
    "shuffled_exif": Question(
        "Training with shuffled EXIF tags",
        "below",
        "clearly below the detector",
        "EXIF tags that belong to other photographs teach as much as the true ones: the manipulation task, or training as "
        "such, is what works.",
    ),
    "metadata_as_found": Question(
        "File metadata alone, as found",
        "metadata",
        "near 0.5",
        "Format, compression or size of the files give the class away, and a detector may go by them: trust the harmonised "
        "evaluation, not the one as found.",
    ),
    "metadata_harmonised": Question(
        "File metadata alone, harmonised",
        "metadata",
        "near 0.5",
        "The files still differ after every face went through the same resizing and compression: not even the harmonised "
        "evaluation is free of their format.",
    ),
}


@dataclass(frozen=True)
class Measured:
    """The AUC of one way of scoring, the mean over generators; None where it has no interval."""

    auc: float
    generators: dict[str, float] = field(default_factory=dict)
    faces: int = 0  # that the AUC rests on, of both classes
    replicates: np.ndarray | None = None  # (resamples,) of the mean
    interval: tuple[float, float] | None = None
    detail: str = ""


def compare(photographic: Sample, generated: Mapping[str, Sample], *, resamples: int, seed: int, detail: str = "") -> Measured:
    """AUC of each generator's faces against the photographs, and of their mean the replicates, paired by the photographs."""
    aucs = {name: evaluation.roc_auc(photographic.scores, sample.scores) for name, sample in generated.items()}
    faces = len(photographic.scores) + sum(len(sample.scores) for sample in generated.values())
    mean = float(np.mean(list(aucs.values())))
    obstacles = {name: bootstrap.obstacle(sample) for name, sample in {"photographs": photographic, **generated}.items()}
    if reasons := [f"the interval {reason} ({name})" for name, reason in obstacles.items() if reason]:
        return Measured(mean, aucs, faces, detail=joined(detail, *reasons))
    each = [bootstrap.auc_replicates(photographic, one, resamples=resamples, seed=seed) for one in generated.values()]
    replicates = np.mean(each, axis=0)
    return Measured(mean, aucs, faces, replicates, bootstrap.interval(replicates), detail)


def halves(scores: np.ndarray, people: np.ndarray, *, resamples: int, seed: int) -> Measured:
    """Photographs (n,) against photographs: a keyed hash of the person decides which half plays the generator."""
    place = {person: randomness.share(person, seed, "controls halves") for person in sorted(set(people.tolist()))}
    second = np.array([place[person] >= 0.5 for person in people.tolist()], dtype=bool)
    if second.all() or not second.any():
        raise PipelineError(f"all {len(people)} test photographs fall into one half: photographs of more persons are needed")
    first_half, second_half = (Sample(scores[rows], people[rows]) for rows in (~second, second))
    found = compare(first_half, {"second half": second_half}, resamples=resamples, seed=seed)
    people_of = [len(np.unique(half.groups)) for half in (first_half, second_half)]
    detail = (
        f"{len(first_half.scores)} photographs of {people_of[0]} persons against {len(second_half.scores)} of {people_of[1]}; "
        "by chance alone one such interval in twenty excludes 0.5"
    )
    return Measured(found.auc, {}, found.faces, found.replicates, found.interval, joined(detail, found.detail))


def refitted(
    fit: np.ndarray, others: Mapping[str, np.ndarray], settings: Mapping[str, Any], *, seed: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Anomaly scores (m,) of each table (m, D) under a mixture of its own, fitted to `fit` (n, D), and the fit's warnings.

    settings: the arguments of `density.fit`. Raises PipelineError where the faces cannot carry such a mixture.
    """
    result = density.fit(fit, **settings, seed=seed)
    return {name: result.mixture.anomaly_score(table) for name, table in others.items()}, result.warnings


def metadata(content: Mapping[str, Any], state: str, generators: list[str], source: str) -> Measured:
    """The classifier on file metadata, `as_found` or `harmonised`, from the content of metrics/confounds.json (`source`).

    The interval's ends are the means of the generators' ends: too wide rather than too narrow, as if all varied together.
    """
    try:
        each = {name: content["metadata_classifier"]["generators"][name][state] for name in generators}
        values = np.array([[each[name][key] for key in ("auc", "low", "high")] for name in generators], dtype=float)
        faces = sum(int(content["harmonised"]["faces"][name]) for name in ("photographic_test", *generators))
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{source}: no faces or no figures of the metadata classifier for each generator ({error!r})"
        ) from None
    if not np.isfinite(values[:, 0]).all():
        absent = [name for name, value in zip(generators, values[:, 0], strict=True) if not np.isfinite(value)]
        raise PipelineError(f"{source}: no AUC of the metadata classifier for {', '.join(absent)}")
    auc, low, high = values.mean(axis=0).tolist()
    ends = (low, high) if np.isfinite([low, high]).all() else None
    detail = "interval: mean of the generators' ends" if ends else "no interval: that of a generator is missing"
    return Measured(auc, dict(zip(generators, values[:, 0].tolist(), strict=True)), faces, None, ends, detail)


def attempt(name: str, measure: Callable[[], Measured], detector: Measured) -> dict[str, Any]:
    """The row of a control; where it cannot be computed, without figures and with the reason as its detail."""
    question = QUESTIONS[name]
    texts = question._asdict() | {"name": name, "rule": RULES[question.rule]}
    try:
        found = measure()
    except PipelineError as error:
        figures: dict[str, Any] = {"auc": None, "low": None, "high": None, "generators": {}, "faces": 0}
        return texts | figures | {"suspicious": False, "detail": f"cannot be computed: {error}"}
    suspicious, remark = judge(found, detector, question.rule)
    return texts | figures_of(found) | {"suspicious": suspicious, "detail": joined(found.detail, remark)}


def figures_of(found: Measured) -> dict[str, Any]:
    """The figures of a row."""
    low, high = found.interval or (None, None)
    return {"auc": found.auc, "low": low, "high": high, "generators": found.generators, "faces": found.faces}


def judge(found: Measured, detector: Measured, rule: str) -> tuple[bool, str]:
    """Whether a control is suspicious by a rule of RULES, and what it was judged by; without an interval nothing is."""
    if rule == "metadata":
        name, worst = max(found.generators.items(), key=lambda one: one[1])
        return worst > confounds.WARNED, f"highest for {name}: {worst:.3f}"
    if rule == "half":
        return found.interval is not None and not found.interval[0] <= 0.5 <= found.interval[1], ""
    if found.replicates is None or detector.replicates is None:
        return False, "not judged"
    low, high = bootstrap.interval(detector.replicates - found.replicates)
    remark = f"detector minus control {detector.auc - found.auc:+.3f} (95 %: {low:+.3f} to {high:+.3f})"
    return (low <= 0 if rule == "below" else high < 0), remark


def joined(*sentences: str) -> str:
    """The sentences that are not empty, one after the other."""
    return "; ".join(sentence for sentence in sentences if sentence)
