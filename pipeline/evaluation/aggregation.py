"""The measures of all generators as one small table: each generator, their mean and the worst, with
95 % intervals.

Measures come flat, `auc` or `<threshold>.<rate>`, from `evaluation.measures` and, as replicates
(r,), from `bootstrap`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import binomial_interval
from pipeline.evaluation import bootstrap

PAPER = "paper_protocol"  # the name of the authors' threshold
WHOLE = ("auc", "ap_generated", "ap_photographic", "eer")  # measures without a threshold
ENDS = ("low", "high")  # of an interval
PAPER_RATES = ("accuracy", "false_alarm_rate", "detection_rate")
Flat = dict[str, float]
_CLASS = {
    "false_alarm_rate": "photographic",
    "detection_rate": "generated",
}  # whose faces a rate is about
_AGREE = "cannot be computed: all resamples agree on {:.3g}, so these faces do not show how much it varies"
Replicates = Mapping[
    str, np.ndarray
]  # by flat name, each (r,); those that cannot be computed are not there


class Counts(NamedTuple):
    """How many faces, or groups, of each class."""

    photographic: int
    generated: int


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`<threshold>.<rate>` as {threshold: {rate: ...}}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        first, _, rest = name.partition(".")
        if rest:
            tree.setdefault(first, {})[rest] = value
        else:
            tree[first] = value
    return tree


def flattened(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What `nested` was given."""
    return {
        f"{first}.{rest}" if rest else first: value
        for first, part in tree.items()
        for rest, value in (part.items() if isinstance(part, Mapping) else [("", part)])
    }


def intervals(
    values: Flat, replicates: Replicates, faces: Counts, groups: Counts
) -> tuple[dict[str, dict[str, float | None]], dict[str, str]]:
    """95 % intervals {"low": {name: ...}, "high": {name: ...}}, None where there is none, and why
    there is none.

    Percentiles of the replicates. Where all resamples agree, these would claim to know the measure
    exactly: a rate then gets the exact binomial interval (Clopper, Pearson 1934) with its groups as
    the trials, the accuracies that rest on it the worse and the better ends of both rates, and
    measures without a threshold none."""
    found = {name: bootstrap.interval(replicates[name]) for name in values if name in replicates}
    agreed = [name for name in found if bootstrap.agree(replicates[name])]
    for name in agreed:
        threshold, _, rate = name.partition(".")
        if rate in _CLASS:
            trials = getattr(groups, _CLASS[rate])
            found[name] = binomial_interval(values[name] * trials, trials, 0.95)
    for threshold in dict.fromkeys(
        name.partition(".")[0] for name in agreed if name.endswith(tuple(_CLASS))
    ):
        found |= _accuracies(threshold, found, faces)
    without = [name for name in agreed if name in WHOLE]
    for name in without:
        del found[name]
    low, high = (
        {name: found[name][end] if name in found else None for name in values} for end in (0, 1)
    )
    return {"low": low, "high": high}, {
        f"interval of {name}": _AGREE.format(values[name]) for name in without
    }


def _accuracies(
    threshold: str, found: Mapping[str, tuple[float, float]], faces: Counts
) -> dict[str, tuple[float, float]]:
    """Intervals of both accuracies, where there are intervals of both rates."""
    names = [f"{threshold}.{rate}" for rate in _CLASS]
    if not set(names) <= set(found):
        return {}
    (fewest, most), (least, best) = (found[name] for name in names)  # false alarms; detections
    share = faces.photographic / (faces.photographic + faces.generated)
    return {
        f"{threshold}.{name}": (
            weight * (1 - most) + (1 - weight) * least,
            weight * (1 - fewest) + (1 - weight) * best,
        )
        for name, weight in (("accuracy", share), ("balanced_accuracy", 0.5))
    }


def table(
    contents: Mapping[str, Mapping[str, Any]], replicates: Mapping[str, Replicates]
) -> dict[str, dict[str, Any]]:
    """Content of metrics/evaluation.json, from each generator's metrics and replicates.

    The mean's interval is that of the replicates' mean: they are paired by the photographs that all
    generators share. Where a generator's all agree, the ends of its own interval stand for them. It
    is None where one generator has none. "worst" has the lowest AUC. Raises PipelineError where the
    generators met different photographs, or were judged at different rates or with different
    numbers of resamples."""
    values = {name: flattened(content["values"]) for name, content in contents.items()}
    _check(contents, values, replicates)
    ends = {
        name: {end: flattened(content[end]) for end in ENDS} for name, content in contents.items()
    }
    rows = {}
    for name, content in contents.items():
        counts = {key: content[key] for key in ("generated_faces", "photographic_faces")}
        rows[name] = counts | _row(values[name], ends[name])
    worst = min(rows, key=lambda name: rows[name]["auc"])
    flat = list(values.values())
    means = {name: sum(one[name] for one in flat) / len(flat) for name in flat[0]}
    rows["mean"] = _row(means, {end: _mean_ends(end, means, ends, replicates) for end in ENDS})
    rows["worst"] = {
        "generator": worst,
        **{key: rows[worst][key] for key in ("auc", "auc_low", "auc_high")},
    }
    return rows


def _mean_ends(
    end: str,
    names: Iterable[str],
    ends: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    replicates: Mapping[str, Replicates],
) -> dict[str, float | None]:
    """One end ("low" or "high") of the interval of each measure's unweighted mean over the
    generators.
    """
    found: dict[str, float | None] = {}
    for name in names:
        known = {generator: own[end].get(name) for generator, own in ends.items()}
        if None in known.values():
            found[name] = None
            continue
        columns = [replicates[generator][name] for generator in known]
        agreed = [bootstrap.agree(column) for column in columns]
        moved = [
            np.full_like(c, at) if same else c
            for c, at, same in zip(columns, known.values(), agreed, strict=True)
        ]
        found[name] = bootstrap.interval(np.mean(moved, axis=0))[ENDS.index(end)]
    return found


def _row(values: Flat, ends: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """The measures without a threshold; for each threshold the rates; intervals of the AUC and of
    the detection rates.
    """
    row: dict[str, Any] = {}
    for name, value in values.items():
        threshold, _, rate = name.partition(".")
        if threshold == PAPER and rate not in PAPER_RATES:
            continue
        row[name] = value
        if name == "auc" or (rate == "detection_rate" and threshold != PAPER):
            row |= {f"{name}_{end}": ends[end][name] for end in ENDS}
    return nested(row)


def _check(
    contents: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Flat],
    replicates: Mapping[str, Replicates],
) -> None:
    def differ(what: str, found: Sequence[object]) -> None:
        if any(one != found[0] for one in found):
            raise PipelineError(
                f"the generators were not evaluated {what} ({', '.join(sorted(contents))}): run "
                "`dvc repro`, which evaluates "
                "again what is out of date"
            )

    differ(
        "against the same photographs",
        [content["photographic_list_sha256"] for content in contents.values()],
    )
    differ("at the same false alarm rates", [set(flat) for flat in values.values()])
    lengths = {array.shape for found in replicates.values() for array in found.values()}
    differ("with the same number of resamples", sorted(lengths))
