"""Four manipulations of a face, from uint8 batches (n, H, W, 3) to uint8 batches, on the CPU or a
GPU.

Drawing and doing are apart: `draw_amounts` turns (seed, face id) into numbers, `apply_*` are
deterministic. All pixel arithmetic is in whole numbers, elementwise, so that a face comes out the
same in a batch of any size and on any device.

- Local edits (mouth, one eye) map the pixels of a box onto each other, without interpolation. The
  flipped box is blended into the picture with a mask that rises linearly from the border of the box
  over `FEATHER` of its shorter side, and is 1
  inside: weights in 1/128, result rounded half up. Weight 128 gives the exact flipped pixel, 0 the
  exact original.
- The warp is that of `piecewise_affine`: control points of a regular grid moved by a normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common import randomness
from pipeline.manipulation.landmarks import Regions
from pipeline.manipulation.warp import GRID, check_batch, warp

if TYPE_CHECKING:
    from torch import Tensor

OPERATIONS = ("mouth_turned", "mouth_mirrored", "eye_mirrored", "face_warped")
EYES = ("right", "left")  # the person's
FEATHER = 0.25  # share of the shorter side of a box
_ONE = 128  # weight of a blend: 128 * 255 still fits 16 bits


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
    choices = np.asarray(blend_ratios, dtype=np.float64)
    ratios = [
        choices[_choose(seed, f"blend ratio of {name}", hashes, len(choices))]
        for name in OPERATIONS[:3]
    ]
    sigmas, shifts = zip(
        *(draw_warps(seed, hashes, k, side=side, warp_sigma=warp_sigma) for k in range(4)),
        strict=True,
    )
    return Amounts(
        ratios=np.stack(ratios, axis=1),
        eyes=_choose(seed, "which eye is mirrored", hashes, 2),
        sigmas=np.stack(sigmas, axis=1),
        shifts=np.stack(shifts, axis=1),
    )


def draw_warps(
    seed: int,
    hashes: NDArray[np.uint64],
    number: int,
    *,
    side: int,
    warp_sigma: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Sigmas (n,) and shifts (n, GRID, GRID, 2) of warp `number` of each face, normal by Box and
    Muller (1958).
    """
    low, high = warp_sigma
    sigmas = low + (high - low) * randomness.uniforms(seed, "warp sigma", hashes, number)
    radii, angles = (
        np.stack(
            [
                randomness.uniforms(seed, f"warp {what}", hashes, number, point)
                for point in range(GRID * GRID)
            ],
            axis=1,
        )
        for what in ("radius", "angle")
    )
    lengths = (
        np.sqrt(-2 * np.log(1.0 - radii)) * (sigmas * side)[:, None]
    )  # 1 - radius in (0, 1]: the logarithm exists
    shifts = lengths[..., None] * np.stack(
        [np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)], axis=-1
    )
    # To 1/256 pixel: the last bits of log and cos differ between processors, the pictures must not.
    rounded = (np.round(shifts * 256) / 256).astype(np.float32)
    return sigmas, rounded.reshape(len(hashes), GRID, GRID, 2)


def apply_all(images: "Tensor", regions: Regions, amounts: Amounts) -> "Tensor":
    """The four manipulations of each face, uint8 (n, 4, H, W, 3) in the order of OPERATIONS.

    A face without usable regions gets four different warps.
    """
    import torch

    out = torch.stack(
        [
            apply_mouth_turned(images, regions, amounts),
            apply_mouth_mirrored(images, regions, amounts),
            apply_eye_mirrored(images, regions, amounts),
            apply_face_warped(images, amounts),
        ],
        dim=1,
    )
    without = np.flatnonzero(~regions.usable)
    for k in range(3):
        out[without, k] = warp(images[without], amounts.shifts[without, k])
    return out


def apply_mouth_turned(images: "Tensor", regions: Regions, amounts: Amounts) -> "Tensor":
    """Turn the mouth by 180 degrees (OpenCV's flip code -1; the paper calls it a vertical flip)."""
    return apply_flip(images, regions.boxes[:, 0], amounts.ratios[:, 0], vertical=True)


def apply_mouth_mirrored(images: "Tensor", regions: Regions, amounts: Amounts) -> "Tensor":
    """Mirror the mouth left to right."""
    return apply_flip(images, regions.boxes[:, 0], amounts.ratios[:, 1])


def apply_eye_mirrored(images: "Tensor", regions: Regions, amounts: Amounts) -> "Tensor":
    """Mirror the drawn eye left to right."""
    boxes = regions.boxes[np.arange(len(images)), 1 + amounts.eyes]
    return apply_flip(images, boxes, amounts.ratios[:, 2])


