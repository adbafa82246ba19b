"""A face in a picture, and what is common to the networks that find some."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LANDMARKS = ("right_eye", "left_eye", "nose", "right_mouth_corner", "left_mouth_corner")
SCORE = 0.5  # least score of what is taken for a face
OVERLAP = 0.3  # intersection over union from which on two boxes are one face
LONGER_SIDE = 640  # most pixels that a network sees: a face of 16 px there has 100 in 24 megapixels


class Face(NamedTuple):
    """A face that was found, in pixels of the picture. Right and left are the person's."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1, within the picture
    score: float  # 0 to 1
    landmarks: tuple[tuple[float, float], ...]  # x, y of each of LANDMARKS; may lie outside


def shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (height, width, 3) with its longer side at most LONGER_SIDE."""
    import cv2

    height, width = picture.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def faces(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    landmarks: NDArray[np.floating],
    seen: Sequence[int],
    picture: Sequence[int],
) -> list[Face]:
    """What a network saw as faces of the picture, from left to right.

    boxes: (n, 4) x0, y0, x1, y1; scores: (n,); landmarks: (n, 5, 2), in pixels of what the network
    saw. seen, picture: heights and widths (and more) of that and of the picture. Boxes are clipped
    to the picture; what is empty then is left out."""
    limit = np.array([picture[1], picture[0]], dtype=np.float64)
    factor = limit / (seen[1], seen[0])
    corners = np.clip(boxes.reshape(-1, 2, 2) * factor, 0, limit)
    points = landmarks.reshape(-1, len(LANDMARKS), 2) * factor
    found = [
        Face(
            (x0, y0, x1, y1),
            float(score),
            tuple((x, y) for x, y in own),
        )
        for ((x0, y0), (x1, y1)), score, own in zip(
            corners.tolist(), scores, points.tolist(), strict=True
        )
        if x0 < x1 and y0 < y1
    ]
    return sorted(found)
