"""Who took a photograph or is on it, and on which side of a split they are."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.base import randomness
from pipeline.base.errors import PipelineError


def group_of(author: str, photo_id: str) -> str:
    """What must stay on one side of a split: the author, or the photograph where no author is known."""
    return author or photo_id


def person_of(name: str, pattern: str) -> str:
    """Who is on the picture `name` (a path): the first group of the regular expression in the file's name.

    With an empty pattern each file is its own person. PipelineError when the pattern does not match.
    """
    path = PurePosixPath(name)
    if not pattern:
        return path.stem
    match = re.search(pattern, path.name)
    if match is None or not match.group(1):
        raise PipelineError(
            f"params.yaml: data.person_pattern {pattern!r} finds no person in the file name {path.name!r}; "
            "change the pattern, or set it to '' if each file shows another person"
        )
    return match.group(1)


def split_of(group: str, seed: int, shares: Mapping[str, float]) -> str:
    """The split of a group: a hash of (seed, group) laid over the shares in order, e.g. {"validation": 0.1, "train": 0.9}.

    The same group gets the same split whatever other groups there are. ValueError unless the shares sum to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares {dict(shares)} do not sum to 1")
    place = randomness.share(group, seed, "split")
    end = 0.0
    for name, share in shares.items():
        end += share
        if place < end:
            return name
    return list(shares)[-1]


def of_split(names: Sequence[str], split: str, *, pattern: str, seed: int, calibration: float) -> list[str]:
    """The names whose person falls into `split`, fit or calibration, by hash: no person is in both."""
    shares = {"calibration": calibration, "fit": 1 - calibration}
    return [name for name in names if split_of(person_of(name, pattern), seed, shares) == split]
