"""Files that are handed to a detector and are no plain photograph, each made here."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.picture_world import picture


def jpeg(mode: str = "RGB") -> bytes:
    return _saved(Image.fromarray(picture(1)).convert(mode), "JPEG")


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in 873 kB."""
    side = 30_000

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _saved(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def _content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (36, 40), **how: object):
    return _content(_saved(Image.fromarray(picture(2, *size)).convert(mode), kind, **how))


def _frames(kind: str) -> Callable[[Path], object]:
    frames = [Image.fromarray(picture(i)) for i in range(3)]
    return _content(_saved(frames[0], kind, save_all=True, append_images=frames[1:]))


def _deep(path: Path) -> None:
    Image.fromarray(picture(4)[..., 0].astype(np.uint16) * 257).save(path)


def _palette(path: Path) -> None:
    image = Image.fromarray(picture(5)).quantize(32)
    image.save(path, transparency=0)


def _forbidden(path: Path) -> None:
    path.write_bytes(jpeg())
    path.chmod(0)


# Name of the file and how it is made; then verdict (None: whatever it is, it is judged), and how
# reason and error begin.
FILES: dict[str, tuple[Callable[[Path], object], str | None, str, str]] = {
    "empty.jpg": (_content(b""), "cannot judge", "unreadable", "empty"),
    "truncated.jpg": (_content(jpeg()[:-300]), "cannot judge", "unreadable", "truncated"),
    "text.jpg": (_content(b"a text, not a picture\n"), "cannot judge", "unreadable", "not a pict"),
    "magic.png": (_content(b"\x89PNG\r\n\x1a\n"), "cannot judge", "unreadable", "broken"),
    "gif.png": (_picture("GIF"), "cannot judge", "unreadable", "not a picture"),
    "1x1.png": (_picture("PNG", size=(1, 1)), "cannot judge", "smaller than any", ""),
    "bomb.png": (_content(bomb()), "cannot judge", "unreadable", "too large"),
    "cmyk.jpg": (_content(jpeg("CMYK")), None, "", ""),
    "grey.jpg": (_content(jpeg("L")), None, "", ""),
    "16-bit.png": (_deep, None, "", ""),
    "palette.png": (_palette, None, "", ""),
    "animated.webp": (_frames("WEBP"), None, "first of 3 frames", ""),
    "animated.png": (_frames("PNG"), None, "first of 3 frames", ""),
    "really-a-png.jpg": (_picture("PNG"), None, "", ""),
    "folder.jpg": (lambda path: path.mkdir(), "cannot judge", "unreadable", "a folder without"),
    "forbidden.jpg": (_forbidden, "cannot judge", "unreadable", "permission denied"),
    "loop.jpg": (
        lambda path: path.symlink_to(path.name),
        "cannot judge",
        "unreadable",
        "too many leve",
    ),
    "nowhere.jpg": (
        lambda path: path.symlink_to("nothing"),
        "cannot judge",
        "unreadable",
        "no suc",
    ),
    "pipe.jpg": (os.mkfifo, "cannot judge", "unreadable", "not a regular file"),
    "line\nbreak.jpg": (_content(jpeg()), None, "", ""),
    os.fsdecode(b"not-utf-8-\xff.jpg"): (_content(jpeg()), None, "", ""),
}
