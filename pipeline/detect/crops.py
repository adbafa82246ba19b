"""Which parts of a picture are faces: all of it, boxes that are given, or what a detector finds."""

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.names import BOX_COLUMNS
from pipeline.detect.errors import Unusable
from pipeline.detect.reading import Box, File, crop
from pipeline.detect.sources import shown
from pipeline.face_detection.detectors import FaceDetector
from pipeline.face_detection.framing import FARTHEST, frame, shrink

Pixels = NDArray[np.uint8]  # (height, width, 3)


class Whole:
    """Each picture is a face as a whole. The other two say where they differ."""

    name = "none"
    framing = ""  # how faces are framed and shrunk, which thresholds depend on; "" = as given
    nothing = ""  # why a picture has no face

    def expected(self, path: str) -> Sequence[Box]:
        """Boxes that are known before the picture is read."""
        return ()

    def boxes(self, file: File) -> Sequence[Box | None]:
        """Boxes of the faces in a file; None stands for the whole picture."""
        return (None,)

    def cut(self, picture: Pixels, box: Box | None) -> Pixels:
        """The face in a box. PipelineError where that leaves the picture."""
        return picture if box is None else crop(picture, box)


class Given(Whole):
    """Boxes from a .csv file with the columns path, box_x0, box_y0, box_x1, box_y1; relative paths
    are relative to the working directory.

    In pixels of the picture as it is turned, rounded to whole ones. Unusable with the line."""

    name = "boxes"
    nothing = "no box of a face is given"

    def __init__(self, path: Path) -> None:
        self._boxes: dict[str, list[Box]] = {}  # by absolute path
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                for row in reader:
                    box = _box(row)
                    boxes = self._boxes.setdefault(os.path.abspath(row["path"]), [])
                    if box not in boxes:
                        boxes.append(box)
        except OSError as error:
            raise Unusable(f"--crop {path}: {(error.strerror or 'unreadable').lower()}") from None
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise Unusable(
                f"--crop {path}, line {reader.line_num}: {error!r}; expected a table with the "
                f"columns path, {', '.join(BOX_COLUMNS)}, numbers in pixels"
            ) from None

    def expected(self, path: str) -> Sequence[Box]:
        """The boxes of the file."""
        return self._boxes.get(os.path.abspath(path), ())

    def boxes(self, file: File) -> Sequence[Box | None]:
        """The boxes of the file, whether it can be read or not."""
        return self.expected(file.path)


class Found(Whole):
    """Faces that a detector finds, framed and shrunk as FDF's are."""

    nothing = "no face was found"

    def __init__(self, detector: FaceDetector, name: str) -> None:
        """name: tells the face detector from all others."""
        self._detector = detector
        self.name = self.framing = f"auto, {name}"

    def boxes(self, file: File) -> Sequence[Box | None]:
        """Squares around the faces; none in a file that cannot be read."""
        if file.picture is None:
            return ()
        height, width = file.picture.shape[:2]
        faces = self._detector.find(file.picture)
        return list(dict.fromkeys(frame(face.box, width, height) for face in faces))

    def cut(self, picture: Pixels, box: Box | None) -> Pixels:
        """The face at 128 pixels, or fewer where it has no more."""
        return shrink(super().cut(picture, box))


def _box(row: Mapping[str, str]) -> Box:
    """The box in a row, in whole pixels. ValueError where a picture cannot have such pixels."""
    x0, y0, x1, y1 = (float(row[name]) for name in BOX_COLUMNS)
    if not all(abs(number) <= FARTHEST for number in (x0, y0, x1, y1)):  # NaN is none either
        raise ValueError("a coordinate that is not finite, or beyond ±2^31")
    return round(x0), round(y0), round(x1), round(y1)


def identity(detector: str, crops: Whole) -> str:
    """What stands in rows as their `detector`, from the detector's identity: rows of another --crop
    must not be mixed with these.
    """
    if crops.name == Whole.name:
        return detector
    return hashlib.sha256(f"{detector} {crops.name}".encode()).hexdigest()[:12]


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a row from all others: path and box."""
    return (row["path"], *(row[name] for name in BOX_COLUMNS))


class Written:
    """Which faces have their rows: what an earlier run leaves to do."""

    def __init__(self, crops: Whole) -> None:
        self._crops = crops
        self._files: set[str] = set()
        self._last = ""  # file with a row; a kill may have left some of its rows out
        self._faces: set[tuple[Any, ...]] = set()  # of the last file; where boxes are given, of all

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in rows."""
        for row in rows:
            if row["path"] != self._last and not isinstance(self._crops, Given):
                self._faces.clear()
            self._last = row["path"]
            self._files.add(self._last)
            self._faces.add(key(row))

    def left(self, paths: Iterable[str]) -> list[str]:
        """The files that do not have all their rows for certain."""
        return [path for path in paths if not self._is_done(path)]

    def new(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of these rows that are not written yet."""
        return [row for row in rows if key(row) not in self._faces]

    def _is_done(self, path: str) -> bool:
        name = shown(path)
        if name not in self._files or name == self._last:
            return False
        return all((name, *box) in self._faces for box in self._crops.expected(path))
