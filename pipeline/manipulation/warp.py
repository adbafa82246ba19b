"""A piecewise-affine warp of uint8 pictures (n, H, W, 3), after imgaug's PiecewiseAffine, on the
CPU or a GPU.

A regular 4 x 4 grid of control points, each moved by some pixels, tells where output pixels come
from: inside each triangle (the grid's cells, cut from top left to bottom right) the input position
is interpolated affinely. Positions are rounded to 1/64 pixel; sampling is bilinear in whole
numbers, so that the result depends on nothing but picture and shifts."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GRID = 4  # control points along each side, imgaug's default
_STEPS = 64  # positions are whole 1/64 pixel
_CHUNK = 8  # pictures at once, so that the intermediate results stay in the cache


def warp(images: "Tensor", shifts: NDArray[np.float32]) -> "Tensor":
    """Warp each picture: control point p of the regular grid takes its pixels from p + shift.

    `shifts` (n, GRID, GRID, 2): x, y in pixels of grid rows and columns. Control points are clipped
    to the picture, as imgaug does, so that nothing is sampled outside. Raises ValueError on wrong
    shapes or types."""
    import torch

    n, height, width = check_batch(images, len(shifts))
    grid = torch.from_numpy(np.ascontiguousarray(shifts)).to(images.device)
    out = torch.empty_like(images, memory_format=torch.contiguous_format)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        _sample(images[part], positions(grid[part], height, width), out[part])
    return out


def positions(shifts: "Tensor", height: int, width: int) -> "Tensor":
    """Where each output pixel comes from: whole float32 (n, 2, H, W) of x, y in 1/64 pixel, from
    shifts (n, GRID, GRID, 2).
    """
    import torch

    shifts = shifts.permute(0, 3, 1, 2)  # (n, 2, GRID, GRID)
    x, fx = _cells(width, shifts.device)
    y, fy = _cells(height, shifts.device)
    regular = np.meshgrid(np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID))
    points = shifts + torch.from_numpy(np.stack(regular).astype(np.float32)).to(shifts.device)
    points = torch.stack(
        [points[:, 0].clamp(0, width - 1), points[:, 1].clamp(0, height - 1)], dim=1
    )
    left, right = (
        points[..., x],
        points[..., x + 1],
    )  # (n, 2, GRID, W): the control points at both ends of a pixel's cell
    step = right - left
    base = left + step * fx
    rise, bend = (
        (left[:, :, 1:] - left[:, :, :-1]),
        (step[:, :, 1:] - step[:, :, :-1]),
    )  # (n, 2, GRID - 1, W)
    out = torch.empty((len(shifts), 2, height, width), device=shifts.device)
    for row in range(GRID - 1):
        band = slice(int((y < row).sum()), int((y <= row).sum()))
        down = fy[band, None]
        # Affine in each of the two triangles of a cell: the bend term breaks along the diagonal fx
        # = fy.
        value = torch.mul(rise[:, :, row, None], down, out=out[:, :, band])
        value += bend[:, :, row, None] * torch.minimum(down, fx)
        value += base[:, :, row, None]
    return out.mul_(_STEPS).add_(0.5).floor_()


def _sample(images: "Tensor", places: "Tensor", out: "Tensor") -> None:
    """Bilinear samples of images (n, H, W, 3) at places (n, 2, H, W) in 1/64 pixel, rounded half
    up, into `out`.

    All arithmetic of `grid_sample` is exact here, so that any device gives the same: on pictures
    with sides of a power of two its coordinates are multiples of 2**-k, weights are whole 1/4096,
    and sums of weighted uint8 fit float32's 24 bits."""
    import torch
    from torch.nn.functional import grid_sample, pad

    height, width = images.shape[1:3]
    tall, wide = (1 << (side - 1).bit_length() for side in (height, width))
    pixels = images.permute(0, 3, 1, 2).to(torch.float32)  # (n, 3, H, W), channels last in memory
    if (tall, wide) != (height, width):
        pixels = pad(pixels, (0, wide - width, 0, tall - height))
    # grid_sample's -1 and 1 are the outer borders of the first and last pixel.
    sides = torch.tensor([wide, tall], dtype=torch.float32, device=places.device)[:, None, None]
    grid = places.mul_(2 / (_STEPS * sides)).add_(1 / sides - 1).permute(0, 2, 3, 1)  # (n, H, W, 2)
    samples = grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    levels = (
        samples.add_(0.5).to(torch.int32).to(torch.uint8)
    )  # straight to uint8 is not vectorised
    out.copy_(torch.stack(levels.unbind(1), dim=-1))


def _cells(length: int, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """Of each pixel along one side: the cell of the grid it lies in, and its place in that cell in
    [0, 1].
    """
    import torch

    places = np.arange(length) * (GRID - 1) / (length - 1)
    cells = np.minimum(places.astype(np.int64), GRID - 2)
    return torch.from_numpy(cells).to(device), torch.from_numpy(
        (places - cells).astype(np.float32)
    ).to(device)


def check_batch(images: "Tensor", count: int) -> tuple[int, int, int]:
    """n, H, W of uint8 pictures (n, H, W, 3) that must be `count` in number; ValueError if they are
    anything else.
    """
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f"expected uint8 pictures of shape (n, H, W, 3), got {images.dtype} "
            f"{tuple(images.shape)}"
        )
    if len(images) != count:
        raise ValueError(f"{len(images)} pictures but amounts for {count}")
    if min(images.shape[1:3]) < 2 * GRID:
        raise ValueError(
            f"pictures of {images.shape[2]} x {images.shape[1]} pixels are too small to manipulate"
        )
    return images.shape[0], images.shape[1], images.shape[2]
