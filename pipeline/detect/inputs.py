"""Pictures in a program's memory as the encoder takes them: uint8 RGB (height, width, 3)."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common import pictures

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112  # EXIF's tag
PNG_MODES = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})  # that PNG can hold


def as_pictures(given: Any) -> list[NDArray[np.uint8]]:
    """One picture or several: PIL images, uint8 arrays (height, width, 3), uint8 tensors (3,
    height, width), or an array or a tensor of several, with n in front.

    An image is treated as its file would be: turned as its EXIF orientation says, transparency and
    16 bits as `pictures.decode_picture` has them. TypeError or ValueError for anything else: values
    in 0..1 or normalised are refused, as nothing tells by what."""
    import torch
    from PIL import Image

    if isinstance(given, Image.Image):
        return [_of_image(given)]
    if isinstance(given, np.ndarray | torch.Tensor) and given.ndim != 4:
        return [_of_pixels(given)]
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise TypeError(f"a picture is a PIL image, an array or a tensor, not {_kind(given)}")
    return [_of_image(one) if isinstance(one, Image.Image) else _of_pixels(one) for one in given]


def _of_image(image: "Image.Image") -> NDArray[np.uint8]:
    exif = image.getexif()
    if image.mode == "RGB" and exif.get(ORIENTATION, 1) == 1 and "transparency" not in image.info:
        return np.array(image)
    if image.mode not in PNG_MODES:
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, exif=exif)
    return pictures.decode_picture(buffer.getvalue(), "picture")


def _of_pixels(pixels: Any) -> NDArray[np.uint8]:
    import torch

    if not isinstance(pixels, np.ndarray | torch.Tensor):
        raise TypeError(f"a picture is a PIL image, an array or a tensor, not {_kind(pixels)}")
    tensor = isinstance(pixels, torch.Tensor)
    array = pixels.detach().cpu().numpy() if isinstance(pixels, torch.Tensor) else pixels
    if array.dtype != np.uint8:
        raise ValueError(
            f"a picture's values are whole numbers 0 to 255 (uint8), not {array.dtype}: give the "
            "stored pixels, neither scaled nor normalised"
        )
    if tensor and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        wanted = "(3, height, width)" if tensor else "(height, width, 3)"
        raise ValueError(f"a picture has the shape {wanted}, not {tuple(pixels.shape)}")
    return np.ascontiguousarray(array)


def _kind(thing: object) -> str:
    return f"{type(thing).__name__}; read files with PIL.Image.open, or use the command"
