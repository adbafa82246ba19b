"""Running experiments with dvc, each in a copy of the repository, and reading what they wrote.

What is not committed goes with them, as `dvc exp run --temp` has it. Finished stages come from
DVC's run cache, so that experiments that were interrupted continue with the stage they were in."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import stages
from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Params

PARAMS = "params.yaml"
SAMPLE = "data/sample"  # which data/dvc.yaml makes in the copies too
LAST = 6  # lines that a failed experiment said


def check(changes: Iterable[Mapping[str, Any]]) -> None:
    """Stop before anything runs where parameters are wrong, or a copy would lack the data."""
    for changed in changes:
        tree = params.read_yaml(PARAMS)
        for key, value in changed.items():
            *sections, name = key.split(".")
            part = tree
            for section in sections:
                part = part.setdefault(section, {})
            part[name] = value
        root = params.validate(
            tree, f"{PARAMS} with {dict(changed)}", Params.model_fields
        ).data.root
        if not (Path(root).is_absolute() or root == SAMPLE or git("ls-files", root)):
            raise PipelineError(
                f"{PARAMS}: data.root = {root} is not in git, so that the copies which experiments "
                f"run in would lack it: set data.root to the absolute path {Path(root).resolve()}"
            )


def run(name: str, changes: Mapping[str, Any], *targets: str) -> str:
    """Run an experiment up to some stages; the SHA of its commit.

    Takes the place of one that the last commit has under this name. PipelineError with the last
    lines that dvc and the stage said where it fails."""
    head = git("rev-parse", "HEAD")
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    if git("for-each-ref", ref):
        git("update-ref", "-d", ref)
    values = [f"--set-param={key}={value}" for key, value in changes.items()]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
    done = subprocess.run(
        [*command, *values, *targets],
        env=stages.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-LAST:])
        raise PipelineError(f"experiment {name} ended with {done.returncode}:\n{said}")
    return git("rev-parse", ref)


def read(revision: str, path: str) -> bytes:
    """A file of an experiment, from git or from DVC's cache."""
    from dvc.api import DVCFileSystem

    content: bytes = DVCFileSystem(rev=revision).read_bytes(path)
    return content


def fetch(revision: str, paths: Iterable[str], folder: Path) -> None:
    """Write files of an experiment below a folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(read(revision, path))


def origin() -> str:
    """The commit that experiments start from, and whether more than it goes with them."""
    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD")[:8] + (", with changes not committed" if changed else "")


def git(*arguments: str) -> str:
    """What git prints; PipelineError with its own words where it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()
