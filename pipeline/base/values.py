"""Kinds of values that params.yaml holds, and what is wrong with one (ValueError)."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pipeline.base.perturbation_names import CLEAN, parse

KNOWN_TAGS = ("iso", "f_number", "exposure_time_s", "focal_length_mm")
# Heads, figures and columns of the faces table that are called otherwise than by a tag
NO_TAGS = (
    *("manipulation", "mean", "total", "all", "exposure_time", "focal_length"),
    *("face_id", "photo_id", "author", "group", "split", "row"),
)
POINTS = ("box_", "nose_", "r_", "l_")  # columns of boxes and landmarks begin so


def one_group(pattern: str) -> str:
    """A regular expression with one group, or empty."""
    try:
        if pattern and re.compile(pattern).groups != 1:
            raise ValueError("needs exactly one group in parentheses, or must be empty")
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


def no_number(value: Any) -> Any:
    """For choices of which true and false are some."""
    if isinstance(value, int | float) and not isinstance(value, bool):  # Python's 1 == True
        raise ValueError("a number is neither true nor false")
    return value


def ascending(values: Any) -> Any:
    """The smallest first."""
    if list(values) != sorted(values):
        raise ValueError("needs the smallest first")
    return values


def distinct(values: list[Any]) -> list[Any]:
    """Each once."""
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"{', '.join(map(str, twice))} stands twice: name each once")
    return values


def face_detector(name: str) -> str:
    """A detector by its name, or a file below the data root."""
    path = PurePosixPath(name.removeprefix("yunet:"))
    given = name.endswith(".csv") or name.startswith("yunet:")
    if name != "centerface" and (not given or path.is_absolute() or ".." in path.parts):
        raise ValueError(
            "allowed are centerface, yunet:FILE and FILE.csv, with a FILE relative to "
            "data.root/SSL_training_data, without .."
        )
    return name


def tag_name(name: str) -> str:
    """A name that columns, heads and figures can have."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in NO_TAGS or name.startswith(POINTS):
        raise ValueError(
            "is no name for a tag: use small letters, digits and _, none of "
            f"{', '.join(NO_TAGS)}, and none that begins with {' or '.join(POINTS)}"
        )
    return name


def known_or_described(tags: dict[str, Any]) -> dict[str, Any]:
    """Of a known tag a range, of any other all that is needed to read it."""
    for name, given in tags.items():
        if name in KNOWN_TAGS and not isinstance(given, tuple):
            raise ValueError(f"{name} is known: give its range alone, [lowest, highest]")
        if name not in KNOWN_TAGS and isinstance(given, tuple):
            raise ValueError(
                f"{name} is none of {', '.join(KNOWN_TAGS)}: say how it is read, as in {{name: "
                "BrightnessValue, unit: EV, range: [-10, 15], scale: linear, stops: 1}"
            )
    return tags


def something_counts(weights: dict[str, float]) -> dict[str, float]:
    """One of manipulation, and at least one above 0."""
    if "manipulation" not in weights:
        raise ValueError("has no weight of manipulation, the loss of telling manipulations")
    if not any(weights.values()):
        raise ValueError("all are 0, so that nothing would be learnt: raise one")
    return weights


def no_result(name: str) -> str:
    """Not the name of a result."""
    if name.startswith("photographic_") or name in ("mean", "worst"):
        raise ValueError("is the name of a result; rename the folder")
    return name


def perturbation(name: str) -> str:
    """The name of a perturbation."""
    parse(name)
    return name


def history(name: str) -> str:
    """The name of a perturbation, or that of none."""
    return name if name == CLEAN else perturbation(name)


def clean_first(histories: list[str]) -> list[str]:
    """The first is none."""
    if histories[0] != CLEAN:
        raise ValueError(f"needs {CLEAN}, photographs as they are, first")
    return histories


def quoted(path: str) -> str:
    """Stands in single quotes on dvc.yaml's command lines, where DVC itself reads ${...}."""
    if not path or path.startswith("-") or not path.isprintable() or {*path} & {"'", "$"}:
        raise ValueError(
            "does not fit the pattern of a folder on a command line: no ' or $, no line breaks, "
            "and no - at the start; rename it, or link to it"
        )
    return path


def program(line: str) -> str:
    """Stands on dvc.yaml's command lines as it is."""
    if not re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./=:,@+ -]*", line):
        raise ValueError("needs a program and its options, without anything for the shell")
    return line


Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
# Channels: with fewer, PyTorch 2.12 writes beyond its memory on processors without AVX-512 (the
# gradient of a 1 x 1 convolution with a stride)
Width = Annotated[int, Field(ge=8)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, le=0.9)]
Weight = Annotated[float, Field(ge=0)]
TagName = Annotated[str, AfterValidator(tag_name)]
LossWeights = Annotated[dict[str, Weight], AfterValidator(something_counts)]
SmallShare = Annotated[float, Field(gt=0, lt=0.2)]
NotStrict = Field(strict=False)  # YAML has lists only, no tuples; the numbers stay strict
Range = Annotated[tuple[Positive, Positive], NotStrict, AfterValidator(ascending)]
Text = Annotated[str, Field(min_length=1)]
Device = Literal["auto", "cpu", "cuda"]
License = Literal["CC-BY", "CC-BY-SA", "CC-BY-ND", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-NC-ND"]
Precision = Literal["auto", "float32", "bfloat16"]
FolderName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), AfterValidator(no_result)
]
Generators = Annotated[list[FolderName], Field(min_length=1), AfterValidator(distinct)]
Perturbations = Annotated[
    list[Annotated[str, AfterValidator(perturbation)]], AfterValidator(distinct)
]
