"""What a picture's file tells before anyone looks at the picture: format, size, compression.

From the headers alone; nothing is decoded. JPEG's quality is read off its quantisation tables:
libjpeg scales the tables of ITU-T T.81, Annex K, by a factor that follows from the quality
(jcparam.c of the Independent JPEG Group)."""

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.metadata import take_apart
from pipeline.common.pictures import FORMATS

# Luminance quantisation of ITU-T T.81, table K.1, row by row.
LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
# By how many times more samples across and down the luminance has than the colours.
CHROMA: dict[tuple[float, float], str] = {
    **{(1, 1): "4:4:4", (1, 2): "4:4:0", (2, 1): "4:2:2"},
    **{(2, 2): "4:2:0", (4, 1): "4:1:1", (4, 2): "4:1:0"},
}


class FileFormat(NamedTuple):
    """What one file says of itself."""

    format: str  # PNG, JPEG or WEBP
    width: int  # pixels as stored, not turned by EXIF's orientation
    height: int
    jpeg_quality: int | None  # 1..100, the closest of libjpeg; None where it is no JPEG
    chroma_subsampling: str | None  # of JPEG in colour, "4:2:0"; None elsewhere
    with_exif: bool
    bytes_per_pixel: float  # of the whole file: depends on what the picture shows


def describe(content: bytes, path: str) -> FileFormat:
    """The format of a picture file that can be decoded, given as its bytes. Raises PipelineError
    naming `path` for any other.
    """
    from PIL import Image

    parts = take_apart(content)
    try:
        with Image.open(io.BytesIO(parts.pixels), formats=FORMATS) as image:
            return _described(image, len(content), with_exif=bool(parts.exif))
    except (OSError, SyntaxError, ValueError, LookupError, AttributeError) as error:
        raise PipelineError(f"{path}: no readable header ({error}); leave it out") from error


def jpeg_quality(luminance: Sequence[int]) -> int:
    """The quality 1..100 whose luminance table of libjpeg is closest to this one (64,), in PIL's
    order, by total difference.

    Other encoders have tables of their own; for them it says how coarse these are."""
    quality = np.abs(_libjpeg_tables() - np.asarray(luminance)).sum(axis=1).argmin() + 1
    return int(quality)


@cache
def _libjpeg_tables() -> np.ndarray:
    """Luminance tables (100, 64) of the qualities 1..100."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((LUMINANCE * scale + 50) // 100).clip(1, 255)


def _described(image: Any, size: int, *, with_exif: bool) -> FileFormat:
    quality = chroma = None
    if image.format == "JPEG":
        # (id, samples across, samples down, quantisation table) of each component
        quality = jpeg_quality(image.quantization[image.layer[0][3]])
        chroma = _chroma([component[1:3] for component in image.layer])
    return FileFormat(
        image.format,
        image.width,
        image.height,
        quality,
        chroma,
        with_exif,
        size / (image.width * image.height),
    )


def _chroma(samples: Sequence[tuple[int, int]]) -> str | None:
    """How much coarser the two colours are than the luminance, from the samples (across, down) of
    each component; None for grey and for four inks.
    """
    if len(samples) != 3:
        return None
    luminance, blue, red = samples
    if blue != red:
        return "uneven"
    return CHROMA.get((luminance[0] / blue[0], luminance[1] / blue[1]), "other")
