"""Two runs of the detector on the same faces: which differences exceed the choice of test faces.

Paired bootstrap (Efron and Tibshirani 1993; percentile intervals): both runs are resampled with the
same draws of persons, and their difference B - A is taken within each resample, so that what makes
a face hard for both cancels out. Every run is judged at its own thresholds. The intervals do not
cover the chance in training or calibration."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.measures import roc_auc

if TYPE_CHECKING:
    import pandas as pd

FACE = ["set", "name"]
COLUMNS = [*FACE, "person", "source_sha256", "anomaly_score"]
PHOTOGRAPHS, MEAN, WORST = "photographic_test", "mean", "worst"  # no generator can have these names
BETTER, WORSE, SAME = "better", "worse", "no difference"
UNEQUAL = 0.2  # of A's false alarms: less than a test set can resolve, enough to move detection
_ROUNDING = 1e-12  # 0.06 - 0.05 is a little more than a fifth of 0.05


class Pairs(NamedTuple):
    """The faces that both runs have: one row each, scores and flags of the runs as *_a and *_b."""

    photographs: "pd.DataFrame"
    generators: dict[str, "pd.DataFrame"]
    rates: list[str]  # names of the false alarm rates that both runs have
    remarks: list[str]  # what is compared, what is left out, and what is small


class Row(NamedTuple):
    """One measure of both runs, their difference B - A and its 95 % interval."""

    measure: str
    of: str  # a generator, "mean" or "worst" over generators, or "photographic_test"
    a: float
    b: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether B is better or worse than A: "no difference" where the interval holds 0."""
        if self.low <= 0 <= self.high:
            return SAME
        return BETTER if (self.low > 0) != lower_is_better(self.measure) else WORSE


def lower_is_better(measure: str) -> bool:
    """True of false alarms."""
    return measure.startswith("false_alarm_rate")


def pair(a: "pd.DataFrame", b: "pd.DataFrame", named: tuple[str, str] = ("A", "B")) -> Pairs:
    """The faces (by set, name and SHA-256 of the picture) that both tables of scores hold.

    Raises PipelineError for tables of another version, or where there is nothing to compare."""
    for frame, run in zip((a, b), named, strict=True):
        _check(frame, run)
    names = [[*_rates(frame), *frame["set"].unique()] for frame in (a, b)]
    remarks = [
        f"{name}: only in {run}"
        for run, own, other in zip(named, names, names[::-1], strict=True)
        for name in own
        if name not in other
    ]
    rates = [rate for rate in _rates(a) if rate in _rates(b)]
    sets = [name for name in a["set"].unique() if name in names[1]]
    columns = [*COLUMNS, *rates]
    both = a[columns].merge(b[columns], on=FACE, suffixes=("_a", "_b"))
    only = [int(frame["set"].isin(sets).sum()) - len(both) for frame in (a, b)]
    replaced = both["source_sha256_a"] != both["source_sha256_b"]
    both = both[~replaced]
    if (both["person_a"] != both["person_b"]).any():
        remarks.append(f"persons: {named[0]} and {named[1]} differ, those of {named[0]} are used")

    frames = {name: both[both["set"] == name] for name in sets}
    for name, frame in list(frames.items()):
        if (count := frame["person_a"].nunique()) < 2:
            del frames[name]
            remarks.append(f"{name}: left out, {count} persons in both runs allow no interval")
        elif count < bootstrap.FEW_GROUPS:
            remarks.append(f"{name}: {count} persons in both runs make intervals too narrow")
    photographs = frames.pop(PHOTOGRAPHS, None)
    if photographs is None or not frames:
        what = "test photographs" if photographs is None else "generator"
        reasons = "".join(f"; {remark}" for remark in remarks)
        raise PipelineError(f"{named[0]} and {named[1]} have no {what} in common{reasons}")
    compared = (
        f"Compared: {len(photographs):,} photographs and {sum(map(len, frames.values())):,} faces "
        f"of {len(frames)} generators, which both runs have. Left out: {only[0]:,} faces only in "
        f"{named[0]}, {only[1]:,} only in {named[1]}, {replaced.sum():,} whose picture changed."
    )
    return Pairs(photographs, frames, rates, [compared, *remarks])


