"""On which side of a split a photograph is: made once, by a hash of its author, person or photo."""

from collections.abc import Mapping

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
