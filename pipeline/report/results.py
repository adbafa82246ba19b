"""All that the stages have measured, read back from their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import CLEAN
from pipeline.common.artifacts import read_json

if TYPE_CHECKING:
    import pandas as pd

SIMULATED = "sim_"  # prefix of the generators that this repository simulates


@dataclass(frozen=True)
class Results:
    """Contents of data/ and metrics/; mappings by generator or perturbation are in the order of
    params.yaml. Attributes without a remark are JSON.
    """

    listing: dict[str, Any]  # face sets, and what was left out of them
    exif: dict[str, Any]
    manipulations: dict[str, Any]
    pretext: dict[str, Any]
    history: "pd.DataFrame"  # a row per epoch
    gmm: dict[str, Any]
    calibration: dict[str, Any]
    sizes: "pd.DataFrame"  # rate, faces, guarantee_low, guarantee_high, measured_*
    generators: dict[str, dict[str, Any]]  # measures with intervals, by generator
    table: dict[str, dict[str, Any]]  # by generator, and "mean" and "worst"
    roc: "pd.DataFrame"  # generator, fpr, tpr
    histograms: "pd.DataFrame"  # generator, low, high, photographic, generated
    robustness: dict[str, dict[str, Any]]  # by perturbation
    confounds: dict[str, Any]
    controls: dict[str, Any]
    explained: dict[str, list[dict[str, Any]]]  # by generator
    projection: "pd.DataFrame"  # set, x, y
    faces: dict[str, bytes]  # PNG by generator: most and least anomalous faces
    explanations: dict[str, bytes]  # PNG by generator: explained faces
    manipulated: bytes  # PNG: examples of the manipulations
    sample: bytes | None  # PNG of the simulated sample, if this run's generators are simulated

    @property
    def rates(self) -> dict[str, dict[str, Any]]:
        """What calibrate wrote about each chosen false alarm rate, by its key, ascending."""
        return dict(sorted(self.calibration["rates"].items(), key=lambda item: item[1]["chosen"]))

    @property
    def histories(self) -> dict[str, dict[str, Any]]:
        """Of each history the rates as photographs with it have them, as they are first."""
        every = self.calibration["histories"]
        return dict(sorted(every.items(), key=lambda item: (item[0] != CLEAN, item[0])))

    @property
    def headline(self) -> str:
        """Key of the rate of the headline figures: above its threshold a face is to be reviewed."""
        return str(self.calibration["review"])

    @property
    def simulated(self) -> list[str]:
        """The simulated generators; where there is one, the photographs are simulated too."""
        return [name for name in self.generators if name.startswith(SIMULATED)]


def read(
    data: Path, metrics: Path, generators: Sequence[str], perturbations: Sequence[str]
) -> Results:
    """Read everything. PipelineError where a file, a generator or a perturbation is missing."""
    evaluation, audit, explanations = data / "evaluation", data / "audit", data / "explanations"
    sample = metrics / "sample.png"
    simulated = any(name.startswith(SIMULATED) for name in generators)
    return Results(
        listing=read_json(data / "face_sets/listing.json"),
        exif=read_json(data / "faces/exif.json"),
        manipulations=read_json(data / "manipulated/manipulations.json"),
        pretext=read_json(data / "pretext.json"),
        history=_csv(metrics / "pretext_history.csv"),
        gmm=read_json(data / "gmm.json"),
        calibration=read_json(data / "calibration/calibration.json"),
        sizes=_csv(data / "calibration/sizes.csv"),
        generators=_in_order(evaluation / "generators.json", "generators", generators),
        table=read_json(evaluation / "table.json"),
        roc=_csv(metrics / "roc.csv"),
        histograms=_csv(evaluation / "histograms.csv"),
        robustness=_in_order(audit / "robustness.json", "perturbations", perturbations),
        confounds=read_json(audit / "confounds.json"),
        controls=read_json(audit / "controls.json"),
        explained=_in_order(explanations / "faces.json", "generators", generators),
        projection=_csv(explanations / "projection.csv"),
        faces={name: (evaluation / f"faces/{name}.png").read_bytes() for name in generators},
        explanations={name: (explanations / f"{name}.png").read_bytes() for name in generators},
        manipulated=(data / "manipulated/examples.png").read_bytes(),
        sample=sample.read_bytes() if simulated and sample.is_file() else None,
    )


def _in_order(path: Path, parameter: str, names: Sequence[str]) -> dict[str, Any]:
    """The entries `names` of a JSON object, in that order."""
    content = read_json(path)
    if missing := [name for name in names if name not in content]:
        raise PipelineError(
            f"{path}: no entry for {', '.join(missing)} of `{parameter}` in params.yaml; "
            "run `dvc repro`"
        )
    return {name: content[name] for name in names}


def _csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_csv(path)
    except ValueError as error:  # pandas' own errors are ValueErrors too
        problem = str(error).strip()
        raise PipelineError(f"{path}: {problem}; remove it and run `dvc repro`") from None
