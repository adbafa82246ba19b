"""A small world on disk for stages that read several sets and their pictures: encoder, features,
mixture, thresholds.
"""

from collections.abc import Container
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.density import fitting as density
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from pipeline.extraction import features

PATTERN = "^([^_]+)_"
SIDE = 32  # of the encoder's input
GMM: Any = dict(
    components=1,
    covariance_type="full",
    standardise=True,
    pca_components=0,
    regularisation=1e-6,
    maximum_iterations=50,
    tolerance=1e-3,
    starts=1,
    device="cpu",
)
PEOPLE = {
    "photographic_fit": range(20),
    "photographic_calibration": range(20, 40),
    "photographic_test": range(40, 52),
}
GENERATED = 16  # faces of each generator
EPOCHS = 5  # for which the encoder says it was trained
PARAMS = f"""
seed: 3
data: {{root: root, person_pattern: '{PATTERN}'}}
features: {{resize: bilinear, antialias: true, batch_size: 4, device: cpu, precision: float32, maximum_unreadable_share: 0.1,
  maximum_fit_faces: 1000, maximum_faces: 1000}}
gmm: {{components: 1, covariance_type: full, standardise: true, pca_components: 0, regularisation: 1e-6,
  maximum_iterations: 50, tolerance: 1e-3, starts: 1, device: cpu}}
calibration: {{false_alarm_rates: [0.1, 0.2], review_rate: 0.2, flag_rate: 0.1, curve_draws: 10}}
evaluation: {{histogram_bins: 10, faces_shown: 2}}
bootstrap: {{resamples: 200}}
robustness: {{faces: 1000}}
harmonisation: {{side: 28, kernel: bicubic, jpeg_quality: 80}}
controls: {{fit_faces: 1000, faces: 1000}}
shuffled: {{epochs: 1}}
generators: [sim_blurred, sim_noisy]
perturbations: []
"""


def picture(seed: int, side: int = 36) -> Image.Image:
    """Coloured patches with some noise."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return Image.fromarray(
        (np.asarray(patches) + rng.normal(0, 6, (side, side, 3))).clip(0, 255).astype(np.uint8)
    )


def build(folder: Path) -> dict[str, list[str]]:
    """Everything below `folder`, and the names of each set's pictures: photographs are JPEG,
    generated faces PNG.
    """
    (folder / "params.yaml").write_text(PARAMS)
    root, sets = folder / "root", {}
    for name, people in PEOPLE.items():
        sets[name] = [
            f"data/celeba-face/{person:03}_{k}.jpg" for person in people for k in range(2)
        ]
    for name in ("sim_blurred", "sim_noisy"):
        sets[name] = [f"data/{name}/{i:02}.png" for i in range(GENERATED)]
    for number, face in enumerate(face for names in sets.values() for face in names):
        path = root / face
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(number)
        if "blurred" in face:
            image = image.filter(ImageFilter.GaussianBlur(2))
        if "noisy" in face:
            noise = np.random.default_rng(number + 10_000).normal(0, 30, (36, 36, 3))
            image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
        image.save(path, quality=92)  # PNG has none
    encoder = Encoder("resnet10", 6, seed=1)
    save_encoder(
        folder / "encoder.safetensors",
        encoder,
        {"input_size": SIDE, "params": {"pretext": {"epochs": EPOCHS}}},
    )
    for name, names in sets.items():
        found = features.extract(encoder, SIDE, root, names, settings())
        arrays = {
            "names": found.names,
            "features": found.features,
            "heads": found.heads,
            "source_sha256": found.sha256,
        }
        write_set(folder, name, arrays)
    fit, calibration = (
        read_features(folder, name) for name in ("photographic_fit", "photographic_calibration")
    )
    mixture = density.fit(fit, **GMM, seed=1).mixture
    artifacts.write_npz(folder / "gmm.npz", **mixture.to_arrays())
    scores = mixture.anomaly_score(calibration)
    rates = {"at_10_percent": 0.1, "at_20_percent": 0.2}
    found_rates = {
        key: {"false_alarm_rate": rate, "threshold": conformal_threshold(scores, rate)}
        for key, rate in rates.items()
    }
    artifacts.write_json(
        folder / "threshold.json",
        {"rates": found_rates, "review": "at_20_percent", "flag": "at_10_percent"},
    )
    return sets


def settings() -> Any:
    """The features section of PARAMS."""
    return SimpleNamespace(
        resize="bilinear", antialias=True, batch_size=4, device="cpu", precision="float32"
    )


def read_features(folder: Path, name: str) -> np.ndarray:
    """Features (n, 6) of a set as extracted."""
    return artifacts.read_npz(folder / f"features/{name}.npz")["features"]


def write_set(folder: Path, name: str, arrays: dict[str, Any]) -> None:
    """A feature file and its counts, as extract_features writes them."""
    path = folder / f"features/{name}.npz"
    artifacts.write_npz(path, **{key: np.asarray(array) for key, array in arrays.items()})
    artifacts.write_json(
        folder / f"counts/{name}.json", {"set": name, "sha256": artifacts.sha256(path)}
    )


def shorten(folder: Path, name: str, faces: int) -> None:
    """Keep the first faces of a set only."""
    arrays = artifacts.read_npz(folder / f"features/{name}.npz")
    write_set(folder, name, {key: array[:faces] for key, array in arrays.items()})


def change_params(folder: Path, before: str, after: str) -> None:
    """Write another value into params.yaml."""
    path = folder / "params.yaml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def options(metrics: str, without: Container[str] = ()) -> list[str]:
    """The command line of a stage that reads this world, run in its folder, without the options
    that it does not have.
    """
    given = {
        "root": "root",
        "encoder": "encoder.safetensors",
        "gmm": "gmm.npz",
        "threshold": "threshold.json",
        "features": "features",
        "counts": "counts",
        "metrics": metrics,
    }
    return [
        part
        for name, value in given.items()
        if name not in without
        for part in (f"--{name}", value)
    ]
