"""The square around a face, framed as FDF frames its faces."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FACE_SHARE = 0.57  # of the square's side: the longer side of the face's box
SIDE = 128  # pixels, of FDF's pictures
FARTHEST = 2**31  # pixels from the origin: no picture has such


def frame(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """The square x0, y0, x1, y1 in whole pixels around the box of a face in a picture.

    As in FDF, a square that would leave the picture is moved into it, and is smaller where the
    picture is; the face then fills more than FACE_SHARE of it."""
    x0, y0, x1, y1 = box
    side = min(max(1, round(max(x1 - x0, y1 - y0) / FACE_SHARE)), width, height)
    left = min(max(0, round((x0 + x1 - side) / 2)), width - side)
    top = min(max(0, round((y0 + y1 - side) / 2)), height - side)
    return left, top, left + side, top + side


def shrink(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A square (side, side, 3) at SIDE pixels, in one resampling with antialiasing; one that is
    smaller is not enlarged.
    """
    from PIL import Image

    if len(square) <= SIDE:
        return square
    image = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.array(image)
