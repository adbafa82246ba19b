"""EXIF tags as numbers with one unit each: ISO speed, f-number, exposure time in seconds, focal
length in millimetres.

The strings are those of YFCC100M ("1/60sec", "F2.8", "50.0 mm") and of the usual EXIF printers.
Every value that is not a plausible number is refused with one reason, so that rejections can be
counted."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEYS = {
    "iso": "ISO Speed Ratings",
    "f_number": "Aperture Value",  # YFCC100M prints the f-number under this name, not APEX
    "exposure_time_s": "Exposure Time",
    "focal_length_mm": "Focal Length",
}
REASONS = (
    "missing",  # no such key, or null
    "empty",  # nothing but blanks, NULs or the unit ("F")
    "wrong_type",  # a bool, list or object instead of a string or number
    "not_a_number",  # "Unknown", "18-55 mm"
    "not_finite",  # NaN, inf, too large for a float
    "zero_denominator",  # "1/0"
    "zero",  # "0", "0.0 mm": the camera did not know (adapted lenses, early digital cameras)
    "out_of_range",  # outside the plausible range given as a parameter, negative included
    "saturated",  # ISO 65535: the 16-bit tag is full, the true value is elsewhere
    "ambiguous",  # two different ISO values; "1,200", which is read in two ways
)
ISO_SATURATED = 65535.0

_NUMBER = r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?"
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")  # 1,200: or one and a fifth
_VALUE = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_F_PREFIX = re.compile(r"[fF\u0192]\s*/?\s*")
_SECONDS = re.compile(r"\s*(?:s|secs?|seconds?)\.?$", re.IGNORECASE)
_MILLIMETRES = re.compile(r"\s*mm\.?$", re.IGNORECASE)
_LIST = re.compile(r"[\s,;]+")


class Rejection(ValueError):
    """A record or tag that cannot be used, with a short, stable reason that can be counted, and
    what is known beside it, or "".
    """

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause


def _text(value: Any) -> str:
    """The value as text up to its first NUL (EXIF pads with them), without blanks around it."""
    if value is None:
        raise Rejection("missing")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Rejection("wrong_type")
    if isinstance(value, str):
        return value.partition("\0")[0].strip()
    try:
        return repr(float(value))
    except OverflowError as error:
        raise Rejection("not_finite") from error


def _number(text: str) -> float:
    """A decimal number (point or comma) or a quotient of two, not zero; else a Rejection."""
    if not text:
        raise Rejection("empty")
    if _THOUSANDS.fullmatch(text):
        raise Rejection("ambiguous")
    match = _VALUE.fullmatch(text)
    if match is None:
        raise Rejection("not_finite" if _NOT_FINITE.fullmatch(text) else "not_a_number")
    numerator, denominator = (
        float(part.replace(",", ".")) if part else 1.0 for part in match.groups()
    )
    if denominator == 0:
        raise Rejection("zero_denominator")
    number = numerator / denominator
    if not math.isfinite(number):
        raise Rejection("not_finite")
    if number == 0:
        raise Rejection("zero")
    return number


def parse_iso(value: Any) -> float:
    """ISO speed (no unit) from "200", "200, 200" or "200 0": cameras store two, often a 0."""
    text = _text(value)
    words = [word for word in _LIST.split(text) if word]
    if len(words) < 2 or "/" in text:
        numbers = {_number(text)}
    else:
        numbers = {_number(word) for word in words if word.strip("0.")} or {_number("0")}
    if ISO_SATURATED in numbers:
        raise Rejection("saturated")
    if len(numbers) > 1:
        raise Rejection("ambiguous")
    return numbers.pop()


def parse_f_number(value: Any) -> float:
    """F-number (focal length over aperture diameter, no unit) from "F2.8", "f/2.8" or "2.8"."""
    text = _text(value)
    prefix = _F_PREFIX.match(text)
    return _number(text[prefix.end() :] if prefix else text)


def parse_exposure_time(value: Any) -> float:
    """Exposure time in seconds, never a reciprocal, from "1/60sec", "0.5 sec", "2" or "10/600"."""
    return _number(_SECONDS.sub("", _text(value)))


def parse_focal_length(value: Any) -> float:
    """Focal length in millimetres (of the lens, not the 35 mm equivalent) from "50.0 mm"."""
    return _number(_MILLIMETRES.sub("", _text(value)))


PARSERS: dict[str, Callable[[Any], float]] = {
    "iso": parse_iso,
    "f_number": parse_f_number,
    "exposure_time_s": parse_exposure_time,
    "focal_length_mm": parse_focal_length,
}

Bounds = Mapping[str, tuple[float, float]]  # of each tag: lowest and highest plausible value


def parse_tags(exif: Mapping[str, Any], bounds: Bounds) -> dict[str, float]:
    """The four tags of one photograph in the order of TAGS; `exif` maps KEYS to texts or numbers.

    The ends of `bounds` are plausible. Raises Rejection("<tag>_<one of REASONS>") for the first tag
    that cannot be used."""
    tags: dict[str, float] = {}
    for tag, key in KEYS.items():
        try:
            tags[tag] = PARSERS[tag](exif.get(key))
        except Rejection as rejection:
            raise Rejection(f"{tag}_{rejection.reason}", _shown(exif, key)) from None
        lowest, highest = bounds[tag]
        if not lowest <= tags[tag] <= highest:
            raise Rejection(f"{tag}_out_of_range", _shown(exif, key))
    return tags


def _shown(exif: Mapping[str, Any], key: str) -> str:
    """What a record says under a key; where it has no such key, one that reads like it. That is
    none to use: under ApertureValue, for one, programs write two different numbers.
    """
    if key in exif:
        return f"{key} = {exif[key]!r:.60}"
    alike = [other for other in exif if _letters(other) == _letters(key)]
    return f"no {key}" + (f", but {alike[0]}" if alike else "")


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def tie_rate(values: NDArray[np.float64]) -> float:
    """Share of the pairs of faces with equal values, which teach a ranking nothing; 0 for n < 2."""
    n = len(values)
    if n < 2:
        return 0.0
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / (n * (n - 1.0)))


def histogram(
    values: NDArray[np.float64], *, maximum_bins: int = 120
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (bins + 1, in the tag's unit) and counts of positive values in bins of a third of a
    doubling.

    That is the step of camera dials; bins are centred on 2^(k/3) and become wider when there would
    be more than `maximum_bins`."""
    steps = np.log2(values) * 3
    if len(steps) == 0:
        return np.array([1.0]), np.zeros(0, dtype=np.int64)
    low, high = math.floor(steps.min() + 0.5), math.floor(steps.max() + 0.5)
    width = math.ceil((high - low + 1) / maximum_bins)
    bins = math.ceil((high - low + 1) / width)
    index = np.minimum((np.floor(steps + 0.5).astype(np.int64) - low) // width, bins - 1)
    edges = np.exp2((low - 0.5 + width * np.arange(bins + 1)) / 3)
    return edges, np.bincount(index, minlength=bins).astype(np.int64)
