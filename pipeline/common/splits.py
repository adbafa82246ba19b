"""On which side of a split a photograph is: made once, by a hash of its author, person or photo."""

from collections.abc import Mapping

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness


def group_of(author: str, photo_id: str) -> str:
    """What must stay on one side of a split: the author, or the photograph where no author is
    known.
    """
    return author or photo_id


def split_of(group: str, seed: int, shares: Mapping[str, float]) -> str:
    """The split of a group: a hash of (seed, group) laid over the shares in order, e.g.
    {"validation": 0.1, "train": 0.9}.

    The same group gets the same split whatever other groups there are. ValueError unless the shares
    sum to 1."""
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares {dict(shares)} do not sum to 1")
    place = randomness.share(group, seed, "split")
    end = 0.0
    for name, share in shares.items():
        end += share
        if place < end:
            return name
    return list(shares)[-1]


def folds(persons: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold, from 0, of each face (n,): all faces of a person in one, by keyed hash, equally
    many persons in each.
    """
    distinct, person = np.unique(persons, return_inverse=True)
    if len(distinct) < count:
        raise PipelineError(f"{count} folds need as many persons, got {len(distinct)}: take fewer")
    draw = randomness.uniforms(seed, "select_mixture", randomness.hashes(distinct.tolist()))
    return np.asarray((np.argsort(np.argsort(draw, kind="stable")) % count)[person])
