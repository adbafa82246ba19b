"""Controls: ways of scoring faces that should find nothing, or less than the detector. High, they
say what could fake it.

Each is compared with the detector's density fitted anew on the same photographs, on the same test
faces and with the same resamples, so that nothing but the thing tested differs and the difference
of the two has an interval too. Intervals are 95 % group bootstrap (evaluation/bootstrap.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.audit.confounds import FEWEST_PERSONS
from pipeline.audit.scoring import FIT, TEST, Sets, samples
from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.density.density import fit_density
from pipeline.evaluation import bootstrap, estimates
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc


@dataclass(frozen=True)
class Result:
    """The AUC of one way of scoring, the mean over generators."""

    auc: float | None = None  # None where it cannot be computed
    generators: dict[str, float] = field(default_factory=dict)
    faces: int = 0  # that the AUC rests on, of both classes
    replicates: np.ndarray | None = None  # (resamples,) of the mean
    interval: tuple[float, float] | None = None
    left_out: dict[str, str] = field(default_factory=dict)  # why, by generator
    details: tuple[str, ...] = ()


def compare(
    photographic: Sample,
    generated: Mapping[str, Sample],
    *details: str,
    resamples: int,
    seed: int,
) -> Result:
    """AUC of each generator's faces against the photographs, and of their mean the replicates,
    paired by the photographs.

    Generators with too few persons to judge by are left out; PipelineError where none is left."""
    kept, left_out = divide({name: len(np.unique(s.groups)) for name, s in generated.items()})
    aucs = {name: roc_auc(photographic.scores, generated[name].scores) for name in kept}
    auc = float(np.mean(list(aucs.values())))
    faces = len(photographic.scores) + sum(len(generated[name].scores) for name in kept)
    result = Result(auc, aucs, faces, left_out=left_out, details=details)
    if (persons := len(np.unique(photographic.groups))) < FEWEST_PERSONS:
        return replace(result, details=(*details, f"no interval: photographs of {few(persons)}"))
    each = [
        bootstrap.auc_replicates(photographic, generated[name], resamples=resamples, seed=seed)
        for name in kept
    ]
    replicates = np.mean(each, axis=0)
    result = replace(result, replicates=replicates)
    if reason := estimates.ranged(auc, replicates)[1]:
        return replace(result, details=(*details, f"the interval {reason}"))
    return replace(result, interval=bootstrap.interval(replicates))


def halves(sample: Sample, *, resamples: int, seed: int) -> Result:
    """Photographs against photographs: a keyed hash of the person decides which half plays the
    generator.
    """
    place = {p: randomness.share(p, seed, "controls halves") for p in set(sample.groups.tolist())}
    second = np.array([place[person] >= 0.5 for person in sample.groups.tolist()], dtype=bool)
    parts = [Sample(sample.scores[rows], sample.groups[rows]) for rows in (~second, second)]
    persons = [len(np.unique(part.groups)) for part in parts]
    if min(persons) < FEWEST_PERSONS:
        raise PipelineError(
            f"the halves of the test photographs show {persons[0]} and {persons[1]} persons, at "
            f"least {FEWEST_PERSONS} in each are needed: give photographs of more persons"
        )
    detail = (
        f"{len(parts[0].scores)} photographs of {persons[0]} persons against "
        f"{len(parts[1].scores)} of {persons[1]}; "
        "by chance alone one such interval in twenty excludes 0.5"
    )
    result = compare(parts[0], {"half": parts[1]}, detail, resamples=resamples, seed=seed)
    return replace(result, generators={})


@dataclass(frozen=True)
class Refit:
    """Scores faces with a density of their own.

    The photographs fitted, the seed and the faces tested are the same for the detector and for
    every control, so that no smaller fit makes it look good."""

    gmm: Mapping[str, Any]  # the section of params.yaml
    resamples: int
    seed: int

    def __call__(self, sets: Sets, *details: str, **changes: Any) -> Result:
        """Of the tested sets. changes: of the section `gmm`. Raises PipelineError where the faces
        cannot carry the density.
        """
        fit, seed = sets[FIT], randomness.key(self.seed, "fit_gmm")
        settings = {**self.gmm, **changes}
        fitted = fit_density(fit.features, fit.heads, fit.persons, settings, seed)
        scored = samples(sets, fitted.density)
        warnings = [f"warning of the fit: {warning}" for warning in fitted.warnings]
        details = (*details, f"{len(fit):,} photographs fitted", *warnings)
        draws = {"resamples": self.resamples, "seed": self.seed}
        return compare(scored.pop(TEST), scored, *details, **draws)


def metadata(confounds: Mapping[str, Any], state: str) -> Result:
    """The classifier on file metadata, `as_found` or `harmonised`, from confounds.json's content.

    The interval's ends are the means of the generators' ends: too wide rather than too narrow, as
    if all varied together."""
    each = confounds["metadata_classifier"]["generators"]
    result = _from_files(confounds, {name: one[state]["auc"] for name, one in each.items()})
    ends = [[each[name][state][end] for end in ("low", "high")] for name in result.generators]
    if None in np.ravel(ends):
        why = "no interval: that of a generator is missing, as where all its resamples agree"
        return replace(result, details=(why,))
    low, high = np.mean(ends, axis=0).tolist()
    details = ("interval: mean of the generators' ends",)
    return replace(result, interval=(low, high), details=details)


def file_size(confounds: Mapping[str, Any], state: str) -> Result:
    """Bytes per pixel as the score, for each generator in the direction that suits it."""
    aucs = {name: one[state] for name, one in confounds["bytes_per_pixel_auc"].items()}
    result = _from_files(confounds, {name: max(auc, 1 - auc) for name, auc in aucs.items()})
    smaller = sum(aucs[name] < 0.5 for name in result.generators)
    detail = (
        "each generator in its better direction, max(AUC, 1 - AUC), which no detector could "
        f"choose; files of {smaller} of {len(result.generators)} generators are smaller than "
        "photographs, the others larger; no interval"
    )
    return replace(result, details=(detail,))


def divide(persons: Mapping[str, int]) -> tuple[list[str], dict[str, str]]:
    """The generators with persons enough to show how much they differ; why the others are left out.

    Raises PipelineError where all are."""
    left_out = {name: few(count) for name, count in persons.items() if count < FEWEST_PERSONS}
    if len(left_out) == len(persons):
        reasons = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
        raise PipelineError(f"no generator with enough faces: {reasons}")
    return [name for name in persons if name not in left_out], left_out


def few(persons: int) -> str:
    """Why so few persons are left out."""
    return f"only {persons} person{'s' * (persons > 1)}, at least {FEWEST_PERSONS} are needed"


def _from_files(confounds: Mapping[str, Any], aucs: Mapping[str, float | None]) -> Result:
    faces = confounds["harmonised"]["faces"]
    kept, left_out = divide({name: faces[name] for name in aucs})
    known = {name: auc for name in kept if (auc := aucs[name]) is not None}
    if not known:
        raise PipelineError("no AUC of the classifier of metadata, see confounds.json")
    total = sum(faces[name] for name in (TEST, *known))
    return Result(float(np.mean(list(known.values()))), known, total, left_out=left_out)
