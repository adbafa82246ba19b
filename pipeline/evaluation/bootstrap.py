"""How sure a measure is: its values over resamples of the very faces that it was measured on.

Group bootstrap (Efron 1979; Davison, Hinkley 1997, section 3.8): whole groups (persons; a
generated face is a person of its own) are drawn with replacement, as faces of one person are alike
and tell less than as many strangers. The two classes are drawn apart. The draws are keyed by
(seed, class, groups): the same groups get the same draws whatever their scores, so replicates of
two detectors on the same faces, or of two generators against the same photographs, are paired."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.checks import check_scores
from pipeline.evaluation.ranking import Ranking

PHOTOGRAPHIC, GENERATED = "bootstrap photographic", "bootstrap generated"  # purposes of the draws
CONFIDENCE = 0.95  # of all intervals
FEW_GROUPS = 20  # below, percentile intervals are known to be too narrow
_ROUNDING = 1e-12
_AT_ONCE = 2**21  # faces of resamples whose AUC is computed together


class Sample(NamedTuple):
    """n faces of one class."""

    scores: np.ndarray  # (n,) anomaly scores
    groups: np.ndarray  # (n,) str, persons


def replicates(
    photographic: Sample,
    generated: Sample,
    thresholds: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All of `Ranking.measures` on each resample, by the same names, each float64 (resamples,).

    And why some are left out: of a class of a single group only the other class's rates are known.
    Raises PipelineError for scores that are no numbers."""
    draws = {"resamples": resamples, "seed": seed}
    classes = {
        "photographs": (photographic, "false_alarm_rate", PHOTOGRAPHIC),
        "generated faces": (generated, "detection_rate", GENERATED),
    }
    reasons = {
        f"intervals of all that depends on the {faces}": reason
        for faces, (sample, _, _) in classes.items()
        if (reason := obstacle(sample))
    }
    if not reasons:
        drawn = _resamples(photographic, generated, **draws)
        rows = [ranking.measures(thresholds, weights) for ranking, weights in drawn]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}, {}
    return {
        f"{key}.{rate}": rate_replicates(sample, threshold, **draws, purpose=purpose)
        for sample, rate, purpose in classes.values()
        if not obstacle(sample)
        for key, threshold in thresholds.items()
    }, reasons


def auc_replicates(
    photographic: Sample, generated: Sample, *, resamples: int, seed: int
) -> np.ndarray:
    """The AUC alone on the same resamples, float64 (resamples,).

    Raises PipelineError for a class of a single group (see `obstacle`), and for scores that are no
    numbers."""
    n, n_group, n_draws = _draws(photographic, PHOTOGRAPHIC, resamples, seed)
    g, g_group, g_draws = _draws(generated, GENERATED, resamples, seed)
    order = np.argsort(n)
    below, up_to = (np.searchsorted(n[order], g, side=side) for side in ("left", "right"))
    aucs = []
    count = max(1, _AT_ONCE // (len(n) + len(g)))  # resamples at a time
    for start in range(0, resamples, count):
        rows = slice(start, start + count)
        photographs = n_draws[rows, n_group[order]].cumsum(axis=1, dtype=np.int64)
        passed = np.pad(photographs, ((0, 0), (1, 0)))  # (rows, n + 1)
        weights = g_draws[rows, g_group].astype(np.int64)  # (rows, m)
        wins = (weights * (passed[:, below] + passed[:, up_to])).sum(axis=1)  # twice, exact
        aucs.append(wins / (2 * passed[:, -1] * weights.sum(axis=1)))
    return np.concatenate(aucs)


def rate_replicates(
    sample: Sample, threshold: float, *, resamples: int, seed: int, purpose: str = PHOTOGRAPHIC
) -> np.ndarray:
    """Share above the threshold on each resample of one class. Raises as `auc_replicates`."""
    above = check_scores(sample.scores, f"{purpose}: scores") > threshold
    drawn = _weights(sample, purpose, resamples, seed)
    return np.array([weights[above].sum() / weights.sum() for weights in drawn])


def interval(values: np.ndarray) -> tuple[float, float]:
    """Percentile interval (low, high) of replicates (r,)."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def agree(values: np.ndarray) -> bool:
    """Whether all resamples (r,) gave one value: percentiles would claim to know it exactly."""
    return float(np.ptp(values)) <= _ROUNDING


def cautions(photographic: Sample, generated: Sample) -> list[str]:
    """A sentence for each class of fewer than FEW_GROUPS groups."""
    counts = {
        faces: len(np.unique(sample.groups))
        for faces, sample in (("photographs", photographic), ("generated faces", generated))
    }
    return [
        f"the {faces} show only {count} {'persons' if count > 1 else 'person'} or pictures: with "
        f"fewer than {FEW_GROUPS}, intervals are too narrow"
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
    photographic: Sample, generated: Sample, *, resamples: int, seed: int
) -> Iterator[tuple[Ranking, tuple[np.ndarray, np.ndarray]]]:
    """The ranking of all faces, and how often each (n,), (m,) counts in each resample."""
    ranking = Ranking(photographic.scores, generated.scores)
    n = _weights(photographic, PHOTOGRAPHIC, resamples, seed)
    g = _weights(generated, GENERATED, resamples, seed)
    return ((ranking, weights) for weights in zip(n, g, strict=True))


def _weights(sample: Sample, purpose: str, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each face counts (n,), resample by resample."""
    _, group, draws = _draws(sample, purpose, resamples, seed)
    return (row[group] for row in draws)


def _draws(
    sample: Sample, purpose: str, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,), the number of each face's group (n,), and how often each resample draws each
    group, (resamples, k).
    """
    if reason := obstacle(sample):
        raise PipelineError(f"{purpose}: an interval {reason}")
    scores = check_scores(sample.scores, f"{purpose}: scores")
    names, group = np.unique(sample.groups, return_inverse=True)
    return scores, group, _counts("\n".join(names.tolist()), len(names), purpose, resamples, seed)


@lru_cache(maxsize=16)  # the same faces are resampled again for every way to score them
def _counts(names: str, groups: int, purpose: str, resamples: int, seed: int) -> np.ndarray:
    """How often k draws of the k groups, sorted by name, give each: uint16 (resamples, k). More
    resamples begin with the same ones.
    """
    rng = randomness.generator(seed, purpose, names)
    counts = np.empty((resamples, groups), np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    counts.setflags(write=False)
    return counts
