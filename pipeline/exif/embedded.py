"""The EXIF directory inside a photograph's file, in the form of a record's "EXIF" object.

Numbers stay the quotients that the file has, so that `tags.parse_tags` refuses them for the same
reasons as those of the authors' records."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.common.metadata import take_apart
from pipeline.exif.tags import (
    KNOWN,
    Rejection,
    Wanted,
    letters,
    parse_exposure_time,
    parse_f_number,
    parse_iso,
)

DIRECTORY = 0x8769  # where the tags of the shot are; some cameras have them one level higher
ISO, F_NUMBER, EXPOSURE_TIME, FOCAL_LENGTH = 0x8827, 0x829D, 0x829A, 0x920A
APERTURE, SHUTTER_SPEED = 0x9202, 0x9201  # APEX: 2 log2(f-number), -log2(seconds)
WIDE_ISO = (0x8831, 0x8832, 0x8833)  # of 32 bits, where the 16 of ISO are full
READ = (ISO, F_NUMBER, EXPOSURE_TIME, FOCAL_LENGTH, APERTURE, SHUTTER_SPEED, *WIDE_ISO)
TOLERANCE = 1 / 3  # stops between a value and its APEX form


def read_exif(data: bytes, wanted: Wanted) -> dict[str, Any]:
    """Texts and numbers of the tags by their keys, as far as the file (JPEG, PNG, WebP, TIFF or
    HEIC) has them; in place of one, perhaps a Rejection: ambiguous, where a value and its APEX form
    differ by more than TOLERANCE.

    Raises Rejection: exif_missing, exif_broken; nothing else."""
    further = numbers_of(wanted)
    found = values_of(data, (*READ, *further.values()))
    known = {
        "iso": _iso(found),
        "f_number": _or_apex(parse_f_number, found, (F_NUMBER, APERTURE), 2),
        "exposure_time_s": _or_apex(parse_exposure_time, found, (EXPOSURE_TIME, SHUTTER_SPEED), -1),
        "focal_length_mm": _text(found[FOCAL_LENGTH]),
    }
    values = {KNOWN[tag][0]: value for tag, value in known.items()}
    values |= {key: _text(found[number]) for key, number in further.items()}
    return {key: value for key, value in values.items() if value is not None}


def numbers_of(wanted: Wanted) -> dict[str, int]:
    """EXIF's numbers of the further tags by their keys, of which case and blanks do not count.
    PipelineError for one that is no tag of EXIF.
    """
    from PIL.ExifTags import Base

    known = {letters(tag.name): int(tag) for tag in Base}
    found = {tag.key: known.get(letters(tag.key)) for tag in wanted.tags if tag.name not in KNOWN}
    for key, number in found.items():
        if number is None:
            alike = [tag.name for tag in Base if letters(key) in letters(tag.name)]
            raise PipelineError(
                f"exif.tags: {key!r} is no tag of EXIF in photographs; give its name as in the "
                f"standard, such as {', '.join(alike[:3]) or 'BrightnessValue'}"
            )
    return {key: number for key, number in found.items() if number is not None}


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
        parse_iso(iso)
    except Rejection as rejection:
        wide = [found[tag] for tag in WIDE_ISO if found[tag]]
        if rejection.reason == "saturated" and wide:
            return _text(tuple(wide)) if len(wide) > 1 else _text(wide[0])
    return iso


def _or_apex(
    parse: Callable[[Any], float], found: Mapping[int, Any], places: tuple[int, int], factor: int
) -> Any:
    """A value; from its APEX form, factor * log2(value), where it is absent. A Rejection where the
    two do not agree.
    """
    value, stops = _text(found[places[0]]), _number(found[places[1]])
    if stops is None:
        return value
    if value is None:
        try:
            return 2.0 ** (stops / factor)
        except OverflowError:
            return math.inf
    try:
        parsed = parse(value)
    except Rejection:
        return value
    if not parsed > 0 or abs(factor * math.log2(parsed) - stops) <= TOLERANCE:
        return value
    return Rejection("ambiguous", f"{value}, but {_text(found[places[1]])} in APEX")


def _number(value: Any) -> float | None:
    """A rational with a denominator as a number, else None."""
    if isinstance(value, numbers.Rational) and value.denominator:
        return int(value.numerator) / int(value.denominator)
    return None
