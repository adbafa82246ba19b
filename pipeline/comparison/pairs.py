"""Two runs of the detector on the same faces: which differences exceed the chance of which faces
were tested.

Paired bootstrap (Efron and Tibshirani 1993; percentile intervals): both runs are resampled with the
same draws of persons or photographs, and their difference B - A is taken within each resample, so
that what makes a face hard for both cancels out. Anomaly scores: higher = more anomalous; label 1 =
AI-generated. Every run is judged at its own thresholds. The intervals cover the choice of test
faces, not the chance in training or calibration."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.evaluation import bootstrap
from pipeline.evaluation import measures as evaluation

if TYPE_CHECKING:
    import pandas as pd

FACE = ["set", "name"]
COLUMNS = [*FACE, "group", "label", "source_sha256", "anomaly_score"]
PHOTOGRAPHS, MEAN, WORST = "photographic_test", "mean", "worst"  # no generator can have these names
BETTER, WORSE, SAME = "better", "worse", "no difference"
UNEQUAL = 0.2  # relative to A's: far less than the photographs of a test set can resolve, and enough to move detection
_ROUNDING = 1e-12  # 0.06 - 0.05 is a little more than a fifth of 0.05
_RATE = re.compile(r"at_\d+(_\d+)?_percent")


@dataclass(frozen=True)
class Pairs:
    """The faces that both runs have: one row each, the scores and flags of run A as `*_a`, of run B
    as `*_b`.
    """

    photographs: "pd.DataFrame"
    generators: dict[str, "pd.DataFrame"]
    rates: list[str]  # keys of the false alarm rates that both runs have
    faces_left_out: tuple[int, int]  # of the compared sets: only in run A, only in run B
    other_pictures: (
        int  # left out: faces with another picture under the same name in run B than in run A
    )
    remarks: list[str]  # what is left out in words, and sets that are small


class Row(NamedTuple):
    """One measure of both runs, their difference B - A and its 95 % interval."""

    measure: str
    of: str  # a generator, "mean" or "worst" over generators, or "photographs"
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


class _Estimate(NamedTuple):
    """A measure of run A and of run B: the values (2,) and their replicates (2, resamples)."""

    values: np.ndarray
    replicates: np.ndarray


def lower_is_better(measure: str) -> bool:
    """True of false alarms."""
    return measure.startswith("false_alarm_rate")


def pair(a: "pd.DataFrame", b: "pd.DataFrame", named: tuple[str, str] = ("A", "B")) -> Pairs:
    """The faces (by set, name and SHA-256 of the picture) that both tables of scores hold, and what
    is left out.

    Raises PipelineError for missing columns, values that are no scores, a face that stands twice or
    has the other class's label, another group of the same face, or nothing to compare."""
    for frame, run in zip((a, b), named, strict=True):
        _check(frame, run)
    rates, only = _common(_rate_columns(a), _rate_columns(b))
    remarks = [f"false alarm rate {rate}: only in {named[i]}" for i in (0, 1) for rate in only[i]]
    names, only = _common(a["set"].tolist(), b["set"].tolist())
    remarks += [f"{name}: only in {named[i]}" for i in (0, 1) for name in only[i]]

    columns = [*FACE, "group", "source_sha256", "anomaly_score", *rates]
    both = a[columns].merge(b[columns], on=FACE, suffixes=("_a", "_b"))
    lost = [int(frame["set"].isin(names).sum()) - len(both) for frame in (a, b)]
    replaced = both["source_sha256_a"] != both["source_sha256_b"]
    for name, count in both[replaced].groupby("set", sort=False).size().items():
        remarks.append(
            f"{name}: left out, {count:,} faces whose picture is not the same in {named[0]} and "
            f"{named[1]}"
        )
    both = both[~replaced]
    _check_groups(both, named)
    sets = {name: both[both["set"] == name] for name in names}
    groups = {name: frame["group_a"].nunique() for name, frame in sets.items()}
    remarks += [
        f"{name}: {_small(count)}" for name, count in groups.items() if count < bootstrap.FEW_GROUPS
    ]
    generators = {name: frame for name, frame in sets.items() if groups[name] > 1}
    photographs = generators.pop(PHOTOGRAPHS, None)
    if photographs is None or not generators:
        what = "test photographs" if photographs is None else "generator"
        reasons = f": {'; '.join(remarks)}" if remarks else ""
        raise PipelineError(
            f"{named[0]} and {named[1]} have no {what} in common that can be compared{reasons}"
        )
    return Pairs(photographs, generators, rates, (lost[0], lost[1]), int(replaced.sum()), remarks)


def known(pairs: Pairs) -> dict[str, list[str]]:
    """The measures that `compare` computes, and of what each; the false alarm rate is the same for
    all generators.
    """
    over = [MEAN, WORST, *pairs.generators]
    measures = {"auc": over}
    for rate in pairs.rates:
        measures[f"detection_rate_{rate}"] = over
        measures[f"false_alarm_rate_{rate}"] = [PHOTOGRAPHS]
    return measures


