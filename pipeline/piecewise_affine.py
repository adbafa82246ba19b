"""A piecewise-affine warp of uint8 pictures (n, H, W, 3), after imgaug's PiecewiseAffine, on the CPU or a GPU.

A regular 4 x 4 grid of control points, each moved by some pixels, tells where output pixels come from: inside each
triangle (the grid's cells, cut from top left to bottom right) the input position is interpolated affinely. Positions are
rounded to 1/64 pixel; sampling is bilinear in whole numbers, so that the result depends on nothing but picture and shifts.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GRID = 4  # control points along each side, imgaug's default
_STEP_BITS = 6  # sub-pixel positions in 1/64: 64 * 64 * 255 needs 20 bits, so three channels share 64 bits
_STEPS = 1 << _STEP_BITS
_LANE = 21
_HALVES = sum(_STEPS * _STEPS // 2 << channel * _LANE for channel in range(3))  # one half in each lane
_CHUNK = 8  # pictures at once, so that the intermediate results stay in the cache


def warp(images: "Tensor", shifts: NDArray[np.float32]) -> "Tensor":
    """Warp each picture: control point p of the regular grid takes its pixels from p + shift.

    `shifts` (n, GRID, GRID, 2): x, y in pixels of grid rows and columns. Control points are clipped to the picture, as
    imgaug does, so that nothing is sampled outside. Raises ValueError on wrong shapes or types.
    """
    import torch

    n, height, width = check_batch(images, len(shifts))
    grid = torch.from_numpy(np.ascontiguousarray(shifts)).to(images.device)
    out = torch.empty_like(images, memory_format=torch.contiguous_format)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        _sample(images[part], positions(grid[part], height, width), out[part])
    return out


def positions(shifts: "Tensor", height: int, width: int) -> "Tensor":
    """Where each output pixel comes from: int32 (n, 2, H, W) of x, y in 1/64 pixel, from shifts (n, GRID, GRID, 2)."""
    import torch

    shifts = shifts.permute(0, 3, 1, 2)  # (n, 2, GRID, GRID)
    x, fx = _cells(width, shifts.device)
    y, fy = _cells(height, shifts.device)
    regular = np.meshgrid(np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID))
    points = shifts + torch.from_numpy(np.stack(regular).astype(np.float32)).to(shifts.device)
    points = torch.stack([points[:, 0].clamp(0, width - 1), points[:, 1].clamp(0, height - 1)], dim=1)
    left, right = points[..., x], points[..., x + 1]  # (n, 2, GRID, W): the control points at both ends of a pixel's cell
    step = right - left
    base = left + step * fx
    rise, bend = (left[:, :, 1:] - left[:, :, :-1]), (step[:, :, 1:] - step[:, :, :-1])  # (n, 2, GRID - 1, W)
    out = torch.empty((len(shifts), 2, height, width), dtype=torch.int32, device=shifts.device)
    for row in range(GRID - 1):
        band = slice(int((y < row).sum()), int((y <= row).sum()))
        down = fy[band, None]
        # Affine in each of the two triangles of a cell: the bend term breaks along the diagonal fx = fy.
        value = rise[:, :, row, None] * down
        value += bend[:, :, row, None] * torch.minimum(down, fx)
        value += base[:, :, row, None]
        out[:, :, band] = value.mul_(_STEPS).add_(0.5)  # positions are not negative: conversion rounds down
    return out


def _sample(images: "Tensor", places: "Tensor", out: "Tensor") -> None:
    """Bilinear samples of images (n, H, W, 3) at places (n, 2, H, W) in 1/64 pixel, rounded half up, into `out`.

    The three channels of a pixel travel in three lanes of one 64-bit number: linear arithmetic treats all three at once.
    """
    import torch

    n, height, width, _ = images.shape
    x, y = places.view(n, 2, -1).unbind(1)
    column, row = (x >> _STEP_BITS).clamp_(max=width - 2), (y >> _STEP_BITS).clamp_(max=height - 2)
    right, below = (x - (column << _STEP_BITS)).to(torch.int64), (y - (row << _STEP_BITS)).to(torch.int64)
    index = (row * width + column).to(torch.int64)
    red, green, blue = (images.reshape(n, -1, 3)[..., channel].to(torch.int64) for channel in range(3))
    packed = red.add_(green << _LANE).add_(blue << 2 * _LANE)
    lines = []
    for _ in range(2):  # the line above, the line below
        line = packed.gather(1, index)
        slope = packed.gather(1, index.add_(1)).sub_(line).mul_(right)
        lines.append(line.mul_(_STEPS).add_(slope))
        index += width - 1
    total = lines[1].sub_(lines[0]).mul_(below).add_(lines[0].mul_(_STEPS)).add_(_HALVES)
    flat = out.view(n, -1, 3)
    for channel in range(3):
        flat[..., channel] = total >> (channel * _LANE + 2 * _STEP_BITS)  # the cast to uint8 keeps the lane's lowest byte


def _cells(length: int, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """Of each pixel along one side: the cell of the grid it lies in, and its place in that cell in [0, 1]."""
    import torch

    places = np.arange(length) * (GRID - 1) / (length - 1)
    cells = np.minimum(places.astype(np.int64), GRID - 2)
    return torch.from_numpy(cells).to(device), torch.from_numpy((places - cells).astype(np.float32)).to(device)


def check_batch(images: "Tensor", count: int) -> tuple[int, int, int]:
    """n, H, W of uint8 pictures (n, H, W, 3) that must be `count` in number; ValueError if they are anything else."""
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected uint8 pictures of shape (n, H, W, 3), got {images.dtype} {tuple(images.shape)}")
    if len(images) != count:
        raise ValueError(f"{len(images)} pictures but amounts for {count}")
    if min(images.shape[1:3]) < 2 * GRID:
        raise ValueError(f"pictures of {images.shape[2]} x {images.shape[1]} pixels are too small to manipulate")
    return images.shape[0], images.shape[1], images.shape[2]
