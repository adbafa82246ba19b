"""Which figures in metrics/ were measured of a model: dvc.lock knows them by their hashes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base import params
from pipeline.common import artifacts

# By metrics file the stages that tie it to a model, with the files that they read or wrote.
TIED_BY: dict[str, dict[str, tuple[str, ...]]] = {
    "pretext": {"train_pretext@encoder": ("models/encoder.safetensors", "metrics/pretext.json")},
    "evaluation": {
        "extract_photographs@fit": ("models/encoder.safetensors",),
        "evaluate": (
            "models/gmm.npz",
            "models/threshold.json",
            "models/calibration.npz",
            "metrics/evaluation.json",
        ),
    },
}


class Measurements(NamedTuple):
    """Contents of metrics files by name, and for the others why they are left out."""

    contents: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]


def read(models: Path, metrics: Path, lock: Path) -> Measurements:
    """The figures of the model in a folder; none where nothing says that they are of this one.

    lock: the dvc.lock of the run that wrote model and metrics."""
    locked = params.read_yaml(lock) if lock.is_file() else {}
    stages = locked.get("stages") or {}  # `stages:` without any is null
    folders = {"models": models, "metrics": metrics}
    contents, left_out = {}, {}
    for name, ties in TIED_BY.items():
        path = metrics / f"{name}.json"
        hashes = {
            file: _hashes(stages.get(stage)).get(file) for stage, of in ties.items() for file in of
        }
        here = {file: folders[file.split("/")[0]] / Path(file).name for file in hashes}
        if not path.is_file():
            left_out[name] = f"there is no {path.name}"
        elif all(_md5(here[file]) == recorded for file, recorded in hashes.items()):
            contents[name] = artifacts.read_json(path)
        else:
            left_out[name] = f"{lock.name} does not say that {path.name} is of this model"
    return Measurements(contents, left_out)


def _hashes(stage: Mapping[str, Any] | None) -> dict[str, str]:
    """MD5 of a stage's files by their paths."""
    entries = [*(stage or {}).get("deps", ()), *(stage or {}).get("outs", ())]
    return {entry["path"]: str(entry.get("md5")) for entry in entries}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
