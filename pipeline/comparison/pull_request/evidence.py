"""How sure a change of the detection AUC is: paired where the scores of all faces can be read, else
from the committed figures alone."""

import math
from typing import Any, NamedTuple

from pipeline.base.errors import PipelineError
from pipeline.comparison import pairs
from pipeline.comparison.pairs import MEAN, WORST, Row
from pipeline.comparison.pull_request.committed import Change, Changes
from pipeline.comparison.revisions import read_scores

AUC, ENDS = "auc", ("auc_low", "auc_high")
SHORT = 10  # characters of a commit's SHA
FILE = "metrics/evaluation.json:"
TOLERANCE = 0.02  # of the mean AUC, where no interval is committed


class Evidence(NamedTuple):
    """The AUC of both commits, and what is known of its noise."""

    aucs: Changes  # of "mean", "worst" and every generator, in this order
    rows: list[Row]  # of the AUC, where the noise is known; none without results at the base
    remarks: list[str]  # what the rows rest on, what is left out


def covers(name: str) -> bool:
    """Whether a figure is one of those that evidence is made of."""
    return name.startswith(FILE) and name.rpartition(".")[2] in (AUC, *ENDS)


def gather(metrics: Changes, revisions: tuple[str | None, str], **draws: Any) -> Evidence:
    """Evidence from the scores of both revisions, or without them from their metrics.

    `draws`: resamples and seed of the bootstrap. Raises PipelineError where the head has no AUC."""
    aucs = _aucs(metrics)
    base, head = revisions[0] and revisions[0][:SHORT], revisions[1][:SHORT]
    mean = aucs.get(MEAN, Change(None, None))
    if mean.head is None:
        raise PipelineError(
            f"{FILE[:-1]} of {head} has no mean.auc: run `dvc repro`, commit dvc.lock and metrics"
        )
    if base is None or mean.base is None:
        return Evidence(aucs, [], [])
    try:
        paired = pairs.pair(read_scores(base), read_scores(head), ("the base", "the head"))
    except PipelineError as error:
        return _unpaired(aucs, metrics, str(error).partition(". ")[0])
    rows = [row for row in pairs.compare(paired, **draws) if row.measure == AUC]
    shared = {row.of: Change(row.a, row.b) for row in rows}
    return Evidence(aucs | shared, rows, paired.remarks)


def _aucs(metrics: Changes) -> Changes:
    found = {
        name.removeprefix(FILE).removesuffix(f".{AUC}"): change
        for name, change in metrics.items()
        if covers(name) and name.endswith(f".{AUC}")
    }
    first = {name: found[name] for name in (MEAN, WORST) if name in found}
    return first | found


def _unpaired(aucs: Changes, metrics: Changes, reason: str) -> Evidence:
    """Of the mean over the generators that both commits have.

    The noise is that of two sets of other faces, from the interval of each commit's own mean: more
    than a paired comparison has, so that a small drop passes."""
    shared = [change for name, change in aucs.items() if name not in (MEAN, WORST)]
    shared = [change for change in shared if None not in change]
    if not shared:
        raise PipelineError(
            "base and head have no generator in common: see params.yaml, generators"
        )
    mean = Change(*(math.fsum(values) / len(shared) for values in zip(*shared, strict=True)))
    noise, basis = _noise(metrics)
    difference = mean.head - mean.base
    row = Row(AUC, MEAN, *mean, difference, difference - noise, difference + noise)
    remark = f"Not paired by face: {reason}. From committed figures, {basis}."
    return Evidence(aucs | {MEAN: mean}, [row], [remark])


def _noise(metrics: Changes) -> tuple[float, str]:
    """Half the 95 % interval of a difference of two means, and what it is taken from."""
    ends = [metrics.get(f"{FILE}{MEAN}.{end}", Change(None, None)) for end in ENDS]
    halves = [(high - low) / 2 for low, high in zip(*ends, strict=True) if None not in (low, high)]
    if not halves:
        return TOLERANCE, f"which hold no interval: {TOLERANCE} is taken for the noise"
    return math.hypot(halves[0], halves[-1]), "as if each commit had been tested on other faces"
