"""All that the stages have measured, read back, checked against params.yaml, and averaged over the generators."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import read_json
from pipeline.errors import PipelineError

PHOTOGRAPHIC_SETS = ("photographic_fit", "photographic_calibration", "photographic_test")
COUNTS = ("generated_faces", "photographic_faces")
Columns = dict[str, list[float]]


@dataclass(frozen=True)
class Sources:
    """Where the stages wrote what; the fields are the command line's options."""

    exif: Path
    tags: Path
    manipulations: Path
    pretext: Path
    history: Path
    features: Path
    gmm: Path
    calibration: Path
    generators: Path
    roc: Path
    histograms: Path
    pictures: Path
    sheets: Sequence[Path]


@dataclass(frozen=True)
class Results:
    """The content of `Sources`; mappings by generator (or face set) are in the order of params.yaml."""

    exif: dict[str, Any]
    tags: dict[str, Columns]
    manipulations: dict[str, Any]
    pretext: dict[str, Any]
    history: Columns
    features: dict[str, dict[str, Any]]
    gmm: dict[str, Any]
    calibration: dict[str, Any]
    evaluation: dict[str, dict[str, Any]]
    roc: dict[str, Columns]
    histograms: dict[str, Columns]
    pictures: dict[str, bytes]
    sheets: dict[str, bytes | None]  # by file name without suffix; None where there is no such file

    @property
    def generators(self) -> list[str]:
        """Names in the order of params.yaml."""
        return list(self.roc)

    @property
    def simulated(self) -> list[str]:
        """The generators that this repository simulates; where there is one, so are the photographs."""
        return [name for name in self.generators if name.startswith("sim_")]


def read(sources: Sources, generators: Sequence[str]) -> Results:
    """Read everything. Raises PipelineError where per-generator files are not exactly those of `generators`."""
    features, evaluations, roc, histograms, pictures = per_set(
        (sources.features, ".json", [*PHOTOGRAPHIC_SETS, *generators]),
        (sources.generators, ".json", generators),
        (sources.roc, ".csv", generators),
        (sources.histograms, ".csv", generators),
        (sources.pictures, ".png", generators),
    )
    return Results(
        exif=read_json(sources.exif),
        tags=_by_tag(sources.tags),
        manipulations=read_json(sources.manipulations),
        pretext=read_json(sources.pretext),
        history=_numbers(sources.history),
        features={name: read_json(path) for name, path in features.items()},
        gmm=read_json(sources.gmm),
        calibration=read_json(sources.calibration),
        evaluation=evaluation({name: read_json(path) for name, path in evaluations.items()}, sources.generators),
        roc={name: _numbers(path, "fpr", "tpr") for name, path in roc.items()},
        histograms={name: _numbers(path, "low", "high", "photographic", "generated") for name, path in histograms.items()},
        pictures={name: path.read_bytes() for name, path in pictures.items()},
        sheets={path.stem: path.read_bytes() if path.is_file() else None for path in sources.sheets},
    )


def per_set(*folders: tuple[Path, str, Sequence[str]]) -> list[dict[str, Path]]:
    """Per (folder, suffix, names) the file of each name; PipelineError unless every folder holds exactly these files."""
    stale, missing = [], []
    for folder, suffix, names in folders:
        there = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
        wanted = {f"{name}{suffix}" for name in names}
        stale += sorted(f"{folder.as_posix()}/{name}" for name in there - wanted)
        missing += sorted(f"{folder.as_posix()}/{name}" for name in wanted - there)
    problems = []
    if stale:
        problems.append(f"stale, of no face set in `generators`. Delete them and run `dvc repro` again: rm {' '.join(stale)}")
    if missing:
        problems.append(f"missing: {', '.join(missing)}. Make them: dvc repro")
    if problems:
        raise PipelineError("metrics are not exactly those of `generators` in params.yaml\n  " + "\n  ".join(problems))
    return [{name: folder / f"{name}{suffix}" for name in names} for folder, suffix, names in folders]


def evaluation(metrics: Mapping[str, dict[str, Any]], source: str | Path) -> dict[str, dict[str, Any]]:
    """Numbers per generator and, as `mean`, their unweighted mean over generators (without the counts).

    Raises PipelineError where generators met different photographs, or do not have the same numbers.
    """
    lists = {name: content.get("photographic_list_sha256") for name, content in metrics.items()}
    if len(set(lists.values())) > 1:
        raise PipelineError(
            f"{source}: the generators were not evaluated against the same photographs ({', '.join(sorted(lists))}): run "
            "`dvc repro`, which evaluates again what is out of date"
        )
    table = {name: _numbers_only(content) for name, content in metrics.items()}
    try:
        return {**table, "mean": _mean(list(table.values()))}
    except (KeyError, TypeError) as error:
        raise PipelineError(f"{source}: not all generators have the number {error}: run `dvc repro evaluate`") from None


def _numbers_only(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _numbers_only(value) if isinstance(value, dict) else value
        for name, value in content.items()
        if isinstance(value, dict | int | float)
    }


def _mean(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: _mean([table[name] for table in tables])
        if isinstance(value, dict)
        else sum(table[name] for table in tables) / len(tables)
        for name, value in tables[0].items()
        if name not in COUNTS
    }


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None


def _numbers(path: Path, *needed: str) -> Columns:
    """Columns of a CSV file as numbers; an empty cell is NaN."""
    return _columns(_rows(path), path, needed)


def _columns(rows: list[dict[str, str]], path: Path, needed: Sequence[str]) -> Columns:
    if not rows or not set(needed) <= set(rows[0]):
        wanted = ", ".join(needed) or "(any)"
        raise PipelineError(f"{path}: expected rows with the columns {wanted}; remove it and run `dvc repro`")
    try:
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
    except (TypeError, ValueError) as error:
        raise PipelineError(f"{path}: not all cells are numbers ({error}); remove it and run `dvc repro`") from None


def _by_tag(path: Path) -> dict[str, Columns]:
    rows = _rows(path)
    parts: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        parts.setdefault(row.pop("tag", ""), []).append(row)
    return {name: _columns(part, path, ("value_from", "value_to", "faces")) for name, part in parts.items()}
