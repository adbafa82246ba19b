"""Controls: ways of scoring faces that should find nothing, or less than the detector. High, they
say what could fake it.

Each is compared with the detector's mixture fitted anew on the same photographs, on the same test
faces and with the same resamples, so that nothing but the thing tested differs and the difference
of the two has an interval too. The rules by which a control is called suspicious are in
pipeline/audit/questions.py; intervals are 95 % group bootstrap (pipeline/evaluation/bootstrap.py).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.audit import confounds
from pipeline.audit.questions import QUESTIONS, RULES
from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.density import fitting as density
from pipeline.evaluation import bootstrap, estimates
from pipeline.evaluation import measures as evaluation
from pipeline.evaluation.bootstrap import Sample


@dataclass(frozen=True)
class Measured:
    """The AUC of one way of scoring, the mean over generators; None where it has no interval."""

    auc: float
    generators: dict[str, float] = field(default_factory=dict)
    faces: int = 0  # that the AUC rests on, of both classes
    replicates: np.ndarray | None = None  # (resamples,) of the mean
    interval: tuple[float, float] | None = None
    detail: str = ""
    left_out: dict[str, str] = field(default_factory=dict)  # why, by generator
    expected: str = ""  # what is added to the question's


def compare(
    photographic: Sample,
    generated: Mapping[str, Sample],
    *,
    resamples: int,
    seed: int,
    detail: str = "",
) -> Measured:
    """AUC of each generator's faces against the photographs, and of their mean the replicates,
    paired by the photographs.

    Generators with too few faces to judge by are left out. Raises PipelineError where none is left.
    """
    left_out = {name: reason for name, sample in generated.items() if (reason := _too_few(sample))}
    kept = {name: sample for name, sample in generated.items() if name not in left_out}
    if not kept:
        raise PipelineError(f"no generator with enough faces: {named(left_out)}")
    aucs = {
        name: evaluation.roc_auc(photographic.scores, sample.scores)
        for name, sample in kept.items()
    }
    faces = len(photographic.scores) + sum(len(sample.scores) for sample in kept.values())
    found = Measured(
        float(np.mean(list(aucs.values()))), aucs, faces, detail=detail, left_out=left_out
    )
    if reason := _too_few(photographic):
        return replace(found, detail=joined(detail, f"no interval: {reason} (photographs)"))
    each = [
        bootstrap.auc_replicates(photographic, one, resamples=resamples, seed=seed)
        for one in kept.values()
    ]
    replicates = np.mean(each, axis=0)
    ends, reason = estimates.ranged(found.auc, replicates)
    if ends["low"] is None or ends["high"] is None:
        return replace(
            found, replicates=replicates, detail=joined(detail, f"the interval {reason}")
        )
    return replace(found, replicates=replicates, interval=(ends["low"], ends["high"]))


def too_few(faces: int, groups: int) -> str:
    """Why so few groups do not show how much groups differ; empty where they are enough."""
    if groups >= confounds.FEWEST_GROUPS:
        return ""
    said = (
        f"{faces} faces of {groups} groups"
        if groups < faces
        else f"{faces} face{'s' if faces > 1 else ''}"
    )
    return f"only {said}, at least {confounds.FEWEST_GROUPS} are needed"


def halves(scores: np.ndarray, people: np.ndarray, *, resamples: int, seed: int) -> Measured:
    """Photographs (n,) against photographs: a keyed hash of the person decides which half plays the
    generator.
    """
    place = {
        person: randomness.share(person, seed, "controls halves")
        for person in sorted(set(people.tolist()))
    }
    second = np.array([place[person] >= 0.5 for person in people.tolist()], dtype=bool)
    first_half, second_half = (Sample(scores[rows], people[rows]) for rows in (~second, second))
    people_of = [len(np.unique(half.groups)) for half in (first_half, second_half)]
    if min(people_of) < confounds.FEWEST_GROUPS:
        raise PipelineError(
            f"the halves of the test photographs show {people_of[0]} and {people_of[1]} persons, "
            "at least "
            f"{confounds.FEWEST_GROUPS} in each are needed: give photographs of more persons"
        )
    found = compare(first_half, {"second half": second_half}, resamples=resamples, seed=seed)
    detail = (
        f"{len(first_half.scores)} photographs of {people_of[0]} persons against "
        f"{len(second_half.scores)} of {people_of[1]}; "
        "by chance alone one such interval in twenty excludes 0.5"
    )
    return replace(found, generators={}, detail=joined(detail, found.detail))


def refitted(
    fit: np.ndarray, others: Mapping[str, np.ndarray], settings: Mapping[str, Any], *, seed: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Anomaly scores (m,) of each table (m, D) under a mixture of its own, fitted to `fit` (n, D),
    and the fit's warnings.

    settings: the arguments of `density.fit`. Raises PipelineError where the faces cannot carry such
    a mixture."""
    result = density.fit(fit, **settings, seed=seed)
    return {
        name: result.mixture.anomaly_score(table) for name, table in others.items()
    }, result.warnings


