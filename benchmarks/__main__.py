"""Measure the hot stages: `python -m benchmarks [module ...] [--quick]`.

Each module runs in a process of its own, so that one's memory is not counted for another. Prints a
Markdown table and writes benchmarks/results.json; with --quick (tiny sizes, no meaning) it writes
nothing. Exit status 1 if a module failed."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import harness
from pipeline.common import artifacts

MODULES = (
    *(
        "filter_exif",
        "shards",
        "manipulate_faces",
        "train_pretext",
        "extract_features",
        "fit_gmm",
        "evaluate",
        "robustness",
    ),
)
RESULTS = Path(__file__).parent / "results.json"
CHILD = """
import importlib, json, pathlib, sys
rows = importlib.import_module("benchmarks." + sys.argv[1]).measure(quick=sys.argv[2] == "quick")
pathlib.Path(sys.argv[3]).write_text(json.dumps(rows))
"""
Measure = Callable[[str, bool], list[harness.Row]]


def run(module: str, quick: bool) -> list[harness.Row]:
    """The rows of one module, measured in a process of its own; CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, "-c", CHILD, module, "quick" if quick else "full", str(rows)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        found: list[harness.Row] = json.loads(rows.read_text(encoding="utf-8"))
    return found


def run_all(
    modules: Sequence[str], quick: bool, measure: Measure = run
) -> tuple[list[harness.Row], list[str]]:
    """The rows of all modules, and the names of those that failed."""
    rows: list[harness.Row] = []
    failed: list[str] = []
    for module in modules:
        print(f"measuring {module}", file=sys.stderr)
        try:
            rows += measure(module, quick)
        except subprocess.CalledProcessError:
            failed.append(module)
    return rows, failed


def results(rows: Sequence[harness.Row], before: dict[str, Any]) -> dict[str, Any]:
    """What results.json says: new rows replace those of the same stage; stages not measured stay,
    if of this machine.

    A second row of one stage is told by its note.
    """
    stages: dict[str, Any] = {}
    for row in rows:
        name = f"{row['stage']}, {row['note']}" if row["stage"] in stages else row["stage"]
        stages[name] = {key: value for key, value in row.items() if key != "stage"}
    kept = before.get("stages", {}) if before.get("machine") == machine() else {}
    return {"machine": machine(), "stages": {**kept, **stages}}


def machine() -> dict[str, Any]:
    """The machine and the versions that speed depends on; nothing that names it."""
    import torch

    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "scikit-learn", "pillow")},
    }


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, where the system tells it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="module", help=f"of {', '.join(MODULES)}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that everything runs"
    )
    options = parser.parse_args(argv)
    unknown = sorted(set(options.modules) - set(MODULES))
    if unknown:
        parser.error(f"no such module: {', '.join(unknown)}")
    rows, failed = run_all(options.modules or MODULES, options.quick)
    harness.show(rows)
    if not options.quick:
        artifacts.write_json(
            RESULTS, results(rows, artifacts.read_json(RESULTS) if RESULTS.is_file() else {})
        )
    for module in failed:
        print(f"error: benchmarks.{module} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
