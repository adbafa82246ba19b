"""Measure the hot stages: `python -m benchmarks [module ...] [--quick]`; docs/speed.md explains it.

Each module runs in a process of its own, so that one's memory is not counted for another. Exit
status 1 if a module failed; --quick takes tiny sizes, which mean nothing."""

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import harness
from pipeline.base import command_line

MODULES = ("train_pretext", "extract_features", "fit_gmm", "detect", "read_pack")
CHILD = """
import importlib, json, pathlib, sys
rows = importlib.import_module("benchmarks." + sys.argv[1]).measure(quick=sys.argv[2] == "quick")
pathlib.Path(sys.argv[3]).write_text(json.dumps(rows))
"""


def run(module: str, quick: bool) -> list[harness.Row]:
    """The rows of one module, measured in a process of its own; CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, "-c", CHILD, module, "quick" if quick else "full", str(path)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        rows: list[harness.Row] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def run_all(modules: Sequence[str], quick: bool) -> tuple[list[harness.Row], list[str]]:
    """The rows of all modules, and the names of those that failed."""
    rows: list[harness.Row] = []
    failed: list[str] = []
    for module in modules:
        print(f"measuring {module}", file=sys.stderr)
        try:
            rows += run(module, quick)
        except subprocess.CalledProcessError:
            failed.append(module)
    return rows, failed


def machine() -> str:
    """The processor, its vector instructions and the versions that speed depends on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    instructions = torch.backends.cpu.get_cpu_capability()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn"))
    cpu = f"{len(names)} x {names[0] if names else platform.machine()}, {instructions}"
    return f"{cpu}, {gpu}; Python {platform.python_version()}, {packages}"


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = command_line.parser(__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.modules) - set(MODULES)):
        parser.error(f"no such module: {', '.join(unknown)}")
    rows, failed = run_all(options.modules or MODULES, options.quick)
    print(machine())
    harness.show(rows)
    for module in failed:
        print(f"error: benchmarks.{module} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
