"""What git has of two commits, as dvc tells it: metrics, parameters, and whether dvc.lock is
up to date."""

import json
import re
import subprocess
import sys
from typing import Any, NamedTuple

from pipeline.base.errors import PipelineError

UP_TO_DATE = "Data and pipelines are up to date."
_STALE = re.compile(
    r"^(?:Running stage|Stage) '(?:[^':]+:)?([^']+)'(?::| is cached)"
    r"|failed to reproduce '(?:[^':]+:)?([^']+)'",
    re.MULTILINE,
)


class Change(NamedTuple):
    """A figure or parameter of two commits, None where one lacks it."""

    base: Any
    head: Any


Changes = dict[str, Change]  # by file and name


def metrics(base: str | None, head: str) -> Changes:
    """All figures in the metrics files of both commits, changed or not, by file:name."""
    found = _diff("metrics", "--all", base or head, head)
    return found if base else {name: Change(None, c.head) for name, c in found.items()}


def parameters(base: str | None, head: str) -> Changes:
    """The parameters that differ, by name, those of other files than params.yaml by file:name."""
    changed = _diff("params", base, head) if base else {}
    return {name.removeprefix("params.yaml:"): change for name, change in changed.items()}


def stale_stages() -> list[str] | None:
    """Stages that `dvc repro` would run in the checkout; None where dvc.lock is up to date.

    dvc names the first ones only: what follows from them is not known before they ran. Read from
    its text, as its exit status says little: it ends with an error where a stage would run whose
    data are missing, and with 0 where a first stage is stale. Raises PipelineError where the text
    says neither."""
    done = _dvc("repro", "--dry", "--allow-missing")
    if UP_TO_DATE in done.stdout:
        return None
    named = (first or second for first, second in _STALE.findall(f"{done.stdout}\n{done.stderr}"))
    stages = list(dict.fromkeys(named))
    if not stages:
        raise PipelineError(f"`dvc repro --dry --allow-missing` failed: {done.stderr.strip()}")
    return stages


def _diff(kind: str, *arguments: str) -> Changes:
    done = _dvc(kind, "diff", "--json", *arguments)
    if done.returncode:
        raise PipelineError(f"`dvc {kind} diff` failed: {done.stderr.strip()}")
    sys.stderr.write(done.stderr)  # files that dvc could not read, which it leaves out
    files = json.loads(done.stdout)
    return {
        f"{file}:{name}": Change(values["old"], values["new"])
        for file in sorted(files)
        for name, values in sorted(files[file].items())
    }


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
