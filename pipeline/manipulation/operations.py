"""The four manipulations of a face: mouth turned, mouth mirrored, one eye mirrored, face warped.

Drawing and doing are apart: `draw_amounts` turns (seed, face id) into numbers, `manipulate` is
deterministic. All pixel arithmetic is in whole numbers, so that any machine gives the same bytes.

- Local edits (mouth, one eye) flip the pixels of a box, without interpolation. The flipped box is
  blended into the picture with a mask that rises linearly from the border of the box over `FEATHER`
  of its shorter side, and is 1 inside: weights in 1/128, result rounded half up. Weight 128 gives
  the exact flipped pixel, 0 the exact original.
- The warp is that of `warp`: control points of a regular grid moved by a normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common import randomness
from pipeline.manipulation.landmarks import Regions
from pipeline.manipulation.warp import GRID, warp

OPERATIONS = ("mouth_turned", "mouth_mirrored", "eye_mirrored", "face_warped")
EYES = ("right", "left")  # the person's
FEATHER = 0.25  # share of the shorter side of a box
_ONE = 128  # weight of the flipped pixel where nothing of the original is left


@dataclass(frozen=True)
class Amounts:
    """What was drawn for n faces.

    `ratios` float64 (n, 3): blend ratio of each local edit. `eyes` int64 (n,): 0 the right eye, 1
    the left. `sigmas` float64 (n, 4): standard deviation of a warp, as a share of the side.
    `shifts` float32 (n, 4, GRID, GRID, 2): displacement x, y of each control point in pixels. Warp
    k takes the place of operation k where that is impossible."""

    ratios: NDArray[np.float64]
    eyes: NDArray[np.int64]
    sigmas: NDArray[np.float64]
    shifts: NDArray[np.float32]


def draw_amounts(
    seed: int,
    face_ids: Sequence[str],
    *,
    side: int,
    warp_sigma: tuple[float, float],
    blend_ratios: Sequence[float],
) -> Amounts:
    """Draw the amounts of each face, keyed by (seed, face id) and by nothing else.

    `warp_sigma` are the bounds of sigma as shares of `side` (pixels); `blend_ratios` in (0, 1] are
    drawn with equal chance."""
    hashes = randomness.hashes(face_ids)

    def choose(purpose: str, count: int) -> NDArray[np.int64]:
        return (randomness.uniforms(seed, purpose, hashes) * count).astype(np.int64)

    choices = np.asarray(blend_ratios, dtype=np.float64)
    ratios = [choices[choose(f"blend ratio of {name}", len(choices))] for name in OPERATIONS[:3]]
    warps = [draw_warps(seed, hashes, k, side=side, warp_sigma=warp_sigma) for k in range(4)]
    return Amounts(
        ratios=np.stack(ratios, axis=1),
        eyes=choose("which eye is mirrored", 2),
        sigmas=np.stack([sigmas for sigmas, _ in warps], axis=1),
        shifts=np.stack([shifts for _, shifts in warps], axis=1),
    )


def draw_warps(
    seed: int,
    hashes: NDArray[np.uint64],
    number: int,
    *,
    side: int,
    warp_sigma: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Sigmas (n,) and normal shifts (n, GRID, GRID, 2), by Box and Muller (1958), of a warp."""

    def draw(purpose: str) -> NDArray[np.float64]:
        points = range(GRID * GRID)
        return np.stack(
            [randomness.uniforms(seed, purpose, hashes, number, k) for k in points], axis=1
        )

    low, high = warp_sigma
    sigmas = low + (high - low) * randomness.uniforms(seed, "warp sigma", hashes, number)
    # 1 - u lies in (0, 1], where the logarithm exists.
    lengths = np.sqrt(-2 * np.log(1.0 - draw("warp radius"))) * (sigmas * side)[:, None]
    angles = 2 * np.pi * draw("warp angle")
    shifts = lengths[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    # To 1/256 pixel: the last bits of log and cos differ between processors, the pictures must not.
    rounded = (np.round(shifts * 256) / 256).astype(np.float32)
    return sigmas, rounded.reshape(len(hashes), GRID, GRID, 2)


def manipulate(
    image: NDArray[np.uint8], regions: Regions, amounts: Amounts, face: int
) -> NDArray[np.uint8]:
    """The four manipulations of face number `face`, shown by `image` (H, W, 3): (4, H, W, 3) in the
    order of OPERATIONS.

    A face without usable regions gets four different warps."""
    if not regions.usable[face]:
        return np.stack([warp(image, shifts) for shifts in amounts.shifts[face]])
    mouth, eye = regions.boxes[face, 0], regions.boxes[face, 1 + amounts.eyes[face]]
    turned, mirrored, eye_mirrored = amounts.ratios[face]
    return np.stack(
        [
            flip(image, mouth, turned, vertical=True),
            flip(image, mouth, mirrored),
            flip(image, eye, eye_mirrored),
            warp(image, amounts.shifts[face, 3]),
        ]
    )


def flip(
    image: NDArray[np.uint8],
    box: Sequence[int] | NDArray[np.int64],
    ratio: float,
    *,
    vertical: bool = False,
    feather: float = FEATHER,
) -> NDArray[np.uint8]:
    """Mirror a box of a picture (H, W, 3) left to right, and upside down too if `vertical` (a turn
    by 180 degrees, OpenCV's flip code -1, which the paper calls a vertical flip).

    `box`: x0, y0, x1, y1 in pixels, ends excluded, inside the picture; `ratio` in [0, 1] scales the
    mask; `feather` 0 makes the mask hard."""
    x0, y0, x1, y1 = box
    out = image.copy()
    before = image[y0:y1, x0:x1].astype(np.int32)
    flipped = before[::-1, ::-1] if vertical else before[:, ::-1]
    ramp = int(feather * min(x1 - x0, y1 - y0)) + 1  # pixels over which the mask rises
    mask = _mask(y1 - y0, ramp)[:, None] * _mask(x1 - x0, ramp) * int(ratio * _ONE + 0.5)
    weight = ((mask + _ONE * _ONE // 2) // (_ONE * _ONE))[..., None]
    out[y0:y1, x0:x1] = before + ((weight * (flipped - before) + _ONE // 2) // _ONE)
    return out


def _mask(length: int, ramp: int) -> NDArray[np.int32]:
    """Weights along one side of a box, in 1/128."""
    from_border = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(_ONE, from_border * _ONE // ramp).astype(np.int32)


def describe(regions: Regions, amounts: Amounts, face: int) -> list[tuple[str, dict[str, Any]]]:
    """Operation and amount of each of a face's four negatives, as `manipulate` makes them."""
    warps = [
        (OPERATIONS[3], {"sigma": round(float(sigma), 6), "draw": k})
        for k, sigma in enumerate(amounts.sigmas[face])
    ]
    if not regions.usable[face]:
        return warps
    eye = int(amounts.eyes[face])
    boxes, ratios = regions.boxes[face].tolist(), amounts.ratios[face].tolist()
    return [
        (OPERATIONS[0], {"box": boxes[0], "ratio": ratios[0]}),
        (OPERATIONS[1], {"box": boxes[0], "ratio": ratios[1]}),
        (OPERATIONS[2], {"box": boxes[1 + eye], "ratio": ratios[2], "eye": EYES[eye]}),
        warps[3],
    ]
