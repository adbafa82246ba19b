"""What the controls' stage reads beside the small world of pictures, and what it writes."""

from pathlib import Path
from typing import Any

from pipeline.common import artifacts
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from pipeline.stages import controls as stage
from tests import picture_world

GENERATORS = ("sim_blurred", "sim_noisy")
CONFOUNDS: dict[str, Any] = {
    "metadata_classifier": {
        "generators": {
            name: {
                "as_found": {"auc": 0.9, "low": 0.8, "high": 1.0},
                "harmonised": {"auc": 0.5, "low": 0.4, "high": 0.6},
            }
            for name in GENERATORS
        }
    },
    "bytes_per_pixel_auc": {name: {"as_found": 0.2, "harmonised": 0.6} for name in GENERATORS},
    "harmonised": {"faces": {"photographic_test": 24, **dict.fromkeys(GENERATORS, 16)}},
}


def add(folder: Path) -> None:
    """Put an encoder that is said to be trained with shuffled tags, and the confounds' metrics,
    into the world of pictures.
    """
    meta = {
        "input_size": picture_world.SIDE,
        "params": {"pretext": {"epochs": 1}, "exif_tags": "shuffled"},
    }
    save_encoder(folder / "shuffled.safetensors", Encoder("resnet10", 6, seed=8), meta)
    artifacts.write_json(folder / "confounds.json", CONFOUNDS)


def run(metrics: str = "metrics/controls.json") -> tuple[dict[str, Any], dict[str, Any]]:
    """The detector's row, and those of the controls by name, from the world in the working
    directory.
    """
    options = picture_world.options(metrics, without=("threshold",))
    stage.main([*options, "--shuffled", "shuffled.safetensors", "--confounds", "confounds.json"])
    content = artifacts.read_json(metrics)
    return content["detector"], {row["name"]: row for row in content["controls"]}


def read_names(name: str) -> list[str]:
    """The faces of a set."""
    names: list[str] = artifacts.read_npz(f"features/{name}.npz")["names"].tolist()
    return names


def without_figures(row: dict[str, Any]) -> bool:
    """Whether a row only says why there is nothing."""
    nothing = (row["auc"], row["low"], row["suspicious"]) == (None, None, None)
    return nothing and row["detail"].startswith("cannot be computed")
