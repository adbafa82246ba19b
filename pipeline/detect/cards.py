"""What the page shows of a face: its thumbnail with the box, and for some why it is not passed."""

import base64
import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.names import BOX_COLUMNS
from pipeline.detect import reading
from pipeline.detect.explaining import Explainer
from pipeline.detect.reading import Box
from pipeline.detect.rows import Row
from pipeline.detect.sources import shown
from pipeline.explanation.entries import title

SIDE = 144  # pixels of a thumbnail's longer side, at most
QUALITY = 75  # of the JPEG
AROUND = 0.5  # of a box's sides, shown beyond each of them
Picture = NDArray[np.uint8]  # (height, width, 3)


def card(row: Row, path: str, explainer: Explainer | None) -> dict[str, Any]:
    """The row, with `thumbnail` (None where there is no picture), `marked`, the box in percent of
    it (None where that is all of it), `why` (None without an explainer) and `changed`. path: the
    file, which is read again.
    """
    found: dict[str, Any] = {**row, "thumbnail": None, "marked": None, "why": None, "changed": ""}
    found["folder"], found["name"] = os.path.split(row["path"])
    found["deviates"] = title(row["head"] or "")
    if row["error"]:
        return found
    file = reading.read(path)
    if file.picture is None or (file.width, file.height) != (row["width"], row["height"]):
        return {**found, "changed": file.error or "a picture of another size since it was scored"}
    box = _box(row)
    x0, y0, x1, y1 = region = view(box, row["width"], row["height"])
    found["thumbnail"] = thumbnail(file.picture[y0:y1, x0:x1])
    if region != box:
        found["marked"] = _percent(box, region)
    if explainer:
        found["why"] = _why(explainer, explainer.crops.cut(file.picture, box))
    return found


def view(box: Box, width: int, height: int) -> Box:
    """What is shown of a picture: the box and half as much on each side of it; all of the picture
    where that region is empty because the box lies outside the picture.
    """
    x0, y0, x1, y1 = box
    dx, dy = (round(AROUND * (high - low)) for low, high in ((x0, x1), (y0, y1)))
    seen = max(0, x0 - dx), max(0, y0 - dy), min(width, x1 + dx), min(height, y1 + dy)
    return seen if seen[0] < seen[2] and seen[1] < seen[3] else (0, 0, width, height)


def thumbnail(pixels: Picture, side: int = SIDE) -> dict[str, Any]:
    """A picture as a JPEG data URI (`src`) of at most so many pixels a side, with its `width` and
    `height`; a smaller one is not enlarged.
    """
    from PIL import Image

    image, data = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(data, "JPEG", quality=QUALITY, optimize=True)
    source = "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
    return {"src": source, "width": image.width, "height": image.height}


def _box(row: Row) -> Box:
    """The row's box; all of the picture where it has none."""
    x0, y0, x1, y1 = (row[name] for name in BOX_COLUMNS)
    return (0, 0, row["width"], row["height"]) if x0 is None else (x0, y0, x1, y1)


def _percent(box: Box, region: Box) -> dict[str, str]:
    """Left, top, width and height of the box within the region."""
    (x0, y0, x1, y1), (left, top, right, bottom) = box, region
    shares = {
        "left": (x0 - left) / (right - left),
        "top": (y0 - top) / (bottom - top),
        "width": (x1 - x0) / (right - left),
        "height": (y1 - y0) / (bottom - top),
    }
    return {name: f"{100 * share:.2f}%" for name, share in shares.items()}


def _why(explainer: Explainer, face: Picture) -> dict[str, Any]:
    why = explainer.explain(face)
    nearest = []
    for path, distance in why.nearest:
        photograph = reading.read(path).picture
        picture = None if photograph is None else thumbnail(photograph)
        name = os.path.basename(shown(path))
        nearest.append(
            {"path": shown(path), "name": name, "distance": distance, "picture": picture}
        )
    return {
        "seen": thumbnail(why.seen, len(why.seen)),
        "overlay": thumbnail(why.overlay, len(why.seen)),
        "drop": why.drop,
        "where": why.where,
        "nearest": nearest,
    }
