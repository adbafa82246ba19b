"""Generated folders in the authors' layout, of any number of faces and little disk: a few pictures,
linked many times.
"""

import json
from pathlib import Path

import numpy as np

from pipeline.common.artifacts import encode_png
from pipeline.common.layout import Layout

SIDE = 128
PICTURES = 64
FACES_PER_PHOTO, FACES_PER_AUTHOR = 2, 4
LANDMARKS = (
    np.array([[64, 72], [52, 58], [76, 58], [38, 60], [90, 60], [10, 127], [118, 127]]) / SIDE
)


def picture(number: int) -> np.ndarray:
    """A smooth picture with noise, uint8 (128, 128, 3): slow to decode, as photographs are."""
    from PIL import Image

    random = np.random.default_rng(number)
    smooth = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize(
        (SIDE, SIDE)
    )
    return np.clip(np.asarray(smooth) + random.normal(0, 4, (SIDE, SIDE, 3)), 0, 255).astype(
        np.uint8
    )


def pretext(root: Path, count: int, bad_every: int = 50) -> Layout:
    """`count` faces of the pretext task; the photograph of every `bad_every`-th pair of faces lacks
    its f-number.
    """
    layout = Layout(root)
    for folder in (layout.exif, layout.images):
        folder.mkdir(parents=True)
    link_pictures(layout.images, [f"{face}.png" for face in range(count)])
    for photo in range(-(-count // FACES_PER_PHOTO)):
        (layout.exif / f"{photo}.json").write_text(
            json.dumps(record(photo, bad=photo % bad_every == 1)), encoding="utf-8"
        )
    layout.metainfo.write_text(
        json.dumps({str(face): metainfo(face) for face in range(count)}), encoding="utf-8"
    )
    mapping = {str(face): str(face // FACES_PER_PHOTO) for face in range(count)}
    layout.mapping.with_suffix(".json").write_text(json.dumps(mapping), encoding="utf-8")
    return layout


def portraits(root: Path, count: int) -> None:
    """`count` faces of the target domain, all of them in the list to fit with."""
    folder = root / "data/celeba-face"
    folder.mkdir(parents=True)
    names = [f"{face:06d}_1.png" for face in range(count)]
    link_pictures(folder, names)
    (root / "data/train.txt").write_text(
        "".join(f"./data/celeba-face/{name}\n" for name in names), encoding="utf-8"
    )


def link_pictures(folder: Path, names: list[str]) -> None:
    """Files of these names: symbolic links to PICTURES pictures beside them, since hard links of
    one file are limited.
    """
    for number in range(min(PICTURES, len(names))):
        (folder / f".picture{number}.png").write_bytes(encode_png(picture(number)))
    for number, name in enumerate(names):
        (folder / name).symlink_to(f".picture{number % PICTURES}.png")


def record(photo: int, *, bad: bool = False) -> dict[str, object]:
    """The EXIF file of one photograph, as in YFCC100M."""
    tags = {
        "ISO Speed Ratings": str(100 * (1 + photo % 32)),
        "Aperture Value": "F" if bad else f"F{1.4 + photo % 20 / 2:.1f}",
        "Exposure Time": f"1/{10 + photo % 900}sec",
        "Focal Length": f"{4 + photo % 200}.0 mm",
    }
    return {
        "EXIF": {**tags, "Make": "Canon", "Model": "CanonEOS5D"},
        "photo_id": photo,
        "num_exif_tags": 6,
    }


def metainfo(face: int) -> dict[str, object]:
    """One entry of the face list, with landmarks that differ a little from face to face."""
    moved = LANDMARKS + np.random.default_rng(face).normal(0, 0.01, LANDMARKS.shape)
    return {
        "author": f"author {face // FACES_PER_AUTHOR}",
        "bounding_box": [0.2871, 0.2095, 0.7175, 0.7848],
        "landmark": moved.clip(0, 1).round(4).tolist(),
        "license": "Attribution License",
        "photo_url": f"http://example.org/photos/{face // FACES_PER_PHOTO}",
        "date_taken": "2016-09-04 23:58:54.0",
    }
