"""The EXIF directory inside a photograph's file, in the form of a record's "EXIF" object.

Numbers stay the quotients that the file has, so that `tags.parse_tags` refuses them for the same
reasons as those of the authors' records."""

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.common.metadata import take_apart
from pipeline.exif.tags import KEYS, PARSERS, Rejection

DIRECTORY = 0x8769  # where the tags of the shot are; some cameras have them one level higher
ISO, F_NUMBER, EXPOSURE_TIME = 0x8827, 0x829D, 0x829A
FOCAL_LENGTHS = {"as_is": 0x920A, "full_frame": 0xA405}  # as exif.focal_length of params.yaml
APERTURE, SHUTTER_SPEED = 0x9202, 0x9201  # APEX: 2 log2(f-number), -log2(seconds)
WIDE_ISO = (0x8831, 0x8832, 0x8833)  # of 32 bits, where the 16 of ISO are full
READ = (ISO, F_NUMBER, EXPOSURE_TIME, APERTURE, SHUTTER_SPEED, *WIDE_ISO)
TOLERANCE = 1 / 3  # stops between a value and its APEX form


def read_exif(data: bytes, focal_length: str = "as_is") -> dict[str, Any]:
    """Texts and numbers of the four tags by the keys of `tags.KEYS`, as far as the file (JPEG, PNG,
    WebP, TIFF or HEIC) has them; `focal_length` is one of FOCAL_LENGTHS.

    Raises Rejection: exif_missing, exif_broken, f_number_ambiguous or exposure_time_s_ambiguous
    where a value and its APEX form differ by more than TOLERANCE; nothing else."""
    focal = FOCAL_LENGTHS[focal_length]
    found = values_of(data, (*READ, focal))
    values = {
        "iso": _iso(found),
        "f_number": _or_apex("f_number", found, (F_NUMBER, APERTURE), 2),
        "exposure_time_s": _or_apex("exposure_time_s", found, (EXPOSURE_TIME, SHUTTER_SPEED), -1),
        "focal_length_mm": _text(found[focal]),
    }
    return {KEYS[tag]: value for tag, value in values.items() if value is not None}


def values_of(data: bytes, tags: Iterable[int]) -> dict[int, Any]:
    """What the EXIF of a file has under these tags, as Pillow reads it; None where it has nothing.

    Of EXIF's own directory, else of the first one. Raises Rejection: exif_missing, exif_broken."""
    from PIL import Image

    if not (tiff := take_apart(data).exif):
        raise Rejection("exif_missing")
    try:
        first = Image.Exif()
        first.load(tiff)
        own = first.get_ifd(DIRECTORY)
        return {tag: own.get(tag, first.get(tag)) for tag in tags}
    except Exception as error:  # Pillow raises nearly any on damaged bytes
        raise Rejection("exif_broken", str(error) or type(error).__name__) from None


def _text(value: Any) -> Any:
    """A quotient or several values as text; all else as it is, for the parser to judge."""
    if isinstance(value, tuple):
        return " ".join(str(_text(one)) for one in value)
    if isinstance(value, numbers.Rational) and not isinstance(value, int):
        return f"{value.numerator}/{value.denominator}"  # also of x/0, which Pillow keeps
    return value


def _iso(found: Mapping[int, Any]) -> Any:
    """ISO speed; where that is full, the wider ones, which may be several."""
    iso = _text(found[ISO])
    try:
        PARSERS["iso"](iso)
    except Rejection as rejection:
        wide = [found[tag] for tag in WIDE_ISO if found[tag]]
        if rejection.reason == "saturated" and wide:
            return _text(tuple(wide)) if len(wide) > 1 else _text(wide[0])
    return iso


def _or_apex(tag: str, found: Mapping[int, Any], places: tuple[int, int], factor: int) -> Any:
    """A value; from its APEX form, factor * log2(value), where it is absent."""
    value, stops = _text(found[places[0]]), _number(found[places[1]])
    if stops is None:
        return value
    if value is None:
        try:
            return 2.0 ** (stops / factor)
        except OverflowError:
            return math.inf
    try:
        parsed = PARSERS[tag](value)
    except Rejection:
        return value
    if not parsed > 0 or abs(factor * math.log2(parsed) - stops) <= TOLERANCE:
        return value
    raise Rejection(f"{tag}_ambiguous", f"{value}, but {_text(found[places[1]])} in APEX")


def _number(value: Any) -> float | None:
    """A rational with a denominator as a number, else None."""
    if isinstance(value, numbers.Rational) and value.denominator:
        return int(value.numerator) / int(value.denominator)
    return None
