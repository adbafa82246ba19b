"""A grid of experiments with several seeds each, as one table and one plot: `make experiments`.

A row is a set of values of params.yaml (benchmarks/grid.yaml); every row runs with the same seeds.
A seed draws the sample, splits and starting weights anew, so that intervals over seeds cover
training too: Student's t, of the values of a row and of its paired differences to the first row."""

import argparse
import json
import math
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import experiments, grid_plot
from pipeline.base import command_line, params, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError

METRICS = "metrics/evaluation.json"


class Interval(NamedTuple):
    """A mean over seeds with its 95 % interval, which one seed does not have."""

    mean: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        ends = "" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.mean:.3f}{ends}"


class Row(NamedTuple):
    """A row's values by seed, their mean, and the mean of the differences to the first row."""

    name: str
    values: list[float]
    over_seeds: Interval
    difference: Interval | None  # None for the first row


def main(argv: list[str] | None = None) -> None:
    """Run what is not in DVC's cache yet, and show the table."""
    options = _options(argv)
    seeds = list(dict.fromkeys(options.seeds))
    rows = params.read_yaml(options.grid)
    runs = {(row, s): {**rows[row], "seed": s} for row, s in product(rows, seeds)}
    experiments.check(runs.values())
    values: dict[str, list[float]] = {row: [] for row in rows}
    for (row, seed), changes in terminal.progress(runs.items(), what="grid", unit="experiment"):
        name = f"{re.sub(r'[^a-z0-9]+', '-', row.lower()).strip('-')}-seed-{seed}"
        revision = experiments.run(name, changes, "evaluate")
        values[row].append(measured(revision, options.measure))
        print(f"{name}: {options.measure} {values[row][-1]:.3f}", flush=True)
    table = summary(values)
    text = f"{markdown(table, options.measure, seeds)}\nCommit {experiments.origin()}.\n"
    print(text)
    with atomic(options.output.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    grid_plot.draw(options.output.with_suffix(".png"), table, options.measure)


def summary(values: dict[str, list[float]]) -> list[Row]:
    """The rows; values: of each row by seed, the seeds in one order."""
    first = next(iter(values.values()))
    return [
        Row(name, own, interval(own), interval(np.subtract(own, first)) if index else None)
        for index, (name, own) in enumerate(values.items())
    ]


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean and 95 % interval of Student's t; without the latter for one value."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Interval(mean)
    from scipy.stats import t

    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half)


def measured(revision: str, measure: str) -> float:
    """A number of metrics/evaluation.json, its keys joined by dots, as an experiment has it."""
    found: Any = json.loads(experiments.read(revision, METRICS))
    for key in measure.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, int | float):
        raise PipelineError(
            f"{METRICS} of {revision[:8]} has no number {measure!r}; name one that "
            "`dvc metrics show` has, such as mean.auc"
        )
    return float(found)


def markdown(rows: Sequence[Row], measure: str, seeds: Sequence[int]) -> str:
    """The table with what it says below."""
    lines = [["", measure, "difference to the first row", *(f"seed {seed}" for seed in seeds)]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        difference = "" if row.difference is None else _signed(row.difference)
        values = (f"{value:.3f}" for value in row.values)
        lines.append([row.name, str(row.over_seeds), difference, *values])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\nMeans over {len(seeds)} seeds; in brackets 95 % intervals (Student's t, "
        "differences paired by seed).\nOf twenty differences that are none, about one excludes 0.\n"
    )


def _signed(difference: Interval) -> str:
    ends = "" if difference.low is None else f" ({difference.low:+.3f} to {difference.high:+.3f})"
    return f"{difference.mean:+.3f}{ends}"


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    grid = Path(__file__).with_suffix(".yaml")
    parser.add_argument("--grid", type=Path, default=grid, help="YAML: rows of changed values")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--measure", default="mean.auc", help=f"a number of {METRICS}")
    parser.add_argument("--output", type=Path, default=Path("docs/grid"), help="of .md and .png")
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
