"""All that the stages have measured, read back and checked against params.yaml."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.common.artifacts import read_json

PHOTOGRAPHIC_SETS = ("photographic_fit", "photographic_calibration", "photographic_test")
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
    selection: Path
    selection_table: Path
    calibration: Path
    calibration_sizes: Path
    generators: Path
    evaluation: Path
    robustness: Path
    perturbed: Path
    confounds: Path
    controls: Path
    projection: Path
    explanations: Path
    roc: Path
    histograms: Path
    pictures: Path
    sheets: Sequence[Path]


@dataclass(frozen=True)
class Results:
    """The content of `Sources`; mappings by generator, face set or perturbation are in the order of
    params.yaml.
    """

    exif: dict[str, Any]
    tags: dict[str, Columns]
    manipulations: dict[str, Any]
    pretext: dict[str, Any]
    history: Columns
    features: dict[str, dict[str, Any]]
    gmm: dict[str, Any]
    selection: dict[str, Any]
    mixtures: list[
        dict[str, Any]
    ]  # rows of the selection's table; numbers, None in empty cells, covariance_type as text
    calibration: dict[str, Any]
    calibration_sizes: Columns
    metrics: dict[str, dict[str, Any]]  # by generator, with intervals
    evaluation: dict[str, dict[str, Any]]  # by generator, and "mean" and "worst"
    robustness: dict[str, dict[str, Any]]
    confounds: dict[str, Any]
    controls: dict[str, Any]
    projection: dict[str, Columns]
    explained: dict[str, list[dict[str, Any]]]
    explanations: dict[str, bytes]
    roc: dict[str, Columns]
    histograms: dict[str, Columns]
    pictures: dict[str, bytes]
    sheets: dict[str, bytes | None]  # by file name without suffix; None where there is no such file

    @property
    def generators(self) -> list[str]:
        """Names in the order of params.yaml."""
        return list(self.metrics)

    @property
    def simulated(self) -> list[str]:
        """The generators that this repository simulates; where there is one, so are the
        photographs.
        """
        return [name for name in self.generators if name.startswith("sim_")]

    @property
    def rates(self) -> dict[str, dict[str, Any]]:
        """What calibrate found for each chosen false alarm rate, by its key, ascending."""
        return dict(sorted(self.calibration["rates"].items(), key=lambda item: item[1]["chosen"]))

    @property
    def headline(self) -> str:
        """Key of the rate of the headline figures: above its threshold a face is to be reviewed."""
        return str(self.calibration["review"])


def read(sources: Sources, generators: Sequence[str], perturbations: Sequence[str]) -> Results:
    """Read everything. Raises PipelineError where a file is missing or made for another list.

    Files of other names are left aside: after a change of the lists, those of the old names still
    lie in git."""
    features, metrics, roc, histograms, pictures = per_set(
        (sources.features, ".json", [*PHOTOGRAPHIC_SETS, *generators]),
        (sources.generators, ".json", generators),
        (sources.roc, ".csv", generators),
        (sources.histograms, ".csv", generators),
        (sources.pictures, ".png", generators),
    )
    robustness = read_json(sources.robustness)
    if absent := set(perturbations) - set(robustness):
        raise PipelineError(
            f"{sources.robustness}: lacks {', '.join(sorted(absent))} of `perturbations`: run `dvc "
            "repro`"
        )
    explained = read_json(sources.explanations / "faces.json")
    found = Results(
        exif=read_json(sources.exif),
        tags=_by_first(sources.tags, "tag", "value_from", "value_to", "faces"),
        manipulations=read_json(sources.manipulations),
        pretext=read_json(sources.pretext),
        history=_numbers(sources.history),
        features={name: read_json(path) for name, path in features.items()},
        gmm=read_json(sources.gmm),
        selection=read_json(sources.selection),
        mixtures=_mixtures(sources.selection_table),
        calibration=read_json(sources.calibration),
        calibration_sizes=_numbers(
            sources.calibration_sizes, "rate", "faces", "guarantee_low", "guarantee_high"
        ),
        metrics={name: read_json(path) for name, path in metrics.items()},
        evaluation=read_json(sources.evaluation),
        robustness={name: robustness[name] for name in perturbations},
        confounds=read_json(sources.confounds),
        controls=read_json(sources.controls),
        projection=_by_first(sources.projection, "set", "x", "y"),
        explained=explained,
        explanations={
            name: _picture(sources.explanations / f"{name}.png")
            for name in generators
            if name in explained
        },
        roc={name: _numbers(path, "fpr", "tpr") for name, path in roc.items()},
        histograms={
            name: _numbers(path, "low", "high", "photographic", "generated")
            for name, path in histograms.items()
        },
        pictures={name: path.read_bytes() for name, path in pictures.items()},
        sheets={
            path.stem: path.read_bytes() if path.is_file() else None for path in sources.sheets
        },
    )
    _check(found, sources)
    return found


def _check(found: Results, sources: Sources) -> None:
    """Raise PipelineError where a file that holds all generators was made for another list of them."""
    parts: dict[Path, Mapping[str, Any]] = {
        sources.evaluation: {name: 0 for name in found.evaluation if name not in ("mean", "worst")},
        sources.confounds: found.confounds["harmonised"]["generators"],
        sources.explanations / "faces.json": found.explained,
    }
    about = [
        *parts.items(),
        *((sources.robustness, judged["generators"]) for judged in found.robustness.values()),
    ]
    for path, content in about:
        if set(content) != set(found.generators):
            raise PipelineError(
                f"{path}: is about {', '.join(sorted(content)) or 'no generators'}, but "
                "`generators` in params.yaml says "
                f"{', '.join(sorted(found.generators))}: run `dvc repro`"
            )


def per_set(*folders: tuple[Path, str, Sequence[str]]) -> list[dict[str, Path]]:
    """Per (folder, suffix, names) the file of each name. Raises PipelineError where one is missing."""
    found = [
        {name: folder / f"{name}{suffix}" for name in names} for folder, suffix, names in folders
    ]
    missing = sorted(
        path.as_posix() for paths in found for path in paths.values() if not path.is_file()
    )
    if missing:
        raise PipelineError(f"results are missing: {', '.join(missing)}. Make them: dvc repro")
    return found


def left_aside(sources: Sources, generators: Sequence[str], perturbations: Sequence[str]) -> str:
    """Which results have names that params.yaml does not have, so that the report leaves them
    aside; "" for none.
    """
    folders = (
        sources.features,
        sources.generators,
        sources.roc,
        sources.histograms,
        sources.pictures,
        sources.perturbed,
    )
    there = [
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if not path.name.startswith(".")
    ]
    old = ", ".join(
        sorted({path.stem for path in there} - {*PHOTOGRAPHIC_SETS, *generators, *perturbations})
    )
    return old and (
        f"left aside, as params.yaml does not have them: {old}. To delete such results: rm "
        "metrics/*/NAME.*; what looks at all "
        "sets or perturbations will run again"
    )


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
        raise PipelineError(
            f"{path}: expected rows with the columns {wanted}; remove it and run `dvc repro`"
        )
    try:
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
    except (TypeError, ValueError) as error:
        raise PipelineError(
            f"{path}: not all cells are numbers ({error}); remove it and run `dvc repro`"
        ) from None


def _by_first(path: Path, first: str, *needed: str) -> dict[str, Columns]:
    """Columns per value of the column `first`, in the order in which these come."""
    parts: dict[str, list[dict[str, str]]] = {}
    for row in _rows(path):
        parts.setdefault(row.pop(first, ""), []).append(row)
    return {name: _columns(part, path, needed) for name, part in parts.items()}


def _mixtures(path: Path) -> list[dict[str, Any]]:
    rows = _rows(path)
    if not rows:  # selection.components is []
        return []
    names = [row.pop("covariance_type", "") for row in rows]
    columns = _columns(
        rows, path, ("components", "pca_components", "bic", "held_out_log_likelihood")
    )
    lines = zip(*columns.values(), strict=True)
    return [
        {
            "covariance_type": name,
            **{
                key: None if isnan(value) else value
                for key, value in zip(columns, line, strict=True)
            },
        }
        for name, line in zip(names, lines, strict=True)
    ]


def _picture(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None
