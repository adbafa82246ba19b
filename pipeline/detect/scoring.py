"""Files to rows: read, cropped, encoded and judged, a batch after the other."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import PipelineError
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect.computing import batches, in_order
from pipeline.detect.detector import UNJUDGED, Detector, Judgement, Outputs
from pipeline.detect.errors import Unusable
from pipeline.detect.reading import Box, File, crop, read
from pipeline.detect.sources import shown

UNREADABLE = "unreadable"
NO_BOX = "no box of a face is given"
Boxes = Mapping[str, Sequence[Box]]  # by absolute path


@dataclass
class Face:
    """A face of a file: what its row says, and until it is encoded its input."""

    row: dict[str, Any]
    input: torch.Tensor | None = None
    note: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        x0, y0, x1, y1 = (self.row[name] for name in BOX_COLUMNS)
        return x1 - x0, y1 - y0


def score(
    detector: Detector, paths: Sequence[str], boxes: Boxes | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Rows of a batch of files at a time, in order; to be called inside `computing`.

    boxes: of the faces in each file; None: each picture is a face as a whole."""
    for faces, outputs in encoded(detector, paths, boxes):
        seen = [face for face in faces if face.input is not None]
        judged = detector.judgements(outputs, [face.size for face in seen])
        for face, judgement in zip(seen, judged, strict=True):
            face.row |= _said(judgement, face.note)
        yield [{**face.row, "detector": detector.identity} for face in faces]


def encoded(
    detector: Detector, paths: Sequence[str], boxes: Boxes | None = None
) -> Iterator[tuple[list[Face], Outputs]]:
    """The faces of a batch of files at a time, and what the encoder says of those with an input."""

    def see(batch: Sequence[str]) -> tuple[list[Face], Outputs]:
        faces = [face for path in batch for face in look(detector, path, boxes)]
        inputs = [face.input for face in faces if face.input is not None]
        parts = [detector.encode(some) for some in batches(inputs, detector.batch_size)]
        return faces, np.concatenate(parts) if parts else detector.encode([])

    return in_order(see, batches(paths, detector.batch_size))


def left(
    paths: Sequence[str], boxes: Boxes | None, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str], Boxes | None]:
    """The files, and boxes, that have no row yet."""
    done = {row["path"] for row in rows}
    if boxes is None:
        return [path for path in paths if shown(path) not in done], None
    drawn = {(row["path"], *(row[name] for name in BOX_COLUMNS)) for row in rows}
    todo, remaining = [], dict(boxes)
    for path in paths:
        key = os.path.abspath(path)
        if key in boxes:
            remaining[key] = [box for box in boxes[key] if (shown(path), *box) not in drawn]
        if remaining.get(key) or (key not in boxes and shown(path) not in done):
            todo.append(path)
    return todo, remaining


def look(detector: Detector, path: str, boxes: Boxes | None = None) -> list[Face]:
    """The faces of a file, ready to be encoded; one without an input where there is nothing."""
    file = read(path)
    if boxes is None:
        wanted: Sequence[Box | None] = [None]
    else:
        wanted = boxes.get(os.path.abspath(path), ())
        if not wanted:
            row = _row(file, None)
            return [Face(row if file.error else {**row, "reason": NO_BOX})]
    return [_face(detector, file, box) for box in wanted]


def read_boxes(path: Path) -> Boxes:
    """Boxes of faces from a .csv file with the columns path, box_x0, box_y0, box_x1, box_y1, by the
    absolute path of the picture; relative ones are relative to the working directory.

    In pixels of the picture as it is turned, rounded to whole ones. Unusable with the line."""
    found: dict[str, list[Box]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                x0, y0, x1, y1 = (round(float(row[name])) for name in BOX_COLUMNS)
                boxes = found.setdefault(os.path.abspath(row["path"]), [])
                if (x0, y0, x1, y1) not in boxes:
                    boxes.append((x0, y0, x1, y1))
    except OSError as error:
        raise Unusable(f"--crop {path}: {(error.strerror or 'unreadable').lower()}") from None
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise Unusable(
            f"--crop {path}, line {reader.line_num}: {error!r}; expected a table with the columns "
            f"path, {', '.join(BOX_COLUMNS)}, numbers in pixels"
        ) from None
    return found


def _face(detector: Detector, file: File, box: Box | None) -> Face:
    face = Face(_row(file, box))
    if file.frames > 1:
        face.note = f"first of {file.frames} frames"
    if file.picture is None:
        return face
    try:
        picture = file.picture if box is None else crop(file.picture, box)
        face.input = detector.prepare(picture)
    except PipelineError as error:
        face.row["reason"] = str(error)
    except (MemoryError, RuntimeError):  # torch's, too
        face.row |= {"reason": UNREADABLE, "error": "too large for the memory"}
    return face


def _row(file: File, box: Box | None) -> dict[str, Any]:
    whole = (0, 0, file.width, file.height) if file.picture is not None else (None,) * 4
    return {
        "path": shown(file.path),
        **dict(zip(BOX_COLUMNS, box or whole, strict=True)),
        "verdict": UNJUDGED,
        "reason": UNREADABLE if file.error else None,
        "width": file.width,
        "height": file.height,
        "format": file.format,
        "error": file.error or None,
    }


def _said(judgement: Judgement, note: str) -> dict[str, Any]:
    reasons = [text for text in (judgement.reason, note) if text]
    return {**judgement._asdict(), "reason": "; ".join(reasons) or None}
