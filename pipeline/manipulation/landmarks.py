"""Where the mouth and the eyes are: boxes of whole pixels from 68 landmarks, or from FDF's seven.

The mouth is not among FDF's seven points (nose, right eye, left eye, ears, shoulders). It is
located geometrically: with e the middle of the eyes, D their distance, u the unit vector from the
right eye to the left and v its perpendicular down the face,

    mouth = e + v * ((nose - e) . v + D / 2)

that is, straight below the middle of the eyes and half an eye distance lower than the nose tip. The
nose's sideways offset is left out on purpose: when a head turns, the tip of the nose moves, but the
lips lie about as deep as the eyes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Of the mouth, the right and the left eye in this order, here and below; right and left are the
# person's: the right eye is on the left of the picture. Half width and half height of the boxes in
# eye distances: lips are about 0.8 wide and an eye 0.45, plus some skin.
_HALVES = np.array([(0.62, 0.40), (0.36, 0.26), (0.36, 0.26)])
# The points of the parts in the order of iBUG 300-W, and skin around their bounding box, in its
# widths.
POINTS_68 = (slice(48, 68), slice(36, 42), slice(42, 48))
_MARGINS_68 = (0.25, 0.35, 0.35)
MINIMUM_SIDE = 6  # pixels; a smaller region holds nothing that a flip would change
MINIMUM_EYE_DISTANCE = 1.0  # pixels
_FAR = 1e6  # pixels; farther points are no measurements, and their squares overflow


@dataclass(frozen=True)
class Regions:
    """Boxes of n faces, and why a face has none.

    `boxes` int64 (n, 3, 4): mouth, right eye, left eye as x0, y0, x1, y1 in pixels, x1 and y1
    excluded; zeros where unusable. `reasons` (n,) str: '' where usable."""

    boxes: NDArray[np.int64]
    reasons: NDArray[np.str_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) whether local edits are possible."""
        return self.reasons == ""


def mouth_centre_from_seven(landmarks: ArrayLike) -> NDArray[np.float64]:
    """Mouth centres (n, 2) in pixels from FDF landmarks; NaN where the eyes coincide."""
    points = _seven(landmarks)
    middle, distance, _, down = _eye_frame(points)
    below = _dot(points[:, 0] - middle, down) + distance / 2
    return middle + down * below[:, None]


def mouth_errors(landmarks: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Distances (n,) in pixels of the mouth located from seven landmarks to the middle of the
    bounding box of the mouth's points among 68 landmarks (n, 68, 2).
    """
    mouth = _sixty_eight(points)[:, POINTS_68[0]]
    truth = (mouth.min(axis=1) + mouth.max(axis=1)) / 2
    return np.linalg.norm(mouth_centre_from_seven(landmarks) - truth, axis=1)


def regions_from_seven(landmarks: ArrayLike, side: int) -> Regions:
    """Regions of n faces from FDF landmarks (n, 7, 2) or (n, 14), in pixels of a picture of `side`
    x `side`.

    Only nose and eyes are used. Reasons: landmarks_missing, landmarks_outside, eyes_coincide,
    nose_above_eyes, nose_beside_eyes (a profile: the nose lies outside the eyes' span, where the
    formula of the mouth fails), region_too_small."""
    points = _seven(landmarks)
    middle, distance, along, down = _eye_frame(points)
    nose = points[:, 0] - middle
    reasons = _reasons(points[:, :3], side)
    _mark(reasons, ~(distance >= MINIMUM_EYE_DISTANCE), "eyes_coincide")
    _mark(reasons, _dot(nose, down) <= 0, "nose_above_eyes")
    _mark(reasons, np.abs(_dot(nose, along)) > distance / 2, "nose_beside_eyes")
    centres = np.stack([mouth_centre_from_seven(points), points[:, 1], points[:, 2]], axis=1)
    halves = _HALVES * distance[:, None, None]
    return _regions(centres - halves, centres + halves, reasons, side)


def regions_from_68(points: ArrayLike, side: int) -> Regions:
    """Regions of n faces from 68 landmarks (n, 68, 2) in pixels of a picture of `side` x `side`.

    A region is the bounding box of its points with a margin. Reasons: landmarks_missing,
    landmarks_outside, eyes_coincide, region_too_small."""
    points = _sixty_eight(points)
    reasons = _reasons(points[:, 36:], side)
    parts = [points[:, own] for own in POINTS_68]
    low = np.stack([part.min(axis=1) for part in parts], axis=1)  # (n, 3, 2)
    high = np.stack([part.max(axis=1) for part in parts], axis=1)
    right, left = parts[1].mean(axis=1), parts[2].mean(axis=1)
    _mark(reasons, ~(np.linalg.norm(left - right, axis=1) >= MINIMUM_EYE_DISTANCE), "eyes_coincide")
    margins = np.array(_MARGINS_68)[:, None] * (high - low)[..., :1]
    return _regions(low - margins, high + margins, reasons, side)


def _seven(landmarks: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim not in (2, 3) or points[:1].size != 14 * len(points[:1]):
        raise ValueError(f"expected landmarks of shape (n, 7, 2) or (n, 14), got {points.shape}")
    return np.where(np.abs(points) < _FAR, points, np.nan).reshape(-1, 7, 2)


def _sixty_eight(points: ArrayLike) -> NDArray[np.float64]:
    out = np.asarray(points, dtype=np.float64)
    if out.ndim != 3 or out.shape[1:] != (68, 2):
        raise ValueError(f"expected landmarks of shape (n, 68, 2), got {out.shape}")
    return np.where(np.abs(out) < _FAR, out, np.nan)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]


def _eye_frame(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Middle of the eyes, their distance, and the unit vectors to the left and down the face."""
    right, left = points[:, 1], points[:, 2]
    step = left - right
    distance = np.hypot(step[:, 0], step[:, 1])
    along = step / np.where(distance > 0, distance, np.nan)[:, None]
    return (right + left) / 2, distance, along, np.stack([-along[:, 1], along[:, 0]], axis=1)


def _reasons(points: NDArray[np.float64], side: int) -> NDArray[np.str_]:
    reasons = np.full(len(points), "", dtype="<U24")
    _mark(reasons, ~np.isfinite(points).all(axis=(1, 2)), "landmarks_missing")
    _mark(reasons, ((points < 0) | (points >= side)).any(axis=(1, 2)), "landmarks_outside")
    return reasons


def _mark(reasons: NDArray[np.str_], where: ArrayLike, reason: str) -> None:
    """The first reason stays."""
    reasons[np.asarray(where, dtype=bool) & (reasons == "")] = reason


def _regions(
    low: NDArray[np.float64], high: NDArray[np.float64], reasons: NDArray[np.str_], side: int
) -> Regions:
    """Round corners (n, 3, 2) to pixels, clip them to the picture, refuse what is too small."""
    corners = np.concatenate([low, high], axis=2)
    corners[reasons != ""] = 0
    boxes = np.clip(np.floor(corners + 0.5), 0, side).astype(np.int64)
    sides = boxes[..., 2:] - boxes[..., :2]
    _mark(reasons, (sides < MINIMUM_SIDE).any(axis=(1, 2)), "region_too_small")
    boxes[reasons != ""] = 0
    return Regions(boxes, reasons)
