"""Seconds of every stage of one whole `dvc repro`: `python -m benchmarks.stages`.

In a temporary clone of the last commit, with a DVC cache of its own, so that everything runs. Then
`dvc repro` again, and after a change of the mixture. Needs two quiet cores to mean anything."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.base import command_line, terminal

ROOT = Path(__file__).resolve().parents[1]
RUNNING = re.compile(r"Running stage '(.+)'")


def environment() -> dict[str, str]:
    """For dvc: stages call `python`, which is to be this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def run(folder: Path, *arguments: str) -> Iterator[tuple[str, float]]:
    """Name and seconds of each stage of a dvc command, then of the whole."""
    command = [sys.executable, "-u", "-m", "dvc", *arguments]
    begun = started = time.perf_counter()
    stage = "before the first stage"
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if match := RUNNING.match(line):
                now = time.perf_counter()
                yield stage, now - started
                stage, started = match[1], now
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    yield stage, time.perf_counter() - started
    yield "whole", time.perf_counter() - begun


def main(argv: list[str] | None = None) -> None:
    """Print the three tables."""
    command_line.parser(__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        for title, *arguments in (
            ("from nothing", "repro"),
            ("again, nothing changed", "repro"),
            ("gmm.input=heads", "exp", "run", "-S", "gmm.input=heads"),
        ):
            rows = [{"stage": stage, "s": round(s, 1)} for stage, s in run(folder, *arguments)]
            terminal.table(rows, f"dvc {' '.join(arguments)}: {title}")


if __name__ == "__main__":
    terminal.run(main)
