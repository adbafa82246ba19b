"""A picture file, whatever it is: its pixels, or why there are none."""

import io
import os
import stat
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.common import pictures

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, of the picture as it is turned


@dataclass
class File:
    """What a picture file turned out to be."""

    path: str
    picture: NDArray[np.uint8] | None = None  # (height, width, 3)
    format: str | None = None  # JPEG, PNG or WEBP, by content
    width: int | None = None  # pixels, of the picture as it is turned
    height: int | None = None
    frames: int = 1  # of an animation, of which the first is seen
    error: str = ""


def read(path: str) -> File:
    """Read and decode a file. Never raises for what it contains or that it cannot be read."""
    file = File(path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # a pipe would never end
            what = "a folder without pictures" if stat.S_ISDIR(mode) else "not a regular file"
            return _failed(file, what)
        data = pictures.read_picture_file(path)
    except pictures.UnreadablePicture as error:
        return _failed(file, _sentence(error))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return _failed(file, (getattr(error, "strerror", None) or str(error)).lower())
    _describe(file, data)
    try:
        file.picture = pictures.decode_picture(data, path)
    except pictures.UnreadablePicture as error:
        return _failed(file, _sentence(error))
    file.height, file.width = file.picture.shape[:2]
    return file


def crop(picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The pixels in a box. PipelineError where it does not lie within the picture."""
    x0, y0, x1, y1 = box
    height, width = picture.shape[:2]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise PipelineError("the box is empty or leaves the picture")
    return np.ascontiguousarray(picture[y0:y1, x0:x1])


def _failed(file: File, error: str) -> File:
    file.error = error
    return file


def _sentence(error: pictures.UnreadablePicture) -> str:
    """The reason, and the detail in one line; a file that is there is not called missing."""
    _, reason, detail = error.args
    detail = " ".join(str(detail).split())
    if reason == "missing" and detail:
        return detail.lower()
    return reason.replace("_", " ") + (f" ({detail})" if detail else "")


def _describe(file: File, data: bytes) -> None:
    """Format, size as stored and number of frames, as far as the header tells."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            file.format = "JPEG" if image.format == "MPO" else image.format
            file.width, file.height = image.size
            if file.format != "JPEG":  # an MPO's second picture is no frame
                file.frames = int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: S110  the decoder meets the same and says what it is
        pass
