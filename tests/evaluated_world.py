"""A mixture, thresholds, features and pictures for evaluate, and a run of it."""

import json

import numpy as np
import pytest
from PIL import Image

from pipeline.common import artifacts
from pipeline.density.mixture import Mixture
from pipeline.stages import evaluate

PARAMS = """
seed: 3
data: {root: ., person_pattern: '^([^_]+)_'}
evaluation: {histogram_bins: 12, faces_shown: 3}
bootstrap: {resamples: 150}
"""
MIXTURE = Mixture(
    "spherical", np.zeros(2), np.ones(2), np.zeros((0, 2)), np.ones(1), np.zeros((1, 2)), np.ones(1)
)
RATES = {"at_1_percent": 6.2, "at_5_percent": 4.5}
THRESHOLD = {
    "rates": {key: {"threshold": threshold} for key, threshold in RATES.items()},
    "review": "at_5_percent",
    "flag": "at_1_percent",
    "paper_protocol": {"threshold": 3.0},
}
HEADS = ("iso", "f_number", "exposure_time_s", "focal_length_mm", "manipulation")


def write_faces(name, features):
    """Two pictures of each person: data/<name>/007_1.png."""
    features = np.asarray(features, dtype=np.float32).reshape(-1, 2)
    names = np.array([f"data/{name}/{i // 2:03d}_{i % 2}.png" for i in range(len(features))])
    heads = (
        np.random.default_rng(len(features))
        .normal(1, 2, size=(len(features), 5))
        .astype(np.float32)
    )
    artifacts.write_npz(
        f"{name}.npz", names=names, features=features, heads=heads, source_sha256=names
    )
    return names


@pytest.fixture
def world(tmp_path, monkeypatch):
    """200 photographs from the mixture itself; two generators from a wider normal, with pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    artifacts.write_npz("gmm.npz", **MIXTURE.to_arrays())
    artifacts.write_json("threshold.json", THRESHOLD)
    calibrated = np.sort(MIXTURE.anomaly_score(np.random.default_rng(9).normal(size=(150, 2))))
    write_calibration(calibrated, np.full(5, 2.0))
    write_faces("photographs", np.random.default_rng(0).normal(size=(200, 2)))
    for seed, name in enumerate(("sim_a", "sim_b")):
        names = write_faces(name, 2 * np.random.default_rng(seed + 1).normal(size=(40, 2)))
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, face in enumerate(names):
            Image.new("RGB", (24, 24), (number, 0, 0)).save(tmp_path / face)
    return tmp_path


def write_calibration(scores, deviations):
    artifacts.write_npz(
        "calibration.npz", scores=scores, head_means=np.ones(5), head_deviations=deviations
    )


def run(name="sim_a"):
    inputs = [
        "--gmm",
        "gmm.npz",
        "--threshold",
        "threshold.json",
        "--calibration",
        "calibration.npz",
    ]
    inputs += ["--photographs", "photographs.npz", "--root", "."]
    outputs = {
        "metrics": "json",
        "roc": "roc.csv",
        "histogram": "histogram.csv",
        "pictures": "png",
        "scores": "parquet",
    }
    outputs["bootstrap"] = "bootstrap.npz"
    named = [part for option, end in outputs.items() for part in (f"--{option}", f"{name}.{end}")]
    evaluate.main(["--generator", name, "--features", f"{name}.npz", *inputs, *named])
    return json.loads(open(f"{name}.json").read())
