"""Kinds of values in params.yaml, and what each of them must be."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.base.perturbation_names import parse


def _one_group(pattern: str) -> str:
    try:
        if pattern and re.compile(pattern).groups != 1:
            raise ValueError("needs exactly one group in parentheses, or must be empty")
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] < pair[1]:
        raise ValueError("needs two positive numbers, the smaller first")
    return pair


def _small_shares(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 < pair[0] <= pair[1] < 0.2:
        raise ValueError("needs 0 < low <= high < 0.2 (shares of the side)")
    return pair


def _rising(values: list[float]) -> list[float]:
    if sorted(set(values)) != values:
        raise ValueError("needs distinct values, the smallest first")
    return values


def _distinct(names: list[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} stands twice: name each once")
    return names


def _distinct_sets(names: list[str]) -> list[str]:
    reserved = sorted(
        name for name in names if name.startswith("photographic_") or name in ("mean", "worst")
    )
    if reserved:
        raise ValueError(
            f"{', '.join(reserved)}: 'mean', 'worst' and 'photographic_*' name results, rename the "
            "folder"
        )
    return _distinct(names)


Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Pair = Annotated[
    tuple[float, float], Field(strict=False)
]  # YAML has lists only; the two numbers stay strict
SmallShares = Annotated[Pair, AfterValidator(_small_shares)]
Range = Annotated[Pair, AfterValidator(_ascending)]
RisingShares = Annotated[list[Share], Field(min_length=1), AfterValidator(_rising)]
PersonPattern = Annotated[str, AfterValidator(_one_group)]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
CovarianceType = Literal["full", "tied", "diag", "spherical"]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Generators = Annotated[list[FolderName], Field(min_length=1), AfterValidator(_distinct_sets)]
Perturbations = Annotated[
    list[Annotated[str, AfterValidator(lambda name: parse(name) and name)]],
    AfterValidator(_distinct),
]
