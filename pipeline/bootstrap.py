"""How sure a measure is: its values over resamples of the very faces that it was measured on.

Group bootstrap (Efron 1979; Davison, Hinkley 1997, 3.8): whole groups (a person, a photograph) are drawn with replacement, as
faces of one group are alike and count for less than as many strangers. Photographs and generated faces are drawn apart.
The draws are keyed by (seed, class, chunk) alone: the same groups get the same draws whatever their scores, so replicates of
two detectors on the same faces, or of two generators against the same photographs, are paired.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipeline import randomness
from pipeline.calibration import check_scores
from pipeline.errors import PipelineError
from pipeline.ranking import Ranking

PHOTOGRAPHIC, GENERATED = "bootstrap photographic", "bootstrap generated"  # purposes of the draws
CHUNK = 16  # resamples drawn at once: their counts stay in the processor's cache. Another number makes other draws


class Sample(NamedTuple):
    """n faces of one class."""

    scores: np.ndarray  # (n,) anomaly scores
    groups: np.ndarray  # (n,) str, who or which photograph


def replicates(
    photographic: Sample, generated: Sample, thresholds: Mapping[str, float], *, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """All of `evaluation.measures` on each resample, by the same keys, each float64 (resamples,).

    Raises PipelineError where a class has a single group (`obstacle`), or scores that are no numbers.
    """
    return _replicates(photographic, generated, lambda r, n, g: r.measures(n, g, thresholds), resamples, seed)


def auc_replicates(photographic: Sample, generated: Sample, *, resamples: int, seed: int) -> np.ndarray:
    """The AUC alone on each of the same resamples, float64 (resamples,). Raises PipelineError as `replicates`."""
    return _replicates(photographic, generated, lambda r, n, g: {"auc": r.auc(n, g)}, resamples, seed)["auc"]


def rate_replicates(sample: Sample, threshold: float, *, resamples: int, seed: int, purpose: str = PHOTOGRAPHIC) -> np.ndarray:
    """Share of faces above the threshold on each resample of one class, float64 (resamples,). Raises as `replicates`."""
    scores, groups, count = _prepare(sample, purpose)
    size = np.bincount(groups, minlength=count)  # (groups,)
    above = np.bincount(groups[scores > threshold], minlength=count)
    return np.concatenate([(d @ above) / (d @ size) for d in _draws(count, purpose, resamples, seed)])


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval (low, high) of replicates (r,)."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def obstacle(sample: Sample) -> str | None:
    """Why no interval can be computed from this sample; None where one can."""
    if len(np.unique(sample.groups)) > 1:
        return None
    return f"{len(sample.scores)} face(s) of one group: how much groups vary cannot be told from a single one"


def _replicates(
    photographic: Sample,
    generated: Sample,
    measure: Callable[[Ranking, np.ndarray, np.ndarray], dict[str, np.ndarray]],
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    n, n_groups, n_count = _prepare(photographic, PHOTOGRAPHIC)
    g, g_groups, g_count = _prepare(generated, GENERATED)
    ranking = Ranking(n, g)
    draws = zip(_draws(n_count, PHOTOGRAPHIC, resamples, seed), _draws(g_count, GENERATED, resamples, seed), strict=True)
    parts = [measure(ranking, a[:, n_groups], b[:, g_groups]) for a, b in draws]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _prepare(sample: Sample, purpose: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (n,) ascending, the number of each face's group among the sorted groups (n,), and how many groups there are."""
    scores = check_scores(sample.scores, f"scores for the {purpose}")
    if reason := obstacle(sample):
        raise PipelineError(f"{purpose}: {reason}")
    names, numbers = np.unique(sample.groups, return_inverse=True)
    order = np.argsort(scores, kind="stable")
    return scores[order], numbers[order], len(names)


def _draws(groups: int, purpose: str, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn, int64 (up to CHUNK, groups) at a time: `groups` draws with replacement in each row."""
    for chunk, start in enumerate(range(0, resamples, CHUNK)):
        rows = min(CHUNK, resamples - start)
        drawn = randomness.generator(seed, purpose, chunk).integers(groups, size=(rows, groups))
        drawn += np.arange(rows)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups)
