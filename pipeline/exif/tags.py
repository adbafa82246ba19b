"""EXIF tags as numbers with one unit each: ISO speed, f-number, exposure time in seconds, focal
length in millimetres; and any further number of EXIF that params.yaml describes.

The strings are those of YFCC100M ("1/60sec", "F2.8", "50.0 mm") and of the usual EXIF printers.
Every value that is not a plausible number is refused with one reason, so that rejections can be
counted."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base.schema import Exif

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
# Not with the blanks before them: looked for at each of a million, these would take hours
_SECONDS = re.compile(r"(?:s|secs?|seconds?)\.?$", re.IGNORECASE)
_MILLIMETRES = re.compile(r"mm\.?$", re.IGNORECASE)
_LIST = re.compile(r"[\s,;]+")


class Rejection(ValueError):
    """A record or tag that cannot be used, with a short, stable reason that can be counted, and
    what is known beside it, or "".
    """

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause


def _text(value: Any) -> str:
    """The value as text up to its first NUL (EXIF pads with them), without blanks around it. A
    Rejection in its place is why there is none.
    """
    if value is None:
        raise Rejection("missing")
    if isinstance(value, Rejection):
        raise value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Rejection("wrong_type")
    if isinstance(value, str):
        return value.partition("\0")[0].strip()
    try:
        return repr(float(value))
    except OverflowError as error:
        raise Rejection("not_finite") from error


def _number(text: str, *, zero: bool = False) -> float:
    """A decimal number (point or comma) or a quotient of two; else a Rejection, as for 0 unless
    `zero` is a value like others.
    """
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
    if number == 0 and not zero:
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
    return _number(_SECONDS.sub("", _text(value)).rstrip())


def parse_focal_length(value: Any) -> float:
    """Focal length in millimetres (of the lens, not the 35 mm equivalent) from "50.0 mm"."""
    return _number(_MILLIMETRES.sub("", _text(value)).rstrip())


def parse_further(value: Any, *, unit: str, zero: bool) -> float:
    """A number with its unit behind it, or without."""
    text = _text(value)
    if unit and text.endswith(unit):
        text = text.removesuffix(unit).rstrip()
    return _number(text, zero=zero)


class Tag(NamedTuple):
    """A tag, and how it becomes a number that can be ranked."""

    name: str  # in params.yaml and all that follows
    key: str  # in a record; of a further tag also in EXIF
    parse: Callable[[Any], float]
    range: tuple[float, float]  # lowest and highest plausible value
    scale: str  # log2 | linear
    stops: float  # per doubling with log2, else per unit

    def positions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (n,) as doublings, or on a linear scale as stops."""
        return np.log2(values) if self.scale == "log2" else values * self.stops

    def values(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `positions`."""
        return np.exp2(positions) if self.scale == "log2" else positions / self.stops

    def read(self, exif: Mapping[str, Any]) -> float:
        """The number that a record has. Raises Rejection("<tag>_<one of REASONS>")."""
        try:
            number = self.parse(exif.get(self.key))
            if not self.range[0] <= number <= self.range[1]:
                raise Rejection("out_of_range")
        except Rejection as why:
            cause = why.cause or _shown(exif, self.key)
            raise Rejection(f"{self.name}_{why.reason}", cause) from None
        return number


# A stop halves or doubles the light: a factor 2 in ISO and exposure time, a factor sqrt(2) in
# f-number. For the focal length "stop" is used for the same step, a factor 2.
KNOWN: dict[str, tuple[str, Callable[[Any], float], float]] = {
    "iso": ("ISO Speed Ratings", parse_iso, 1.0),
    # YFCC100M prints the f-number under this name, not APEX
    "f_number": ("Aperture Value", parse_f_number, 2.0),
    "exposure_time_s": ("Exposure Time", parse_exposure_time, 1.0),
    "focal_length_mm": ("Focal Length", parse_focal_length, 1.0),
}


class Wanted(NamedTuple):
    """The tags to read, and whether a face needs all of them or any."""

    tags: tuple[Tag, ...]
    every: bool

    @classmethod
    def of(cls, exif: Exif) -> "Wanted":
        """As section exif of params.yaml has them."""
        found = []
        for name, given in exif.tags.items():
            if isinstance(given, tuple):
                key, parse, stops = KNOWN[name]
                found.append(Tag(name, key, parse, given, "log2", stops))
            else:
                parse = partial(parse_further, unit=given.unit, zero=given.scale == "linear")
                described = given.range, given.scale, given.stops
                found.append(Tag(name, given.name, parse, *described))
        return cls(tuple(found), exif.require == "all")


def parse_tags(
    exif: Mapping[str, Any], wanted: Wanted
) -> tuple[dict[str, float], Sequence[Rejection]]:
    """The tags of one photograph by name, in order, and why some of them are NaN; `exif` maps the
    tags' keys to texts or numbers.

    Raises Rejection("<tag>_<one of REASONS>") for the first tag that cannot be used, where all are
    wanted or none can be used."""
    found, lacking = dict[str, float](), list[Rejection]()
    for tag in wanted.tags:
        try:
            found[tag.name] = tag.read(exif)
        except Rejection as rejection:
            if wanted.every:
                raise
            found[tag.name] = math.nan
            lacking.append(rejection)
    if len(lacking) == len(wanted.tags):
        raise lacking[0]
    return found, lacking


def _shown(exif: Mapping[str, Any], key: str) -> str:
    """What a record says under a key; where it has no such key, one that reads like it. That is
    none to use: under ApertureValue, for one, programs write two different numbers.
    """
    if key in exif:
        return f"{key} = {exif[key]!r:.60}"
    alike = [other for other in exif if letters(other) == letters(key)]
    return f"no {key}" + (f", but {alike[0]}" if alike else "")


def letters(text: str) -> str:
    """A name without what programs write differently: blanks, signs, case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def histogram(
    values: NDArray[np.float64], tag: Tag, *, maximum_bins: int = 120
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (bins + 1, in the tag's unit) and counts of values, NaN apart, in bins of a third of a
    doubling, or of a third of a stop on a linear scale.

    That is the step of camera dials; bins are centred on 2^(k/3) and become wider when there would
    be more than `maximum_bins`."""
    steps = tag.positions(values[~np.isnan(values)]) * 3
    if len(steps) == 0:
        return np.array([1.0]), np.zeros(0, dtype=np.int64)
    low, high = math.floor(steps.min() + 0.5), math.floor(steps.max() + 0.5)
    width = math.ceil((high - low + 1) / maximum_bins)
    bins = math.ceil((high - low + 1) / width)
    index = np.minimum((np.floor(steps + 0.5).astype(np.int64) - low) // width, bins - 1)
    edges = tag.values((low - 0.5 + width * np.arange(bins + 1)) / 3)
    return edges, np.bincount(index, minlength=bins).astype(np.int64)
