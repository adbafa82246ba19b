"""Measures with their intervals, in work per second: `python -m benchmarks.evaluate`.

First row: `bootstrap.replicates`, resamples per second of all measures of 5,000 + 5,000 scores at
three thresholds.
- baseline: the loop that anybody writes, each resample made face by face and measured by
scikit-learn, over fewer resamples;
- ceiling: the draws and one cumulative sum of as many numbers, without which no measure of a
resample is had.

Second row: what evaluate does, generators per second, of 10,000 faces against 10,000 photographs
with all intervals: from features to scores, p-values, verdicts and replicates, without reading and
writing files.
- ceiling: the same without a single resample.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks import harness
from pipeline.calibration import thresholds as calibration
from pipeline.calibration.decisions import Decisions
from pipeline.common.names import HEADS
from pipeline.density.mixture import Mixture
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.stages import evaluate

THRESHOLDS = {"at_1_percent": 2.33, "at_5_percent": 1.64, "paper_protocol": 1.5}
DIMENSIONS = 64


def measure(quick: bool = False) -> list[harness.Row]:
    """The two rows; `quick` takes tiny sizes."""
    faces, resamples, few, generators = (40, 20, 2, 1) if quick else (5_000, 2_000, 20, 9)
    rounds = 1 if quick else 3
    return [
        _replicates(faces, resamples, few, rounds),
        _stage(2 * faces, resamples, generators, rounds),
    ]


def _replicates(faces: int, resamples: int, few: int, rounds: int) -> harness.Row:
    photographic, generated = _sample(faces, 0.0), _sample(faces, 1.0)

    def ours() -> None:
        bootstrap.replicates(photographic, generated, THRESHOLDS, resamples=resamples, seed=0)

    ways = {
        "ours": _way(resamples, ours),
        "baseline": _way(few, lambda: _naive(photographic.scores, generated.scores, few)),
        "ceiling": _way(resamples, lambda: _draws_and_sums(2 * faces, resamples)),
    }
    note = f"{resamples:,} resamples of {faces:,} + {faces:,} scores, all measures; baseline over {few}"
    return harness.row("bootstrap", "resamples/s", **harness.interleaved(ways, rounds), note=note)


def _stage(faces: int, resamples: int, generators: int, rounds: int) -> harness.Row:
    mixture, decisions = _detector(faces)
    sets = [
        _faces("photographic_test", faces, 0.0),
        *(_faces(f"generator_{i}", faces, 1 + i / 9) for i in range(generators)),
    ]

    def all_generators(count: int) -> None:
        for faces_of_one in sets[1:]:
            photographs, generated = (
                evaluate.judged(one, mixture, decisions, r"(\d+)")
                for one in (sets[0], faces_of_one)
            )
            evaluate.measured(photographs, generated, decisions, resamples=count, seed=0)

    ways = {
        "ours": _way(generators, lambda: all_generators(resamples)),
        "ceiling": _way(generators, lambda: all_generators(1)),
    }
    rates = harness.interleaved(ways, rounds)
    memory = harness.peak_memory_mb()
    note = f"{generators} generators of {faces:,} faces + {faces:,} photographs, {resamples:,} resamples"
    return harness.row(
        "evaluate", "generators/s", baseline=None, **rates, peak_memory_mb=memory, note=note
    )


def _way(count: int, work: Callable[[], object]) -> Callable[[], float]:
    """Units of work per second."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)

    return once


def _naive(photographic: np.ndarray, generated: np.ndarray, resamples: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    for _ in range(resamples):
        scores = np.concatenate([rng.choice(one, len(one)) for one in (photographic, generated)])
        metrics.roc_auc_score(labels, scores)
        metrics.average_precision_score(labels, scores)
        metrics.average_precision_score(1 - labels, -scores)
        false_alarms, detections, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        np.interp(0, false_alarms + detections - 1, false_alarms)
        for threshold in THRESHOLDS.values():
            metrics.accuracy_score(labels, scores > threshold)
            metrics.balanced_accuracy_score(labels, scores > threshold)


def _draws_and_sums(faces: int, resamples: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        np.cumsum(np.bincount(rng.integers(faces, size=faces), minlength=faces))


def _sample(faces: int, shift: float) -> Sample:
    return Sample(
        np.random.default_rng(faces).normal(shift, 1, size=faces), np.arange(faces).astype(str)
    )


def _faces(name: str, count: int, shift: float) -> FeatureSet:
    rng = np.random.default_rng(count)
    names = np.array([f"data/{name}/{i // 2:06d}_{i % 2}.png" for i in range(count)])
    return FeatureSet(
        name,
        names,
        rng.normal(shift / 4, 1, (count, DIMENSIONS)),
        rng.normal(size=(count, len(HEADS))),
        names,
    )


def _detector(faces: int) -> tuple[Mixture, Decisions]:
    """A standard normal as the mixture, with thresholds from as many photographs."""
    shift, scale, none = np.zeros(DIMENSIONS), np.ones(DIMENSIONS), np.zeros((0, DIMENSIONS))
    mixture = Mixture(
        "full", shift, scale, none, np.ones(1), np.zeros((1, DIMENSIONS)), np.eye(DIMENSIONS)[None]
    )
    scores = mixture.anomaly_score(_faces("photographic_calibration", faces + 1, 0.0).features)
    key, threshold = calibration.rate_key, calibration.conformal_threshold
    thresholds: Mapping[str, float] = {key(r): threshold(scores, r) for r in (0.05, 0.1)}
    decided = Decisions(
        dict(thresholds), "at_10_percent", "at_5_percent", 0.0, scores, np.zeros(5), np.ones(5)
    )
    return mixture, decided


if __name__ == "__main__":
    harness.show(measure())
