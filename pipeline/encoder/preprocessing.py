"""From a stored picture to the input of an encoder: the face box, crop and resize."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FLOATS = 2**26  # of whole pictures at a time: 256 MB, however large they are


@dataclass(frozen=True)
class Preprocessing:
    """What an encoder expects of its input; stored in its file, so that every reader agrees."""

    input_size: int  # pixels, width and height
    resize: str = "bilinear"  # the only kernel there is
    antialias: bool = True  # when shrinking, the kernel widens, as PIL's does


def square_box(
    boxes: NDArray[np.floating[Any]], scale: float, width: int, height: int
) -> NDArray[np.float64]:
    """Boxes made square around their centre, enlarged by `scale`, clipped to the picture.

    boxes: (n, 4) x0, y0, x1, y1 in pixels; the side becomes the longer side times `scale`. Returns
    float64 (n, 4), not square where the picture ends. After `bbox_crop_pil2cvt2pil` of the authors'
    code (scale 1.3), without its rounding to whole pixels and its shift of boxes that begin outside
    the picture. ValueError for an empty box or one whose centre is outside."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, 2:]
    centre, side = (low + high) / 2, (high - low).max(axis=1, keepdims=True)
    limit = np.array([width, height], dtype=np.float64)
    bad = ~((low < high).all(axis=1) & (centre > 0).all(axis=1) & (centre < limit).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"box {boxes[row].tolist()} in row {row} is empty or lies outside the {width} x "
            f"{height} picture"
        )
    half = side * scale / 2
    return np.concatenate([np.maximum(centre - half, 0), np.minimum(centre + half, limit)], axis=1)


def check_boxes(boxes: NDArray[np.floating[Any]], width: int, height: int) -> None:
    """ValueError unless all boxes (n, 4) are x0 < x1 and y0 < y1 within pictures of width x height
    pixels: what `crop_resize` relies on.
    """
    x0, y0, x1, y1 = np.asarray(boxes).reshape(-1, 4).T
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= width) & (y1 <= height)
    if not inside.all():
        row = int(np.argmin(inside))
        raise ValueError(
            f"box {boxes[row].tolist()} in row {row}: every box must have x0 < x1, y0 < y1 and lie "
            f"within the {width} x {height} picture"
        )


def crop_resize(images: Tensor, boxes: Tensor, size: int, *, antialias: bool = True) -> Tensor:
    """Box i of picture i as a size x size picture, in one bilinear resampling of the stored pixels.

    images: uint8 (n, H, W, 3); boxes: (n, 4) x0, y0, x1, y1 in pixels, fractions allowed, on the
    same device, as `check_boxes` wants them. Returns float32 (n, 3, size, size) in 0..255, not
    rounded. No value is read on the way, so that a GPU is not waited for and all is compiled as one
    graph. With `antialias` the kernel widens when shrinking: equals PIL's `Image.resize(box=...)`;
    without, torch's `interpolate(align_corners=False)`. As in PIL, pixels just outside the box
    count at its edge."""
    n, height, width, _ = images.shape
    if boxes.shape != (n, 4):
        raise ValueError(f"{n} pictures need boxes of shape ({n}, 4), got {tuple(boxes.shape)}")
    x0, y0, x1, y1 = boxes.double().unbind(dim=1)
    rows = _weights(y0, y1, height, size, antialias=antialias)  # (n, size, H)
    columns = _weights(x0, x1, width, size, antialias=antialias)  # (n, size, W)
    some = max(1, FLOATS // (height * width * 3))  # pictures that become float32 at a time
    parts = [
        torch.bmm(rows[i : i + some], images[i : i + some].reshape(-1, height, width * 3).float())
        for i in range(0, n, some)
    ]
    narrow = torch.cat(parts) if n else rows.new_zeros(0, size, width * 3)
    narrow = narrow.reshape(n, size, width, 3).permute(0, 3, 1, 2)  # (n, 3, size, W)
    return narrow.reshape(n, 3 * size, width).bmm(columns.transpose(1, 2)).reshape(n, 3, size, size)


def _weights(low: Tensor, high: Tensor, pixels: int, size: int, *, antialias: bool) -> Tensor:
    """Weights (n, size, pixels), each row summing to 1, that resample the pixels between the
    float64 edges low, high (n,).
    """
    step = ((high - low) / size).unsqueeze(1)  # (n, 1) source pixels per output pixel
    centre = low.unsqueeze(1) + (torch.arange(size, device=low.device) + 0.5) * step  # (n, size)
    # Without antialiasing the last pixel continues beyond the edge, as in torch (two more pixels on
    # each side, summed into it); with it the weights are renormalised, as in PIL.
    beyond = 0 if antialias else 2
    grid = torch.arange(-beyond, pixels + beyond, dtype=torch.float32, device=low.device)
    whole = centre.floor()  # apart from the fraction: float32 stays exact for large pictures
    fraction = (centre - whole).float().unsqueeze(2)
    distance = (grid - whole.float().unsqueeze(2)) + (0.5 - fraction)  # (n, size, pixels + ...)
    if antialias:
        distance = distance / step.clamp_min(1).float().unsqueeze(2)
    weights = (1 - distance.abs()).clamp_min(0)
    if beyond:
        left, weights, right = weights.split([beyond, pixels, beyond], dim=2)
        weights[..., 0] += left.sum(dim=2)
        weights[..., -1] += right.sum(dim=2)
    return weights / weights.sum(dim=2, keepdim=True)
