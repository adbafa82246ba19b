"""Made-up features of few faces, all that the stage `audit` reads, and what it writes of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.common.names import HEADS, PHOTOGRAPHIC
from pipeline.density.density import fit_density
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.file_formats import FileFormat
from pipeline.stages import audit

FIT, CALIBRATION, TEST = PHOTOGRAPHIC
GENERATORS = ("sim_a", "sim_b")
SPREADS = {FIT: 1.0, CALIBRATION: 1.0, TEST: 1.0, "sim_a": 2.0, "sim_b": 1.4}
GMM: Any = {
    **{"components": 1, "covariance_type": "full", "standardise": True, "pca_components": 0},
    **{"regularisation": 1e-6, "maximum_iterations": 50, "tolerance": 1e-3, "starts": 1},
    "device": "cpu",
    **{"shrinkage": "none", "residual": False, "input": "features"},
}
UPPER = {**GMM, "sides": "upper"}
PLAIN = {name: value for name, value in GMM.items() if name != "input"}  # of one mixture
PARAMS = f"""
seed: 3
gmm: {GMM}
bootstrap: {{resamples: 100}}
""".replace("True", "true").replace("False", "false")
OPTIONS = ["--features", "features", "--variants", "variants", "--gmm", "gmm.npz"]
OPTIONS += ["--threshold", "threshold.json", "--curves", "curves.csv", "--output"]
NAMES = ("robustness", "confounds", "controls")
JPEG = FileFormat("JPEG", 28, 28, 80, "4:2:0", False, 0.4)
PNG = FileFormat("PNG", 30, 28, None, None, False, 2.0)


def faces(name, count):
    """Faces of one set, the generated ones farther out; photographs show each person twice."""
    rng = np.random.default_rng([*name.encode()])
    names = np.array([f"data/{name}/{i:03}" for i in range(count)])
    persons = np.array([f"{name} {i // 2}" for i in range(count)])
    features, heads = (rng.normal(0, SPREADS[name], (count, n)) for n in (4, len(HEADS)))
    return FeatureSet(name, names, names if "sim" in name else persons, features, heads, names)


def write_variant(folder, name, sets, change):
    changed = {s: replace(one, features=change(one.features)) for s, one in sets.items()}
    artifacts.write_npz(folder / f"variants/{name}.npz", **feature_sets.joined(changed))


def build(folder, sim_b=30):
    """All that the stage reads: as found, sim_b's files are PNG and those of all others JPEG."""
    (folder / "params.yaml").write_text(PARAMS)
    counts = dict.fromkeys(PHOTOGRAPHIC, 40) | {"sim_a": 30, "sim_b": sim_b}
    sets = {name: faces(name, count) for name, count in counts.items()}
    for name, one in sets.items():
        feature_sets.write(folder / f"features/{name}.npz", one)
    without = {name: one for name, one in sets.items() if name != CALIBRATION}
    tested = {name: one for name, one in without.items() if name != FIT}
    rng = np.random.default_rng(0)
    write_variant(folder, "perturbed/jpeg_40", tested, lambda x: 1.5 * x)
    write_variant(folder, "perturbed/blur_0.5", tested, lambda x: x)
    write_variant(folder, "harmonised", sets, lambda x: -2 * x)
    write_variant(folder, "random_weights", without, lambda x: rng.normal(size=x.shape))
    write_variant(folder, "shuffled_exif", without, lambda x: rng.normal(size=x.shape))
    details: dict[str, Any] = {
        "architecture": "native with all levels",
        "epochs": 5,
        "shuffled_epochs": 1,
    }
    details["harmonisation"] = {"side": 28, "kernel": "bicubic", "jpeg_quality": 80}
    details |= {"generators": [*GENERATORS], "perturbations": ["jpeg_40", "blur_0.5"]}
    artifacts.write_json(folder / "variants/details.json", details)
    rows = [
        {"set": name, "name": face, "state": state, **file._asdict()}
        for name, one in sets.items()
        for face in one.names
        for state, file in (("as_found", PNG if name == "sim_b" else JPEG), ("harmonised", JPEG))
    ]
    artifacts.write_table(folder / "variants/files.parquet", pd.DataFrame(rows))
    own = sets[FIT]
    density = fit_density(own.features, own.heads, own.persons, UPPER, 1).density
    artifacts.write_npz(folder / "gmm.npz", **density.to_arrays())
    scores = density.anomaly_score(sets[CALIBRATION].features, sets[CALIBRATION].heads)
    rates = {
        f"at_{percent}_percent": {
            "false_alarm_rate": percent / 100,
            "threshold": conformal_threshold(scores, percent / 100),
        }
        for percent in (10, 20)
    }
    threshold = {"rates": rates, "review": "at_20_percent", "flag": "at_10_percent"}
    artifacts.write_json(
        folder / "threshold.json", threshold | {"paper_protocol": {"threshold": 1.0}}
    )


def run():
    """The contents of the three files that the stage writes; controls by name."""
    audit.main([*OPTIONS, "out"])
    robustness, confounds, controls = (artifacts.read_json(f"out/{name}.json") for name in NAMES)
    return robustness, confounds, controls["detector"], by_name(controls)


def by_name(controls):
    return {row["name"]: row for row in controls["controls"]}


def change_components(folder, count):
    text = PARAMS.replace("'components': 1", f"'components': {count}")
    (folder / "params.yaml").write_text(text)
