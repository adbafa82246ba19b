"""Fuzz readers of files that come from elsewhere: make fuzz, or python -m tests.fuzz [TARGET ...].

Each target runs in a process of its own, which is started again where an input ends it. Prints a
table; exit status 1 where something was found. Inputs and tracebacks lie in <folder>/<target>/
findings; the corpus stays there for the next time."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base import terminal
from tests.fuzz.table import TARGETS


def main(argv: Sequence[str] | None = None) -> None:
    """Run the targets one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=600, help="of each target")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="of all that is kept")
    options = parser.parse_args(argv)
    if unknown := sorted({*options.targets}.difference(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}")
    rows, found = list[dict[str, Any]](), list[str]()
    for name in options.targets or TARGETS:
        row, kinds = fuzz(name, options.folder / name, options.seconds)
        rows.append(row)
        found += [f"{name}: {kind}" for kind in kinds]
    terminal.table(rows, f"{options.folder}: inputs that were tried")
    print("\n".join(found) or "nothing was found")
    raise SystemExit(bool(found))


def fuzz(name: str, folder: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Fuzz a target for so long; a row of the table, and what was found."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("told-*"), *folder.glob("ended-*"), *folder.glob("findings/*")]:
        old.unlink()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIPELINE_WORKERS": "1"}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 1:
        command = [sys.executable, "-m", "tests.fuzz.worker", name, str(folder.resolve())]
        with (folder / "log").open("ab") as log:
            run = [*command, str(left)]
            subprocess.run(run, check=False, stdout=log, stderr=log, env=environment)
    told = [json.loads(path.read_text()) for path in folder.glob("told-*.json")]
    ended = sorted(path.name for path in folder.glob("ended-*"))
    kinds = [f"{kind}: {cause}" for one in told for kind, cause in one["findings"].items()]
    kinds = [*dict.fromkeys(kinds), *ended]
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
    main()
