"""Files to rows: read, cropped, encoded and judged, a batch after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import PipelineError
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect.computing import batches, in_order
from pipeline.detect.crops import Whole, identity
from pipeline.detect.detector import UNJUDGED, Detector, Judgement, Outputs
from pipeline.detect.reading import Box, File, read
from pipeline.detect.sources import shown

UNREADABLE = "unreadable"


@dataclass
class Face:
    """A face of a file: what its row says, and until it is encoded its input."""

    row: dict[str, Any]
    input: torch.Tensor | None = None
    note: str = ""
    size: tuple[int, int] = (0, 0)  # width and height that it is judged at, in pixels


def score(detector: Detector, paths: Sequence[str], crops: Whole) -> Iterator[list[dict[str, Any]]]:
    """Rows of a batch of files at a time, in order; to be called inside `computing`."""
    name = identity(detector.identity, crops)
    for faces, outputs in encoded(detector, paths, crops):
        seen = [face for face in faces if face.input is not None]
        judged = detector.judgements(outputs, [face.size for face in seen])
        for face, judgement in zip(seen, judged, strict=True):
            face.row |= _said(judgement, face.note)
        yield [{**face.row, "detector": name} for face in faces]


def encoded(
    detector: Detector, paths: Sequence[str], crops: Whole
) -> Iterator[tuple[list[Face], Outputs]]:
    """The faces of a batch of files at a time, and what the encoder says of those with an input."""

    def see(batch: Sequence[str]) -> tuple[list[Face], Outputs]:
        faces = [face for path in batch for face in look(detector, path, crops)]
        inputs = [face.input for face in faces if face.input is not None]
        parts = [detector.encode(some) for some in batches(inputs, detector.batch_size)]
        return faces, np.concatenate(parts) if parts else detector.encode([])

    return in_order(see, batches(paths, detector.batch_size))


def look(detector: Detector, path: str, crops: Whole) -> list[Face]:
    """The faces of a file, ready to be encoded; one without an input where there is nothing."""
    file = read(path)
    try:
        boxes = crops.boxes(file)
    except Exception as error:  # OpenCV's own is no RuntimeError
        what = " ".join(f"{type(error).__name__}: {error}".split())
        failed = {"reason": UNREADABLE, "error": f"the face detector failed ({what})"}
        return [Face(_row(file, None) | failed)]
    if not boxes:
        row = _row(file, None)
        return [Face(row if file.error else {**row, "reason": crops.nothing})]
    return [_face(detector, file, box, crops) for box in boxes]


def _face(detector: Detector, file: File, box: Box | None, crops: Whole) -> Face:
    face = Face(_row(file, box))
    if file.frames > 1:
        face.note = f"first of {file.frames} frames"
    if file.picture is None:
        return face
    try:
        picture = crops.cut(file.picture, box)
        face.input = detector.prepare(picture)
        face.size = picture.shape[1], picture.shape[0]
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
