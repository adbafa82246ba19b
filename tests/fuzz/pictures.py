"""Targets: pictures, and what photographs say inside."""

import functools
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.common import pictures as reader
from pipeline.detect import reading
from pipeline.exif import photographs
from pipeline.exif.embedded import read_exif
from pipeline.face_sets.inspection import inspect
from tests.fuzz.records import ANY, check_tags
from tests.fuzz.target import Target, must, put

BOX = "path,box_x0,box_y0,box_x1,box_y1\na.jpg,40,30,130,120\n"


def repaired(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks need, for a decoder to look into them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    made, place = data[:8], 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        if end + 4 > len(data):
            break
        made += data[place:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return made + data[place:]


def pictures(data: bytes, folder: Path) -> None:
    path = put(folder / "a.png", repaired(data))
    (found,) = inspect(["a.png"], folder)
    file = reading.read(str(path))
    must((file.picture is None) == bool(found.reason) == bool(file.error), "two answers")
    if file.picture is not None:
        must(file.picture.dtype == np.uint8 and file.picture.shape[2:] == (3,), "no RGB")
        must(file.picture[..., 0].size <= reader.MAXIMUM_PIXELS, "size")


def photograph(data: bytes, folder: Path) -> None:
    root = folder / "photographs"
    content = repaired(data)
    put(root / "a.jpg", content)
    put(folder / "boxes.csv", BOX.encode())
    settings = photographs.Settings(root, ANY, ["edited", "shrunken", "generated"], "", "boxes.csv")
    photographs._finder.cache_clear()
    found, reasons = photographs.read_some(["a.jpg"], settings)
    must(len(found) + reasons.total == 1, "neither used nor counted")
    str(reasons).encode()
    for one in found:
        for face, pixels in zip(one.faces, one.pixels, strict=True):
            must(pixels.shape == (128, 128, 3), "shape")
            must(np.isfinite(face.box).all(), "box")
            face.author.encode()
    check_tags(read_exif(content, ANY), ANY)


@functools.cache
def _some() -> dict[str, bytes]:
    """The same face with EXIF in each format, and odd ones."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "Maker", 6, "Firmware"
    own = exif.get_ifd(0x8769)
    own[0x8827], own[0x829D], own[0x829A], own[0x920A] = 200, 2.8, 0.01, 50.0
    own[0x9202], own[0x8833] = 2.97, 100000
    random = np.random.default_rng(1)
    small = Image.fromarray(random.integers(0, 255, (8, 9, 3), np.uint8))
    wide = small.resize((170, 160))
    made = dict[str, bytes]()
    kinds: list[tuple[str, Any, dict[str, Any]]] = [
        ("JPEG", small, {"quality": 30, "xmp": b'<x tiff:Orientation="3"/>', "comment": b"c"}),
        ("JPEG", wide, {"quality": 5, "progressive": True}),
        ("PNG", small, {"dpi": (72, 72)}),
        ("PNG", small.convert("P"), {"transparency": 1}),
        ("PNG", small.convert("LA"), {}),
        ("WEBP", small, {"xmp": b"<x/>"}),
        ("WEBP", small.convert("RGBA"), {"lossless": True}),
        ("TIFF", small, {}),
        ("TIFF", wide, {"compression": "jpeg"}),
        ("TIFF", small, {"compression": "tiff_lzw"}),
        ("JPEG", small.convert("CMYK"), {"quality": 30}),
        ("PNG", Image.fromarray(np.asarray(small)[..., 0].astype(np.uint16) * 200), {}),
    ]
    for name, image, options in kinds:
        made[f"{len(made)} {name}"] = _saved(image, name, {**options, "exif": exif})
    return made


def _saved(image: Any, name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def picture_seeds() -> list[bytes]:
    return [data for name, data in _some().items() if not name.endswith("TIFF")]


def photograph_seeds() -> list[bytes]:
    seeds = list(_some().values())
    try:
        import pillow_heif
    except ImportError:
        return seeds
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(seeds[0])) as image:
        image.save(buffer, "HEIF", exif=image.getexif())
    return [*seeds, buffer.getvalue()]


TARGETS = {
    "pictures": Target(pictures, picture_seeds, megabytes=1536, seconds=10),
    "photographs": Target(photograph, photograph_seeds, megabytes=1536, seconds=10),
}
