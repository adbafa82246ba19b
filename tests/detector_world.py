"""A small trained model, made by the stages themselves from pictures drawn here, for all that uses
a model: the encoder is untrained, which changes nothing of what is promised.
"""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.face_sets import face_list
from pipeline.stages import calibrate, extract_photographs, fit_gmm
from tests.picture_world import listed, picture, write_encoder

SETS = {"fit": 60, "calibration": 39, "test": 21}  # 21: extraction's batches are of 16 and of 5
SIDES = (30, 40)  # pixels, of the smallest and the largest photograph
PARAMS = """
seed: 3
features: {batch_size: 64, device: cpu, precision: float32}
gmm: {input: both, components: 1, covariance_type: full, standardise: true, pca_components: 0,
      residual: false, shrinkage: ledoit_wolf, regularisation: 1e-6, maximum_iterations: 200,
      tolerance: 1e-3, starts: 1, device: cpu}
calibration: {false_alarm_rates: [0.05, 0.1], review_rate: 0.1, flag_rate: 0.05, sides: upper,
              histories: %s}
"""


def build(folder: Path, histories: str = "[none]") -> Path:
    """Fill a folder with root/ (photographs), features/ and models/; returns models/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("params.yaml").write_text(PARAMS % histories)
        write_encoder(Path("models/encoder.safetensors"), seed=1, epochs=5)
        for number, (name, count) in enumerate(SETS.items()):
            _extract(name, _draw(name, count, seed=1000 * number))
        paths = {name: f"features/photographic_{name}.npz" for name in SETS}
        fit_gmm.main(
            f"--fit {paths['fit']} --unseen {paths['calibration']} --gmm models/gmm.npz "
            "--metrics gmm.json".split()
        )
        sets = " ".join(f"--{name} {path}" for name, path in paths.items())
        calibrate.main(
            f"--root root --gmm models/gmm.npz {sets} --threshold models/threshold.json "
            "--scores models/calibration.npz --output calibration".split()
        )
    return folder / "models"


def _draw(name: str, count: int, seed: int) -> list[str]:
    """Names of pictures of several sizes, PNG and JPEG in turn, two of each person."""
    names = []
    for i in range(count):
        face = f"{name}/{i // 2:03}_{i % 2}.{('png', 'jpg')[i % 2]}"
        path = Path("root", face)
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = SIDES[0] + i % 11, SIDES[1] - i % 7
        Image.fromarray(picture(seed + i, height, width)).save(path)
        names.append(face)
    return names


def _extract(name: str, names: list[str]) -> None:
    faces = Path(f"photographic_{name}.csv")
    face_list.write(faces, listed(Path("root"), names))
    flag = "--no-histories" if name == "fit" else "--histories"
    extract_photographs.main(
        f"{flag} --root root --faces {faces} --encoder models/encoder.safetensors "
        f"--output features/photographic_{name}.npz".split()
    )
