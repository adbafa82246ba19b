"""Which pictures of a list a set takes: by person, and at most so many by a keyed hash."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.splits import split_of


def person_of(name: str, pattern: str) -> str:
    """Who is on the picture `name` (a path): the pattern's first group in the file's name, in
    Unicode's form NFC, so that one name is one person however a disk spells its accents.

    With an empty pattern each file is its own person. PipelineError when the pattern does not
    match."""
    path = PurePosixPath(name)
    if not pattern:
        return path.stem
    match = re.search(pattern, path.name)
    if match is None or not match.group(1):
        raise PipelineError(
            f"params.yaml: data.person_pattern {pattern!r} finds no person in the file name "
            f"{path.name!r}; change the pattern, or set it to '' if each file shows another person"
        )
    return unicodedata.normalize("NFC", match.group(1))


def of_split(
    names: Sequence[str], split: str, *, pattern: str, seed: int, calibration: float
) -> list[str]:
    """The names whose person falls into `split`, fit or calibration, by hash: none is in both."""
    shares = {"calibration": calibration, "fit": 1 - calibration}
    return [name for name in names if split_of(person_of(name, pattern), seed, shares) == split]


def choose(names: Sequence[str], maximum: int, *, seed: int) -> list[str]:
    """At most `maximum` of the names, sorted, by a keyed hash: their order has no influence."""
    names = sorted(names)
    return [names[row] for row in rows(names, maximum, seed=seed, purpose="extract_features")]


def rows(names: Sequence[str], maximum: int, *, seed: int, purpose: str) -> np.ndarray:
    """Ascending rows (k,) of at most `maximum` names, by a keyed hash of each."""
    draw = randomness.uniforms(seed, purpose, randomness.hashes(names))
    return np.sort(np.argsort(draw, kind="stable")[:maximum])
