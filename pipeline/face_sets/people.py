"""Who took a photograph or is on it, and on which side of a split they are."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.base.errors import PipelineError
from pipeline.common.splits import split_of


def person_of(name: str, pattern: str) -> str:
    """Who is on the picture `name` (a path): the first group of the regular expression in the
    file's name.

    With an empty pattern each file is its own person. PipelineError when the pattern does not
    match."""
    path = PurePosixPath(name)
    if not pattern:
        return path.stem
    match = re.search(pattern, path.name)
    if match is None or not match.group(1):
        raise PipelineError(
            f"params.yaml: data.person_pattern {pattern!r} finds no person in the file name "
            f"{path.name!r}; "
            "change the pattern, or set it to '' if each file shows another person"
        )
    return match.group(1)


def of_split(
    names: Sequence[str], split: str, *, pattern: str, seed: int, calibration: float
) -> list[str]:
    """The names whose person falls into `split`, fit or calibration, by hash: no person is in both."""
    shares = {"calibration": calibration, "fit": 1 - calibration}
    return [name for name in names if split_of(person_of(name, pattern), seed, shares) == split]
