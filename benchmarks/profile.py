"""Where the time and the memory go, stage by stage.

    python -m benchmarks.profile sample [--params profiles/ci.yaml] [--project .] [--output
    rows.json]
    python -m benchmarks.profile scale [--faces 20000 200000] [--project .] [--output rows.json]

`sample` runs every stage of dvc.yaml, in order, on the simulated sample, in a temporary copy of the
project. `scale` runs the stages that see all faces on generated folders of these sizes: their peak
memory must not depend on it. Both measure another checkout with --project. Memory is of all
processes of a stage together, pages that they share counted once."""

import argparse
import graphlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import synthetic, watched
from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.base.params import read_yaml
from pipeline.common import artifacts

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "data", "models", "tmp", "cache", "__pycache__", ".*_cache", "dvc.lock"
)
# Small pictures for the encoder, since memory and input are looked at, not arithmetic; no limit on
# faces of the target domain.
SCALE: dict[str, dict[str, Any]] = {
    "data": {"person_pattern": ""},
    "split": {"calibration": 0.01},
    "pretext": {"input_size": 32, "epochs": 1, "batch_size": 256, "feature_dim": 64},
    "features": {"maximum_fit_faces": 10**9},
}
SCALE_STAGES = (
    "filter_exif",
    "manipulate_faces",
    "train_pretext",
    "extract_features_photographic@fit",
)
SETTLED_S = 3.0  # a shard not written to for so long is complete
HEADER_BYTES = 4096

Row = dict[str, Any]


def profile_sample(project: Path, parameters: dict[str, Any]) -> Iterator[Row]:
    """Usage of each stage of a sample run."""
    with tempfile.TemporaryDirectory() as name:
        folder = copied(project, Path(name) / "project", parameters)
        for stage, command in commands(folder).items():
            yield measured(stage, command, folder)


def profile_scale(
    project: Path, parameters: dict[str, Any], counts: Sequence[int]
) -> Iterator[Row]:
    """Usage of the stages that see all faces, for each number of faces, and faces a second."""
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / "root"
            synthetic.pretext(root, count)
            synthetic.portraits(root, count)
            changed = {
                key: {**parameters[key], **SCALE.get(key, {})} for key in parameters if key in SCALE
            }
            changed["data"]["root"] = str(root)
            folder = copied(project, Path(name) / "project", {**parameters, **changed})
            all_commands = commands(folder)
            for stage in SCALE_STAGES:
                row = measured(
                    stage, all_commands[stage], folder, meanwhile=hole_puncher(folder / "data")
                )
                yield {"faces": count, **row, "faces_per_s": round(count / row["wall_s"])}


def copied(project: Path, folder: Path, parameters: dict[str, Any]) -> Path:
    """The project without data, models and results, with these parameters."""
    shutil.copytree(project, folder, ignore=LEFT_OUT)
    for name in ("data", "models"):
        (folder / name).mkdir()
    (folder / "params.yaml").write_text(json.dumps(parameters), encoding="utf-8")  # JSON is YAML
    return folder


def commands(folder: Path) -> dict[str, str]:
    """The command of every stage, each after those that it needs."""
    from dvc.repo import Repo

    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc/config").write_text(
        "[core]\n    no_scm = true\n    analytics = false\n", encoding="utf-8"
    )
    with Repo(str(folder)) as repo:
        graph = repo.index.graph
        order = graphlib.TopologicalSorter(
            {stage: sorted(graph.successors(stage), key=str) for stage in graph}
        )
        return {stage.name: stage.cmd for stage in order.static_order()}


def measured(
    stage: str, command: str, folder: Path, meanwhile: Callable[[], object] = lambda: None
) -> Row:
    """One row; PipelineError with the output of a command that failed."""
    usage = watched.run(["sh", "-c", command], folder, meanwhile)
    if usage.status:
        raise PipelineError(f"{stage}: exit status {usage.status}\n{usage.output}")
    figures = {
        key: round(value, 2) for key, value in usage._asdict().items() if isinstance(value, float)
    }
    return {"stage": stage, **figures}


def hole_puncher(folder: Path) -> Callable[[], None]:
    """Gives the disk space of complete shards back: their pixels become zeros, which cost the
    stages after them as much.
    """
    done: set[int] = set()  # inodes: a folder moves to its final place

    def punch() -> None:
        for path in folder.rglob("pixels-*.npy"):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # just moved
            length = state.st_size - HEADER_BYTES
            if state.st_ino not in done and length > 0 and time.time() - state.st_mtime > SETTLED_S:
                command = [
                    "fallocate",
                    "--punch-hole",
                    "--offset",
                    str(HEADER_BYTES),
                    "--length",
                    str(length),
                    str(path),
                ]
                subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
                done.add(state.st_ino)

    return punch


def main(argv: list[str] | None = None) -> None:
    """Print one row per stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("sample", "scale"))
    parser.add_argument("--project", type=Path, default=Path(), help="checkout to measure")
    parser.add_argument(
        "--params", type=Path, help="parameters of the run (the project's params.yaml)"
    )
    parser.add_argument(
        "--faces",
        type=int,
        nargs="+",
        default=[20_000, 200_000],
        help="sizes of the generated folders",
    )
    parser.add_argument("--output", type=Path, help="JSON file for the rows")
    options = parser.parse_args(argv)
    project = options.project.resolve()
    parameters = read_yaml(options.params or project / "params.yaml")
    rows: list[Row] = []
    profile = (
        profile_scale(project, parameters, options.faces)
        if options.what == "scale"
        else profile_sample(project, parameters)
    )
    for row in profile:
        rows.append(row)
        print(
            "  ".join(
                f"{key} {value:,}" if isinstance(value, float | int) else value
                for key, value in row.items()
            ),
            flush=True,
        )
        if options.output:
            artifacts.write_json(options.output, rows)


if __name__ == "__main__":
    terminal.run(main)
