"""The authors' data folder as it lies on disk: its paths, its lists of pictures, its pictures.

Everything in it comes from elsewhere and may be broken or hostile: a bad picture has a short reason
that can be counted, a bad list as a whole is a PipelineError, and no name leads out of the folder.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.common.metadata import JPEG, PNG, take_apart

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")  # as PIL names them; a file's content decides, not its name
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
MAXIMUM_PIXELS = 80_000_000  # of one picture, before decoding; PIL warns of a bomb above this
MAXIMUM_BYTES = 256 * 2**20  # of one picture file
# Other formats by what stands among a file's first bytes
_OTHERS = {
    **{b"GIF8": "a GIF", b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF"},
    **{
        b"ftyphei": "a HEIC",
        b"ftypmif1": "a HEIC",
        b"ftypavif": "an AVIF",
        b"\xff\x0a": "a JPEG XL",
    },
    **{b"%PDF": "a PDF", b"<!DOCTYPE": "an HTML page", b"<html": "an HTML page"},
    b"version http": "a pointer of Git LFS",
}
# Behind what is transparent: white, as pages and viewers show it. The colours that a file stores
# where nothing is seen are an accident of its editor, and differ among pictures that look alike.
BACKGROUND = (255, 255, 255)
_READ = 2**16  # bytes at a time: room for the largest file would be reserved for every small one
# What brings a picture of EXIF's orientation upright; names of PIL's Transpose
_UPRIGHT = {
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}


def read_bytes(path: str | Path, maximum: int) -> bytes:
    """A file's content; of one larger than `maximum` bytes only some more bytes than that. OSError
    as `open` raises it, and for what is no regular file.

    Straight from the system: `Path` and `open` would cost more than all else that is done with a
    photograph's record. Only an empty read is the end: some file systems give less than asked."""
    parts, size = [], 0
    # Not to wait for somebody who writes into a pipe of that name
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        while size <= maximum and (part := os.read(descriptor, _READ)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


class UnreadablePicture(PipelineError):
    """A picture that cannot be used; `reason` is one of missing, empty, not_a_picture, too_large,
    truncated, broken, and `cause` what is known beside it, or "".
    """

    def __init__(self, path: str | Path, reason: str, detail: str = "") -> None:
        super().__init__(path, reason, detail)  # the arguments, as worker processes send errors
        self.reason, self.cause = reason, detail

    def __str__(self) -> str:
        path, reason, detail = self.args
        details = f" ({detail})" if detail else ""
        return f"{path}: {reason.replace('_', ' ')}{details}; leave it out or fetch it again"


class Decoded(NamedTuple):
    """A picture as it is seen."""

    pixels: NDArray[np.uint8]  # RGB (height, width, 3)
    transparent: bool  # some of it shows BACKGROUND


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """A PNG, JPEG or WebP file as uint8 RGB (height, width, 3), turned as its EXIF orientation
    says; what is transparent shows BACKGROUND.

    Only the first frame of an animation. UnreadablePicture for files that are missing, damaged or
    larger than MAXIMUM_PIXELS."""
    return decode_picture(read_picture_file(path), path)


def read_picture_file(path: str | Path) -> bytes:
    """The bytes of a picture file. UnreadablePicture if it is missing, empty or larger than
    MAXIMUM_BYTES.
    """
    try:
        data = read_bytes(path, MAXIMUM_BYTES)
    except OSError as error:
        raise UnreadablePicture(path, "missing", _why_missing(path, error)) from None
    if not data or len(data) > MAXIMUM_BYTES:
        raise UnreadablePicture(path, "too_large" if data else "empty")
    return data


def _why_missing(path: str | Path, error: OSError) -> str:
    """What there is to say beside that a picture is missing."""
    if not isinstance(error, FileNotFoundError):
        return str(error.strerror)
    return f"a link to {os.readlink(path)}, where nothing is" if os.path.islink(path) else ""


def decode_picture(data: bytes, path: str | Path) -> NDArray[np.uint8]:
    """As `read_picture`, from the file's bytes; `path` is for the message."""
    return decode(data, path).pixels


def decode(data: bytes, path: str | Path) -> Decoded:
    """As `decode_picture`, and whether any of the picture is transparent."""
    image, transparent = open_image(data, path)
    return Decoded(np.array(image), transparent)


def open_image(
    data: bytes, path: str | Path, formats: tuple[str, ...] = FORMATS
) -> tuple["Image.Image", bool]:
    """As `decode`, as PIL's RGB picture, whose parts cost less than an array of a large one;
    `formats` as PIL names them.
    """
    from PIL import Image, UnidentifiedImageError

    parts = take_apart(data)
    if parts.endless:
        raise UnreadablePicture(path, "broken", "more parts than any camera or program writes")
    try:
        with Image.open(io.BytesIO(parts.pixels), formats=formats) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                raise UnreadablePicture(path, "too_large", f"{image.width} x {image.height}")
            image.load()
            how = _UPRIGHT.get(parts.orientation)
            return _rgb(image.transpose(Image.Transpose[how]) if how else image)
    except UnreadablePicture:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadablePicture(path, "too_large", str(error)) from None
    except UnidentifiedImageError:
        ours = data.startswith((PNG, JPEG)) or data[:4] + data[8:12] == b"RIFFWEBP"
        other = next((name for start, name in _OTHERS.items() if start in data[:12]), "")
        if ours or (other in ("a TIFF", "a HEIC") and formats != FORMATS):
            raise UnreadablePicture(path, "broken", "no header of a picture") from None
        raise UnreadablePicture(path, "not_a_picture", other) from None
    except Exception as error:  # a decoder raises nearly any on damaged bytes
        reason = "truncated" if "truncated" in str(error) else "broken"
        cause = str(error) or type(error).__name__
        raise UnreadablePicture(path, reason, cause) from None


def _rgb(image: Any) -> tuple["Image.Image", bool]:
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16-bit grey: PIL would clip it to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB"), False
    transparent = False
    if image.has_transparency_data:
        image = image.convert("RGBA")
        transparent = image.getextrema()[3][0] < 255
        if transparent:
            image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return image if image.mode == "RGB" else image.convert("RGB"), transparent