def apply_face_warped(images: "Tensor", amounts: Amounts) -> "Tensor":
    """Warp the whole face piecewise-affinely."""
    return warp(images, amounts.shifts[:, 3])


def apply_flip(
    images: "Tensor",
    boxes: NDArray[np.int64],
    ratios: NDArray[np.float64],
    *,
    vertical: bool = False,
    feather: float = FEATHER,
) -> "Tensor":
    """Mirror a box of each picture left to right, and upside down too if `vertical`; pixels outside
    stay as they are.

    `boxes` (n, 4) x0, y0, x1, y1 in pixels, ends excluded, inside the picture (an empty box changes
    nothing); `ratios` (n,) in [0, 1] scale the mask; `feather` 0 makes the mask hard. Raises
    ValueError on wrong shapes, types or boxes."""
    import torch

    n, height, width = check_batch(images, len(boxes))
    x0, y0, x1, y1 = torch.from_numpy(np.ascontiguousarray(boxes.T)).to(images.device)
    out = images.clone(memory_format=torch.contiguous_format)
    if n == 0 or int((x1 - x0).max()) <= 0 or int((y1 - y0).max()) <= 0:
        return out
    if bool(((boxes < 0) | (boxes > np.array([width, height, width, height]))).any()):
        raise ValueError(
            f"a box leaves the picture of {width} x {height} pixels: clip the boxes first"
        )
    # One window of equal size for each picture that holds its box: its rows (n, h), and its bytes
    # in a row (n, 3 w).
    feathers = feather * torch.minimum(x1 - x0, y1 - y0)
    rows, row_flipped, row_mask = _window(y0, y1, height, feathers)
    columns, column_flipped, column_mask = _window(x0, x1, width, feathers)
    columns, column_flipped = _bytes(columns), _bytes(column_flipped)
    ratio = torch.from_numpy(np.floor(np.asarray(ratios) * _ONE + 0.5).astype(np.int64)).to(
        images.device
    )
    mask = (row_mask * ratio[:, None])[:, :, None] * column_mask.repeat_interleave(3, dim=1)[
        :, None, :
    ]
    mask = ((mask + _ONE * _ONE // 2) >> 14).to(torch.int16).reshape(-1)
    first = (torch.arange(n, device=images.device) * height)[:, None]
    here = ((first + rows)[:, :, None] * (3 * width) + columns[:, None, :]).reshape(-1)
    source_rows = row_flipped if vertical else rows
    source = ((first + source_rows)[:, :, None] * (3 * width) + column_flipped[:, None, :]).reshape(
        -1
    )
    flat = out.view(-1)
    before, flipped = flat.gather(0, here).to(torch.int16), flat.gather(0, source).to(torch.int16)
    blended = before + ((mask * (flipped - before) + _ONE // 2) >> 7)
    flat.scatter_(
        0, here, blended.to(torch.uint8)
    )  # no byte comes twice, so the order of writing does not matter
    return out


def describe(regions: Regions, amounts: Amounts, face: int) -> list[tuple[str, dict[str, Any]]]:
    """Operation and amount of each of a face's four negatives, as `apply_all` makes them, for a
    table.
    """
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


def _window(
    low: "Tensor", high: "Tensor", length: int, feather: "Tensor"
) -> "tuple[Tensor, Tensor, Tensor]":
    """Along one side, (n, size) each: positions in a window around [low, high), their mirror
    positions, mask in 1/128.
    """
    import torch

    size = int((high - low).max())
    start = low.clamp(max=length - size)
    places = start[:, None] + torch.arange(size, device=low.device)
    depth = (
        torch.minimum(places - low[:, None], high[:, None] - 1 - places) + 1
    )  # 1 on the border pixel, < 1 outside
    mirrored = torch.where(depth > 0, low[:, None] + high[:, None] - 1 - places, places)
    ramp = feather.floor().to(torch.int64)[:, None] + 1
    return places, mirrored, (depth * _ONE // ramp).clamp(0, _ONE)


def _bytes(columns: "Tensor") -> "Tensor":
    """Places (n, 3 w) of the three channels of pixel columns (n, w)."""
    import torch

    return (3 * columns[:, :, None] + torch.arange(3, device=columns.device)).flatten(1)


def _choose(seed: int, purpose: str, hashes: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    return (randomness.uniforms(seed, purpose, hashes) * count).astype(np.int64)
