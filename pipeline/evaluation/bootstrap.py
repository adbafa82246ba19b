"""How sure a measure is: its values over resamples of the very faces that it was measured on.

Group bootstrap (Efron 1979; Davison, Hinkley 1997, section 3.8): whole groups (a person, a
photograph) are drawn with replacement, as faces of one group are alike and tell less than as many
strangers. Photographs and generated faces are drawn apart. The draws are keyed by (seed, class,
groups): the same groups get the same draws whatever their scores, so replicates of two detectors on
the same faces, or of two generators against the same photographs, are paired; those of others are
independent."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.checks import check_scores
from pipeline.evaluation.ranking import Ranking

PHOTOGRAPHIC, GENERATED = "bootstrap photographic", "bootstrap generated"  # purposes of the draws
FEW_GROUPS = 20  # below, percentile intervals are known to be too narrow
_ROUNDING = 1e-12


class Sample(NamedTuple):
    """n faces of one class."""

    scores: np.ndarray  # (n,) anomaly scores
    groups: np.ndarray  # (n,) str, who or which photograph


def replicates(
    photographic: Sample,
    generated: Sample,
    thresholds: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """All of `evaluation.measures` on each resample, by the same keys, each float64 (resamples,).

    Raises PipelineError for a class of a single group (see `obstacle`), and for scores that are no
    numbers."""
    found = [
        r.measures(n, g, thresholds)
        for r, n, g in _resamples(photographic, generated, resamples, seed)
    ]
    return {key: np.array([one[key] for one in found]) for key in found[0]}


def auc_replicates(
    photographic: Sample, generated: Sample, *, resamples: int, seed: int
) -> np.ndarray:
    """The AUC alone on the same resamples, float64 (resamples,). Raises PipelineError as
    `replicates`.
    """
    return np.array(
        [
            ranking.auc(n, g)
            for ranking, n, g in _resamples(photographic, generated, resamples, seed)
        ]
    )


def rate_replicates(
    sample: Sample, threshold: float, *, resamples: int, seed: int, purpose: str = PHOTOGRAPHIC
) -> np.ndarray:
    """Share of faces above the threshold on each resample of one class, float64 (resamples,).
    Raises as `replicates`.
    """
    scores, group, groups = _prepare(sample, purpose)
    count = len(groups)
    faces, above = (
        np.bincount(group, minlength=count),
        np.bincount(group[scores > threshold], minlength=count),
    )
    return np.array(
        [
            above[drawn].sum() / faces[drawn].sum()
            for drawn in _draws(groups, purpose, resamples, seed)
        ]
    )


def computable(
    photographic: Sample,
    generated: Sample,
    thresholds: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """`replicates`, or as many of them as classes of a single group allow, and why which intervals
    cannot be computed.
    """
    if not (obstacle(photographic) or obstacle(generated)):
        return replicates(photographic, generated, thresholds, resamples=resamples, seed=seed), {}
    found, reasons = {}, {}
    for sample, faces, rate, purpose in (
        (photographic, "photographs", "false_alarm_rate", PHOTOGRAPHIC),
        (generated, "generated faces", "detection_rate", GENERATED),
    ):
        if reason := obstacle(sample):
            reasons[f"intervals of all that depends on the {faces}"] = reason
            continue
        for key, threshold in thresholds.items():
            found[f"{key}.{rate}"] = rate_replicates(
                sample, threshold, resamples=resamples, seed=seed, purpose=purpose
            )
    return found, reasons


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval (low, high) of replicates (r,)."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def agree(values: np.ndarray) -> bool:
    """Whether all resamples gave one value (r,): percentiles would claim to know it exactly, and
    are no interval.
    """
    return float(np.ptp(values)) <= _ROUNDING


def cautions(photographic: Sample, generated: Sample) -> list[str]:
    """A sentence for each class of fewer than FEW_GROUPS groups."""
    counts = {
        "photographs": len(np.unique(photographic.groups)),
        "generated faces": len(np.unique(generated.groups)),
    }
    return [
        f"the {faces} show only {count} {'persons' if count > 1 else 'person'} or pictures: with "
        f"fewer than {FEW_GROUPS}, "
        "intervals are too narrow"
        for faces, count in counts.items()
        if count < FEW_GROUPS
    ]


def obstacle(sample: Sample) -> str | None:
    """Why no interval can be computed from this sample; None where one can."""
    if len(np.unique(sample.groups)) != 1:
        return None
    faces = f"{len(sample.scores)} faces of one group" if len(sample.scores) > 1 else "one face"
    return f"cannot be computed from {faces}: a single group does not show how much groups differ"


def _resamples(
    photographic: Sample, generated: Sample, resamples: int, seed: int
) -> Iterator[tuple[Ranking, np.ndarray, np.ndarray]]:
    """The ranking of all faces, and how often each (n,), (m,) counts in each resample."""
    n, n_group, n_groups = _prepare(photographic, PHOTOGRAPHIC)
    g, g_group, g_groups = _prepare(generated, GENERATED)
    ranking = Ranking(n, g)
    draws = zip(
        _draws(n_groups, PHOTOGRAPHIC, resamples, seed),
        _draws(g_groups, GENERATED, resamples, seed),
        strict=True,
    )
    for drawn_n, drawn_g in draws:
        yield ranking, _weights(drawn_n, n_group), _weights(drawn_g, g_group)


def _prepare(sample: Sample, purpose: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,) ascending, the number of each face's group (n,), and the groups (k,), sorted."""
    scores = check_scores(sample.scores, f"{purpose}: scores")
    if reason := obstacle(sample):
        raise PipelineError(f"{purpose}: an interval {reason}")
    names, group = np.unique(sample.groups, return_inverse=True)
    order = np.argsort(scores, kind="stable")
    return scores[order], group[order], names


def _draws(groups: np.ndarray, purpose: str, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """For each resample k draws of the k groups, by number, int64 (k,); more resamples go on where
    fewer end.
    """
    rng = randomness.generator(seed, purpose, "\n".join(groups.tolist()))
    return (rng.integers(len(groups), size=len(groups)) for _ in range(resamples))


def _weights(drawn: np.ndarray, group: np.ndarray) -> np.ndarray:
    """How often each face counts (n,), from the drawn groups (k,) and the group of each face (n,)."""
    return np.bincount(drawn, minlength=len(drawn)).astype(np.float64)[group]
