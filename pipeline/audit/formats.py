"""What a picture's file tells before anyone looks at the picture: format, size, compression.

From the headers alone; nothing is decoded. JPEG's quality is read off its quantisation tables:
libjpeg scales the tables of ITU-T T.81, Annex K, by a factor that follows from the quality
(jcparam.c of the Independent JPEG Group)."""

import io
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError

READABLE = ("PNG", "JPEG", "WEBP")
SIZES_SHOWN = 5

# Luminance quantisation of ITU-T T.81, table K.1, row by row.
LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
CHROMA = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}


class UnreadableHeader(PipelineError):
    """A file whose headers say nothing; `reason` tells why, in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Description:
    """What one file says of itself."""

    format: str  # of READABLE
    width: int  # pixels as stored, not turned by EXIF's orientation
    height: int
    mode: str  # PIL's: RGB, RGBA, L, P, CMYK ...
    jpeg_quality: int | None  # 1..100, the closest of libjpeg; None where it is no JPEG
    quality_is_exact: bool  # whether the table is libjpeg's of that quality
    chroma_subsampling: str | None  # of JPEG in colour, "4:2:0"; None elsewhere
    has_exif: bool  # before the pixels
    bytes_per_pixel: float  # of the whole file: depends on what the picture shows


def describe(content: bytes) -> Description:
    """The description of a picture file, given as its bytes. Raises UnreadableHeader where the
    headers are damaged.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=READABLE) as image:
            return _described(image, len(content))
    except UnreadableHeader:
        raise
    except UnidentifiedImageError:
        raise UnreadableHeader(
            "not a PNG, JPEG or WebP file" if content else "empty file"
        ) from None
    except Image.DecompressionBombError:
        raise UnreadableHeader("too many pixels") from None
    # PIL raises all of these on damaged bytes
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        struct.error,
        EOFError,
    ) as error:
        raise UnreadableHeader(f"damaged header ({type(error).__name__})") from None


def jpeg_quality(luminance: Sequence[int]) -> tuple[int, bool]:
    """The quality 1..100 whose luminance table of libjpeg is closest to this one (64,) by total
    difference; whether it is it.

    Rows may come in any order that is the same for all tables, but PIL's is row by row. Other
    encoders have tables of their own; for them the quality says how coarse they are on libjpeg's
    scale."""
    if len(luminance) != 64:
        raise UnreadableHeader(f"quantisation table of {len(luminance)} numbers")
    difference = np.abs(_libjpeg_tables() - np.asarray(luminance)).sum(axis=1)
    best = int(np.argmin(difference))
    return best + 1, bool(difference[best] == 0)


@cache
def _libjpeg_tables() -> np.ndarray:
    """Luminance tables (100, 64) of the qualities 1..100."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((LUMINANCE * scale + 50) // 100).clip(1, 255)


def _described(image: Any, size: int) -> Description:
    if image.width < 1 or image.height < 1:
        raise UnreadableHeader("no pixels")
    quality, exact, chroma = None, False, None
    if image.format == "JPEG":
        components = (
            image.layer
        )  # (id, horizontal samples, vertical samples, quantisation table) of each
        if not components or components[0][3] not in image.quantization:
            raise UnreadableHeader("no quantisation table")
        quality, exact = jpeg_quality(image.quantization[components[0][3]])
        chroma = _chroma(components)
    exif = bool(image.info.get("exif") or image.info.get("Raw profile type exif"))
    pixels = image.width * image.height
    return Description(
        image.format,
        image.width,
        image.height,
        image.mode,
        quality,
        exact,
        chroma,
        exif,
        size / pixels,
    )


def _chroma(components: Sequence[tuple[int, int, int, int]]) -> str | None:
    """How much coarser the second and third of three components are than the first; None for grey
    and for four inks.
    """
    if len(components) != 3:
        return None
    (_, across, down, _), *others = components
    if any(one[1:3] != others[0][1:3] for one in others):
        return "uneven"
    horizontal, vertical = (
        a / b if b else 0 for a, b in zip((across, down), others[0][1:3], strict=True)
    )
    return (
        CHROMA.get((int(horizontal), int(vertical)), "other")
        if horizontal % 1 == vertical % 1 == 0
        else "other"
    )


def summary(files: Sequence[Description | UnreadableHeader]) -> dict[str, Any]:
    """How often what occurs in the files of one set: the row of a table of formats, plain numbers
    for JSON.
    """
    read = [file for file in files if isinstance(file, Description)]
    qualities = [file.jpeg_quality for file in read if file.jpeg_quality is not None]
    sizes = Counter(f"{file.width}x{file.height}" for file in read)
    frequent = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:SIZES_SHOWN])
    others = len(read) - sum(frequent.values())
    return {
        "faces": len(files),
        "formats": _counts(file.format for file in read),
        "sizes": frequent | ({"other": others} if others else {}),
        "width": _spread([file.width for file in read]),
        "height": _spread([file.height for file in read]),
        "jpeg_quality": {"files": len(qualities), **(_spread(qualities) or {})}
        if qualities
        else None,
        "chroma_subsampling": _counts(
            file.chroma_subsampling for file in read if file.chroma_subsampling
        ),
        "with_exif": sum(file.has_exif for file in read),
        "bytes_per_pixel": float(np.median([file.bytes_per_pixel for file in read]))
        if read
        else None,
        "unreadable_headers": _counts(
            file.reason for file in files if isinstance(file, UnreadableHeader)
        ),
    }


def _counts(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _spread(values: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}
