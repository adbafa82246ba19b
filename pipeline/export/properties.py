"""What an exported file says of itself: JSON texts by name, among ONNX's metadata."""

import importlib.metadata
import json
import tomllib
from pathlib import Path
from typing import Any

from pipeline.detect.detector import Detector
from pipeline.detect.model import ENCODER
from pipeline.encoder.checkpoints import read_metadata
from pipeline.export.whole import LABELS

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
LIBRARIES = ("torch", "onnx", "onnxscript")  # that write the file


def properties(detector: Detector, models: Path, data_licence: str) -> dict[str, str]:
    """Of a detector of the folder `models`: params, versions, data_licence, thresholds, labels of
    the verdicts, and the detector's identity.
    """
    contents = {
        "params": {"encoder": read_metadata(models / ENCODER), "density": _density(detector)},
        "versions": _versions(),
        "data_licence": data_licence,
        "thresholds": _thresholds(detector),
        "labels": LABELS,
        "detector": detector.identity,
    }
    return {name: json.dumps(content, sort_keys=True) for name, content in contents.items()}


def _density(detector: Detector) -> dict[str, Any]:
    density = detector.model.density
    mixtures = {
        name: {
            "components": len(one.weights),
            "covariance_type": one.covariance_type,
            "features": one.features,
            "dimensions": one.dimensions,
        }
        for name, one in density.mixtures.items()
    }
    return {"sides": density.sides, "mixtures": mixtures}


def _thresholds(detector: Detector) -> dict[str, Any]:
    model, decisions = detector.model, detector.model.decisions
    return {
        "review": {"rate": model.rates.review, "score": decisions.thresholds[decisions.review]},
        "flag": {"rate": model.rates.flag, "score": decisions.thresholds[decisions.flag]},
        "calibration_photographs": model.calibration_faces,
        "histories": len(decisions.scores),
        "sides_in_pixels": model.sizes and [model.sizes.shortest, model.sizes.longest],
    }


def _versions() -> dict[str, str]:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {project["name"]: project["version"], **libraries}
