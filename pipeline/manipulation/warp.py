"""A piecewise-affine warp of a picture, after imgaug's PiecewiseAffine.

A regular grid of control points, each moved by some pixels, tells where output pixels come from:
inside each triangle (the grid's cells, cut from top left to bottom right) the input position is
interpolated affinely. Positions are rounded to 1/64 pixel; sampling is bilinear in whole numbers,
so that the result depends on nothing but picture and shifts."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

GRID = 4  # control points along each side, imgaug's default
_BAND = 32  # rows that are sampled at once, so that intermediate results stay in the cache
# The three channels of a pixel share one 64-bit number: a sum of bytes whose weights sum to 64 * 64
# needs 20 bits, each has 21. What holds for one channel's sums holds for all three at once.
_PLACES = 1 << np.array([0, 21, 42])
_HALF = (64 * 64 // 2) * int(_PLACES.sum())


def warp(image: NDArray[np.uint8], shifts: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Warp a picture (H, W, 3): control point p of the regular grid takes its pixels from p +
    shift.

    `shifts` (GRID, GRID, 2): x, y in pixels, by rows and columns of the grid. Control points are
    clipped to the picture, as imgaug does, so that nothing is sampled outside."""
    height, width, _ = image.shape
    places, packed = positions(shifts, height, width), image.astype(np.int64) @ _PLACES
    out = np.empty_like(image)
    for start in range(0, height, _BAND):
        rows = slice(start, start + _BAND)
        samples = _sample(packed, places[:, rows])
        for channel in range(3):
            out[rows, :, channel] = samples >> (21 * channel + 12)
    return out


def positions(shifts: NDArray[np.float32], height: int, width: int) -> NDArray[np.int64]:
    """Where each output pixel comes from: x, y in 1/64 pixel, (2, H, W)."""
    (x, fx), (y, fy) = _cells(width), _cells(height)
    end = np.array([width - 1, height - 1], np.float32)[:, None, None]
    points = (_regular(height, width) + shifts.transpose(2, 0, 1)).clip(0, end)  # (2, GRID, GRID)
    left, right = points[..., x], points[..., x + 1]  # (2, GRID, W): both ends of a pixel's cell
    step = right - left
    top = left + step * fx
    rise, bend = left[:, 1:] - left[:, :-1], step[:, 1:] - step[:, :-1]  # (2, GRID - 1, W)
    # Affine in both triangles of a cell: the bend breaks along the diagonal fx = fy.
    places = rise[:, y] * fy[:, None]
    places += bend[:, y] * np.minimum(fy[:, None], fx)
    places += top[:, y]
    return (64 * places + np.float32(0.5)).astype(np.int64)


def _sample(packed: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bilinear samples (h, w) of packed pixels (H, W) at places (2, h, w), times 4096."""
    height, width = packed.shape
    corner = np.minimum(places >> 6, np.array([width - 2, height - 2])[:, None, None])
    across, down = places - (corner << 6)  # 0 to 64
    index, pixels = corner[1] * width + corner[0], packed.reshape(-1)

    def row(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        left, right = pixels.take(index), pixels[1:].take(index)
        return (left << 6) + (right - left) * across

    above, below = row(pixels), row(pixels[width:])
    return (above << 6) + (below - above) * down + _HALF


@cache
def _regular(height: int, width: int) -> NDArray[np.float32]:
    """The regular control points x, y in pixels, (2, GRID, GRID)."""
    sides = np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID)
    return np.stack(np.meshgrid(*sides)).astype(np.float32)


@cache
def _cells(length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each pixel along one side: its cell of the grid, and its place in the cell, 0 to 1."""
    places = np.arange(length) * (GRID - 1) / (length - 1)
    cells = np.minimum(places.astype(np.int64), GRID - 2)
    return cells, (places - cells).astype(np.float32)
