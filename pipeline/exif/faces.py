"""Where the faces in a photograph are: what a detector finds, or boxes from a table."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.names import BOX_COLUMNS, LANDMARK_COLUMNS
from pipeline.face_detection import detectors, framing
from pipeline.face_detection.face import LANDMARKS, LONGER_SIDE, Face

if TYPE_CHECKING:
    from PIL import Image

POINTS = ("nose", "right_eye", "left_eye")  # of LANDMARKS, in the order of FDF's first three
POINT_COLUMNS = LANDMARK_COLUMNS[: 2 * len(POINTS)]
LEAST_FACE = framing.FACE_SHARE * framing.SIDE  # pixels: smaller ones are not used
LEAST_SEEN = 16  # pixels of such a face that a detector sees, where LONGER_SIDE has room for them
LEAST_SIDE = 352  # pixels that it sees of a photograph, whose faces then are larger than that
MULTIPLE = 32  # of its sides
# The faces of a photograph, of its path and PIL's picture, from left to right
Find = Callable[[str, "Image.Image"], list[Face]]


def finder(name: str, folder: Path) -> tuple[Find, set[str]]:
    """How faces are found: exif.face_detector of params.yaml, whose FILE is relative to `folder`;
    and the photographs that are named there.

    PipelineError where that is not installed or its file cannot be used."""
    if name.endswith(".csv"):
        given = read_boxes(folder / name)
        return lambda path, _: given.get(path, []), set(given)
    if name.startswith(detectors.YUNET):
        name = f"{detectors.YUNET}{folder / name.removeprefix(detectors.YUNET)}"
    detector = detectors.load(name)
    return lambda _, image: find(image, detector), set()


def find(image: "Image.Image", detector: detectors.FaceDetector) -> list[Face]:
    """The faces in a photograph, which the detector sees no larger than its smallest face that can
    be used needs: at 2 megapixels a third of what it would see.
    """
    from PIL import Image

    longer = max(image.size)
    side = int(longer * LEAST_SEEN / LEAST_FACE) // MULTIPLE * MULTIPLE
    scale = min(1, max(LEAST_SIDE, min(side, LONGER_SIDE)) / longer)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    seen = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    return enlarged(detector.find(np.asarray(seen)), size, image.size)


def enlarged(found: list[Face], seen: Sequence[int], size: Sequence[int]) -> list[Face]:
    """Faces of a picture of `seen` (width, height) pixels as those of the same one of `size`."""
    x, y = (real / small for real, small in zip(size, seen, strict=True))
    return [
        Face((x0 * x, y0 * y, x1 * x, y1 * y), score, tuple((a * x, b * y) for a, b in landmarks))
        for (x0, y0, x1, y1), score, landmarks in found
    ]


def read_boxes(path: Path) -> dict[str, list[Face]]:
    """Faces by the path of their photograph, each once, from a .csv file with the columns path and
    BOX_COLUMNS, in pixels of the photograph as it is turned; and POINT_COLUMNS where it has them.

    PipelineError with the line where there is no such box."""
    found: dict[str, list[Face]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                faces = found.setdefault(str(PurePosixPath(row["path"])), [])
                face = _face(row)
                if face.box not in [other.box for other in faces]:
                    faces.append(face)
    except OSError as error:
        raise PipelineError(
            f"exif.face_detector {path}: {(error.strerror or 'unreadable').lower()}"
        ) from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise PipelineError(
            f"exif.face_detector {path}, line {reader.line_num}: {error!r}; expected a table with "
            f"the columns path, {', '.join(BOX_COLUMNS)}, numbers in pixels, of a box at "
            "least one wide and high"
        ) from None
    return {name: sorted(faces) for name, faces in found.items()}


def _face(row: dict[str, str]) -> Face:
    x0, y0, x1, y1 = box = tuple(float(row[name]) for name in BOX_COLUMNS)
    if not (all(map(_is_place, box)) and x0 + 1 <= x1 and y0 + 1 <= y1):
        raise ValueError(f"no box: {x0:g} {y0:g} {x1:g} {y1:g}")
    landmarks = dict.fromkeys(LANDMARKS, (math.nan, math.nan))
    if any(row.get(name) for name in POINT_COLUMNS):
        numbers = [float(row[name]) for name in POINT_COLUMNS]
        if not all(math.isnan(number) or _is_place(number) for number in numbers):
            raise ValueError("a landmark that is nowhere")
        landmarks |= zip(POINTS, zip(numbers[::2], numbers[1::2], strict=True), strict=True)
    return Face((x0, y0, x1, y1), 1.0, tuple(landmarks.values()))


def _is_place(number: float) -> bool:
    """Whether it is a coordinate that a picture can have; NaN is none."""
    return abs(number) <= framing.FARTHEST
