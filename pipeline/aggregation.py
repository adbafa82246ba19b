"""The measures of all generators as one small table: each generator, their mean and the worst, with 95 % intervals.

Measures come flat, `auc` or `<threshold>.<rate>`, from `evaluation.measures` and, as replicates (r,), from `bootstrap`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline import bootstrap
from pipeline.errors import PipelineError

PAPER = "paper_protocol"  # the name of the authors' threshold
WHOLE = ("auc", "ap_generated", "ap_photographic", "eer")  # measures without a threshold
PAPER_RATES = ("accuracy", "false_alarm_rate", "detection_rate")
Flat = dict[str, float]
Replicates = Mapping[str, np.ndarray]  # by flat name, each (r,); those that cannot be computed are not there


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


def intervals(names: Iterable[str], replicates: Replicates) -> dict[str, dict[str, float | None]]:
    """{"low": {name: ...}, "high": {name: ...}}; None where there are no replicates."""
    found = {name: bootstrap.interval(replicates[name]) if name in replicates else (None, None) for name in names}
    return {"low": {name: ends[0] for name, ends in found.items()}, "high": {name: ends[1] for name, ends in found.items()}}


def table(contents: Mapping[str, Mapping[str, Any]], replicates: Mapping[str, Replicates]) -> dict[str, dict[str, Any]]:
    """Content of metrics/evaluation.json, from each generator's metrics and replicates.

    The mean's interval is that of the replicates' mean: they are paired by the photographs that all generators share. It is
    None where one generator has none. "worst" has the lowest AUC. Raises PipelineError where the generators met different
    photographs, or were judged at different rates or with different numbers of resamples.
    """
    values = {name: flattened(content["values"]) for name, content in contents.items()}
    _check(contents, values, replicates)
    rows = {}
    for name, content in contents.items():
        counts = {key: content[key] for key in ("generated_faces", "photographic_faces")}
        rows[name] = counts | _row(values[name], replicates[name])
    worst = min(rows, key=lambda name: rows[name]["auc"])
    rows["mean"] = _row(*_mean(list(values.values()), list(replicates.values())))
    rows["worst"] = {"generator": worst, **{key: rows[worst][key] for key in ("auc", "auc_low", "auc_high")}}
    return rows


def _mean(values: Sequence[Flat], replicates: Sequence[Replicates]) -> tuple[Flat, Replicates]:
    """Unweighted means over generators, of each measure and of each of its replicates that all generators have."""
    means = {name: sum(flat[name] for flat in values) / len(values) for name in values[0]}
    common = [name for name in means if all(name in found for found in replicates)]
    return means, {name: np.mean([found[name] for found in replicates], axis=0) for name in common}


def _row(values: Flat, replicates: Replicates) -> dict[str, Any]:
    """The measures without a threshold; for each threshold the rates; intervals of the AUC and of the detection rates."""
    row: dict[str, Any] = {}
    ends = intervals([name for name in values if name == "auc" or name.endswith(".detection_rate")], replicates)
    for name, value in values.items():
        threshold, _, rate = name.partition(".")
        if threshold == PAPER and rate not in PAPER_RATES:
            continue
        row[name] = value
        if name in ends["low"] and threshold != PAPER:
            row |= {f"{name}_{end}": found[name] for end, found in ends.items()}
    return nested(row)


def _check(contents: Mapping[str, Mapping[str, Any]], values: Mapping[str, Flat], replicates: Mapping[str, Replicates]) -> None:
    def differ(what: str, found: Sequence[object]) -> None:
        if any(one != found[0] for one in found):
            raise PipelineError(
                f"the generators were not evaluated {what} ({', '.join(sorted(contents))}): run `dvc repro`, which evaluates "
                "again what is out of date"
            )

    differ("against the same photographs", [content["photographic_list_sha256"] for content in contents.values()])
    differ("at the same false alarm rates", [set(flat) for flat in values.values()])
    lengths = {array.shape for found in replicates.values() for array in found.values()}
    differ("with the same number of resamples", sorted(lengths))