def metadata(
    content: Mapping[str, Any], state: str, generators: list[str], source: str
) -> Measured:
    """The classifier on file metadata, `as_found` or `harmonised`, from the content of
    metrics/confounds.json (`source`).

    The interval's ends are the means of the generators' ends: too wide rather than too narrow, as
    if all varied together."""
    with _reading(source, "the metadata classifier"):
        each = content["metadata_classifier"]["generators"]
        values = {
            name: np.array([each[name][state][key] for key in ("auc", "low", "high")], float)
            for name in generators
        }
        found = _from_files(
            content, {name: float(value[0]) for name, value in values.items()}, source
        )
    low, high = np.mean([values[name][1:] for name in found.generators], axis=0).tolist()
    if np.isfinite([low, high]).all():
        return replace(found, interval=(low, high), detail="interval: mean of the generators' ends")
    return replace(
        found,
        detail="no interval: that of a generator is missing, as where all its resamples agree",
    )


def file_size(
    content: Mapping[str, Any], state: str, generators: list[str], source: str
) -> Measured:
    """Bytes per pixel as the score, for each generator in the direction that suits it; from the
    same file as `metadata`.
    """
    with _reading(source, "the bytes per pixel"):
        aucs = {
            name: float(np.array(content["bytes_per_pixel_auc"][name][state], float))
            for name in generators
        }
        found = _from_files(
            content, {name: max(auc, 1 - auc) for name, auc in aucs.items()}, source
        )
    smaller = sum(aucs[name] < 0.5 for name in found.generators)
    detail = (
        "each generator in its better direction, max(AUC, 1 - AUC), which no detector could "
        "choose; files of "
        f"{smaller} of {len(found.generators)} generators are smaller than photographs, the others "
        "larger; no interval"
    )
    return replace(found, detail=detail)


def _too_few(sample: Sample) -> str:
    return too_few(len(sample.scores), len(np.unique(sample.groups)))


@contextmanager
def _reading(source: str, what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{source}: no faces or no figures of {what} for each generator ({error!r})"
        ) from None


def _from_files(content: Mapping[str, Any], aucs: Mapping[str, float], source: str) -> Measured:
    """The mean over the generators whose AUC is a number and whose faces are as many as other
    controls need.
    """
    faces = {
        name: int(content["harmonised"]["faces"][name]) for name in ("photographic_test", *aucs)
    }
    left_out = {name: f"no AUC in {source}" for name, auc in aucs.items() if not np.isfinite(auc)}
    left_out |= {
        name: too_few(faces[name], faces[name])
        for name in aucs
        if faces[name] < confounds.FEWEST_GROUPS
    }
    kept = {name: auc for name, auc in aucs.items() if name not in left_out}
    if not kept:
        raise PipelineError(f"no generator with enough faces: {named(left_out)}")
    total = sum(faces[name] for name in ("photographic_test", *kept))
    return Measured(float(np.mean(list(kept.values()))), kept, total, left_out=left_out)


def attempt(
    name: str, measure: Callable[[], Measured], detector: Measured | None
) -> dict[str, Any]:
    """The row of a control; where it cannot be computed, without figures and with the reason as its
    detail.
    """
    question = QUESTIONS[name]
    texts = question._asdict() | {"name": name, "rule": RULES[question.rule]}
    try:
        found = measure()
    except PipelineError as error:
        return (
            texts
            | figures_of(None)
            | {"suspicious": None, "detail": f"cannot be computed: {error}"}
        )
    suspicious, remark = judge(found, detector, question.rule)
    expected = question.expected + (f" ({found.expected})" if found.expected else "")
    detail = joined(found.detail, remark)
    return (
        texts
        | figures_of(found)
        | {"expected": expected, "suspicious": suspicious, "detail": detail}
    )


def figures_of(found: Measured | None) -> dict[str, Any]:
    """The figures of a row."""
    if found is None:
        return {
            "auc": None,
            "low": None,
            "high": None,
            "generators": {},
            "faces": 0,
            "left_out": {},
        }
    low, high = found.interval or (None, None)
    figures = {"generators": found.generators, "faces": found.faces, "left_out": found.left_out}
    return {"auc": found.auc, "low": low, "high": high, **figures}


def judge(found: Measured, detector: Measured | None, rule: str) -> tuple[bool | None, str]:
    """Whether a control is suspicious by a rule of RULES, None where that cannot be judged; and
    what it was judged by.
    """
    if rule == "metadata":
        name, worst = max(found.generators.items(), key=lambda one: one[1])
        return worst > confounds.WARNED, f"highest for {name}: {worst:.3f}"
    if rule == "content":
        higher = [
            name
            for name, auc in found.generators.items()
            if detector and auc >= detector.generators.get(name, np.inf)
        ]
        return False, f"at least as high as the detector for {', '.join(higher)}" if higher else ""
    if rule == "half":
        if found.interval is None:
            return None, "not judged, as there is no interval"
        return not found.interval[0] <= 0.5 <= found.interval[1], ""
    if found.replicates is None or detector is None or detector.replicates is None:
        return None, "not judged, as the control or the detector has no interval"
    low, high = bootstrap.interval(detector.replicates - found.replicates)
    remark = (
        f"detector minus control {detector.auc - found.auc:+.3f} (95 %: {low:+.3f} to {high:+.3f})"
    )
    return (low <= 0 if rule == "below" else high < 0), remark


def named(reasons: Mapping[str, str]) -> str:
    """Names with their reasons in one line."""
    return "; ".join(f"{name} ({reason})" for name, reason in reasons.items())


def joined(*sentences: str) -> str:
    """The sentences that are not empty, one after the other."""
    return "; ".join(sentence for sentence in sentences if sentence)
