"""Fuzz readers of files that come from elsewhere: make fuzz, or python -m tests.fuzz [TARGET ...].

Each target runs in a process of its own, which is started again where an input ends it. Prints a
table; exit status 1 where something was found, or where a target could not be fuzzed. Inputs and
tracebacks lie in <folder>/<target>/findings; the corpus stays there for the next time."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base import command_line, terminal
from pipeline.base.errors import PipelineError
from tests.fuzz.table import TARGETS


def main(argv: Sequence[str] | None = None) -> None:
    """Run the targets one after the other; PipelineError where one cannot be fuzzed."""
    parser = command_line.parser(__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=600, help="of each target")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="of all that is kept")
    options = parser.parse_args(argv)
    if unknown := sorted({*options.targets}.difference(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}")
    rows, found = list[dict[str, Any]](), list[str]()
    try:
        for name in options.targets or TARGETS:
            row, kinds = fuzz(name, options.folder / name, options.seconds)
            rows.append(row)
            found += [f"{name}: {kind}" for kind in kinds]
    finally:  # also where a later target fails
        if rows:
            terminal.table(rows, f"{options.folder}: inputs that were tried")
        print("".join(f"{one}\n" for one in found), end="")
    if found:
        raise SystemExit(1)
    print("nothing was found")


def fuzz(name: str, folder: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Fuzz a target for so long; a row of the table, and what was found.

    PipelineError where a worker ends before the time is over and no input is to blame, or tries
    none."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("told-*", "ended-*", "findings/*", "log"):
        for old in folder.glob(pattern):
            old.unlink()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 1:
        before = _ended(folder)
        status = _work(name, folder, left)
        early = status != 0 or time.monotonic() < until
        if early and _ended(folder) == before:
            said = (folder / "log").read_text("utf-8", "replace").strip().rpartition("\n")[2]
            raise PipelineError(f"{name}: its worker ended with {status}: {said} ({folder}/log)")
    row, kinds = _result(name, folder)
    if not row["inputs"]:
        raise PipelineError(f"{name}: no input was tried in {seconds:g} seconds ({folder}/log)")
    return row, kinds


def _work(name: str, folder: Path, seconds: float) -> int:
    """Run a worker until the time is over or an input ends it; its exit status."""
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(folder.resolve())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIPELINE_WORKERS": "1"}
    with (folder / "log").open("ab") as log:
        run = [*command, str(seconds)]
        done = subprocess.run(run, check=False, stdout=log, stderr=log, env=environment)
    return done.returncode


def _ended(folder: Path) -> dict[str, int]:
    """The inputs that ended a worker, and when each was written: the same one may do it again."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("ended-*")}


def _result(name: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A row of the table, and what was found, as the workers told it."""
    told = [json.loads(path.read_text()) for path in folder.glob("told-*.json")]
    kinds = [f"{kind}: {cause}" for one in told for kind, cause in one["findings"].items()]
    kinds = [*dict.fromkeys(kinds), *sorted(_ended(folder))]
    count, took = (sum(one[key] for one in told) for key in ("inputs", "seconds"))
    outcomes = sum((Counter(one["outcomes"]) for one in told), Counter[str]())
    row = {
        "target": name,
        "inputs": count,
        "accepted": outcomes["accepted"],
        "seconds": round(took),
        "per second": round(count / max(took, 1)),
        "MiB": round(max([0, *(one["peak_mib"] for one in told)])),
        "slowest s": round(max([0, *(one["slowest_s"] for one in told)]), 2),
        "found": len(kinds),
    }
    return row, kinds


if __name__ == "__main__":
    terminal.run(main)