def compare(pairs: Pairs, *, resamples: int, seed: int) -> list[Row]:
    """One row per measure and generator, each measure's mean and worst before its generators.

    "worst" is the lowest generator of each run (within each resample too): it may be another one in
    B than in A."""
    draws = {"resamples": resamples, "seed": seed}
    photographs, generators = pairs.photographs, pairs.generators
    aucs = {name: _aucs(photographs, frame, **draws) for name, frame in generators.items()}
    rows = list(_over_generators("auc", aucs))
    for rate in pairs.rates:
        shares = {
            name: _shares(frame, rate, bootstrap.GENERATED, **draws)
            for name, frame in generators.items()
        }
        rows += _over_generators(f"detection_rate_{rate}", shares)
        alarms = _shares(photographs, rate, bootstrap.PHOTOGRAPHIC, **draws)
        rows.append(_row(f"false_alarm_rate_{rate}", PHOTOGRAPHS, alarms))
    return rows


def unequal_false_alarms(rows: Iterable[Row]) -> dict[str, Row]:
    """The measures of detection at unequal false alarms, each with the row of these false alarms.

    Unequal: moved by more than UNEQUAL of run A's rate, or from or to zero, whether or not the
    photographs can resolve it. A move along the ROC curve of one detector could then do the same.
    """
    return {
        row.measure.replace("false_alarm_rate", "detection_rate"): row
        for row in rows
        if lower_is_better(row.measure) and abs(row.difference) > UNEQUAL * row.a + _ROUNDING
    }


def _rates(frame: "pd.DataFrame") -> list[str]:
    return [name for name in map(str, frame) if name.startswith("at_")]


def _check(frame: "pd.DataFrame", run: str) -> None:
    missing = sorted(set(COLUMNS) - set(frame))
    if missing or frame.duplicated(FACE).any():
        what = f"no column {', '.join(missing)}" if missing else "a face stands twice"
        raise PipelineError(
            f"scores of {run}: {what}; run `dvc repro` there with the present pipeline, or compare "
            "with a run of it"
        )


def _sample(frame: "pd.DataFrame", column: str) -> Sample:
    return Sample(frame[column].to_numpy(np.float64), frame["person_a"].to_numpy(str))


def _aucs(photographs: "pd.DataFrame", generated: "pd.DataFrame", **draws: Any) -> np.ndarray:
    """AUC of both runs, then of each resample, (2, 1 + resamples)."""
    runs = [
        [_sample(frame, f"anomaly_score_{run}") for frame in (photographs, generated)]
        for run in "ab"
    ]
    return np.array(
        [[roc_auc(n.scores, g.scores), *bootstrap.auc_replicates(n, g, **draws)] for n, g in runs]
    )


def _shares(frame: "pd.DataFrame", rate: str, purpose: str, **draws: Any) -> np.ndarray:
    """Share of faces above the threshold of both runs, then of each resample; shape as `_aucs`."""
    runs = [_sample(frame, f"{rate}_{run}") for run in "ab"]
    replicates = [bootstrap.rate_replicates(r, 0.5, purpose=purpose, **draws) for r in runs]
    return np.array([[r.scores.mean(), *d] for r, d in zip(runs, replicates, strict=True)])


def _over_generators(measure: str, values: dict[str, np.ndarray]) -> Iterator[Row]:
    every = np.stack(list(values.values()))
    for of, value in {MEAN: every.mean(axis=0), WORST: every.min(axis=0), **values}.items():
        yield _row(measure, of, value)


def _row(measure: str, of: str, values: np.ndarray) -> Row:
    a, b = values[:, 0].tolist()
    return Row(measure, of, a, b, b - a, *bootstrap.interval(values[1, 1:] - values[0, 1:]))