def compare(pairs: Pairs, *, resamples: int, seed: int) -> list[Row]:
    """One row per measure and generator, each measure's mean and worst before its generators.

    "worst" is the lowest generator of each run (within each resample too): it may be another one in
    B than in A."""
    draws = {"resamples": resamples, "seed": seed}
    found: dict[str, dict[str, _Estimate]] = {measure: {} for measure in known(pairs)}
    for measure, estimate in _rates(
        pairs.photographs, "false_alarm_rate", pairs, bootstrap.PHOTOGRAPHIC, **draws
    ):
        found[measure][PHOTOGRAPHS] = estimate
    for name, frame in pairs.generators.items():
        found["auc"][name] = _auc(pairs.photographs, frame, **draws)
        for measure, estimate in _rates(
            frame, "detection_rate", pairs, bootstrap.GENERATED, **draws
        ):
            found[measure][name] = estimate
    rows = []
    for measure, estimates in found.items():
        over = {} if PHOTOGRAPHS in estimates else _over_generators(estimates)
        rows += [_row(measure, of, estimate) for of, estimate in {**over, **estimates}.items()]
    return rows


def unequal_false_alarms(rows: Iterable[Row]) -> dict[str, Row]:
    """The measures of detection whose two runs stand at unequal false alarms, each with the row of
    these false alarms.

    Unequal: moved by more than UNEQUAL of run A's rate, or from or to zero, whether or not the
    photographs can resolve it. The detection rate then tells two detectors apart no more than a
    move along the ROC curve of one."""
    return {
        row.measure.replace("false_alarm_rate", "detection_rate"): row
        for row in rows
        if lower_is_better(row.measure) and abs(row.difference) > UNEQUAL * row.a + _ROUNDING
    }


def _rate_columns(frame: "pd.DataFrame") -> list[str]:
    return [column for column in map(str, frame) if _RATE.fullmatch(column)]


def _check(frame: "pd.DataFrame", run: str) -> None:
    remedy = "run `dvc repro` there with the present pipeline, or compare with a run of it"
    if missing := sorted(set(COLUMNS) - set(frame)):
        raise PipelineError(f"scores of {run}: no column {', '.join(missing)}; {remedy}")
    for rate in _rate_columns(frame):
        if frame[rate].dtype != bool:
            raise PipelineError(
                f"scores of {run}: column {rate} holds other values than true and false; {remedy}"
            )
    wrong = {
        "has no finite anomaly score": ~np.isfinite(frame["anomaly_score"].to_numpy(np.float64)),
        "has the other class's label": (frame["label"] != (frame["set"] != PHOTOGRAPHS)).to_numpy(),
        "stands twice": frame.duplicated(FACE).to_numpy(),
    }
    for what, rows in wrong.items():
        if rows.any():
            raise PipelineError(f"scores of {run}: {_first(frame[rows])} {what}; {remedy}")


def _check_groups(both: "pd.DataFrame", named: tuple[str, str]) -> None:
    """The same face must show the same person: else the runs tested different things under one
    name.
    """
    differ = both[both["group_a"] != both["group_b"]]
    if len(differ):
        first = differ.iloc[0]
        raise PipelineError(
            f"group of {_first(differ)} is {first['group_a']} in {named[0]} and {first['group_b']} "
            f"in {named[1]} "
            f"({len(differ)} faces differ): run both with the same pictures and the same "
            "data.person_pattern"
        )


def _first(rows: "pd.DataFrame") -> str:
    return f"{rows.iloc[0]['set']}, {rows.iloc[0]['name']}"


def _small(groups: int) -> str:
    faces = f"faces of {groups} persons or photographs in both runs"
    return (
        f"left out, {faces}: no interval can be computed"
        if groups < 2
        else f"{faces}: so few make intervals too narrow"
    )


def _common(a: list[str], b: list[str]) -> tuple[list[str], tuple[list[str], list[str]]]:
    """Names in both, and those only in a and only in b, in their order."""
    first, second = dict.fromkeys(a), dict.fromkeys(b)
    return [n for n in first if n in second], (
        [n for n in first if n not in second],
        [n for n in second if n not in first],
    )


def _sample(frame: "pd.DataFrame", column: str) -> bootstrap.Sample:
    return bootstrap.Sample(frame[column].to_numpy(np.float64), frame["group_a"].to_numpy(str))


def _auc(photographs: "pd.DataFrame", generated: "pd.DataFrame", **draws: Any) -> _Estimate:
    samples = [
        [_sample(frame, f"anomaly_score_{run}") for frame in (photographs, generated)]
        for run in "ab"
    ]
    values = [evaluation.roc_auc(one.scores, other.scores) for one, other in samples]
    return _Estimate(
        np.array(values),
        np.stack([bootstrap.auc_replicates(*sample, **draws) for sample in samples]),
    )


def _rates(
    frame: "pd.DataFrame", measure: str, pairs: Pairs, purpose: str, **draws: Any
) -> Iterator[tuple[str, _Estimate]]:
    """The share of faces above the threshold of each rate."""
    for rate in pairs.rates:
        samples = [_sample(frame, f"{rate}_{run}") for run in "ab"]
        replicates = [
            bootstrap.rate_replicates(sample, 0.5, purpose=purpose, **draws) for sample in samples
        ]
        yield (
            f"{measure}_{rate}",
            _Estimate(np.array([s.scores.mean() for s in samples]), np.stack(replicates)),
        )


def _over_generators(estimates: Mapping[str, _Estimate]) -> dict[str, _Estimate]:
    values = np.stack([estimate.values for estimate in estimates.values()])
    replicates = np.stack([estimate.replicates for estimate in estimates.values()])
    return {
        name: _Estimate(over(values, axis=0), over(replicates, axis=0))
        for name, over in ((MEAN, np.mean), (WORST, np.min))
    }


def _row(measure: str, of: str, estimate: _Estimate) -> Row:
    a, b = map(float, estimate.values)
    return Row(
        measure,
        of,
        a,
        b,
        b - a,
        *bootstrap.interval(estimate.replicates[1] - estimate.replicates[0]),
    )
