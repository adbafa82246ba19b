"""Small pictures on disk with their face lists and two encoders, for all that encodes pictures."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.face_sets import face_list
from pipeline.face_sets.face_list import ListedFace
from tests.small_encoder import small_encoder

PREPROCESSING = Preprocessing(32)
SETS = {  # faces of each; photographs show each person twice, as JPEG; generated ones are PNG
    "photographic_fit": 10,
    "photographic_calibration": 8,
    "photographic_test": 8,
    "sim_a": 6,
    "sim_b": 5,
}
PARAMS = """
seed: 3
features: {batch_size: 4, device: cpu, precision: float32}
robustness: {faces: 5}
harmonisation: {side: 28, kernel: bicubic, jpeg_quality: 80}
controls: {fit_faces: 9, faces: 7}
generators: [sim_a, sim_b]
calibration: {false_alarm_rates: [0.05], review_rate: 0.05, flag_rate: 0.05, sides: upper,
              histories: [none]}
perturbations: [jpeg_40, noise_20, crop_0.8]
"""


def picture(seed: int, height: int = 36, width: int = 40) -> np.ndarray:
    """Coloured patches with some noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC))
    return (smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


def listed(root: Path, names: Sequence[str]) -> list[ListedFace]:
    """The files as list_faces lists them; what comes before the last _ is the person."""
    return [
        ListedFace(name, name.rpartition("_")[0] or name, _digest(root / name)) for name in names
    ]


def write_encoder(path: Path, seed: int, epochs: int) -> Encoder:
    """An untrained encoder that says it was trained for so many epochs."""
    encoder = small_encoder(6, seed=seed)
    save_encoder(path, encoder, PREPROCESSING, params={"pretext": {"epochs": epochs}})
    return encoder


def build(folder: Path) -> dict[str, list[ListedFace]]:
    """All that extract_features and extract_variants read, and the faces of each set."""
    (folder / "params.yaml").write_text(PARAMS)
    write_encoder(folder / "encoder.safetensors", seed=1, epochs=5)
    write_encoder(folder / "shuffled.safetensors", seed=8, epochs=1)
    sets: dict[str, list[ListedFace]] = {}
    for name, count in SETS.items():
        suffix = "jpg" if name.startswith("photographic") else "png"
        names = [f"data/{name}/{i // 2:02}_{i % 2}.{suffix}" for i in range(count)]
        for i, face in enumerate(names):
            path = folder / "root" / face
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(100 * len(sets) + i)).save(path)
        sets[name] = listed(folder / "root", names)
        face_list.write(folder / f"face_sets/{name}.csv", sets[name])
    return sets


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64
