"""Keyed randomness: every draw is a function of (seed, purpose, id[, epoch]) and of nothing else.

No global state and no order: the same id gets the same draw in any process, batch or epoch order.
"""

from collections.abc import Iterable
from hashlib import blake2b
from operator import index
from typing import SupportsIndex

import numpy as np


def key(seed: int, purpose: str, *ids: str | SupportsIndex) -> int:
    """A 64-bit key of the seed, the purpose and any ids; equal only for equal arguments."""
    digest = blake2b(digest_size=8)
    for part in (seed, purpose, *ids):
        encoded = (f"str:{part}" if isinstance(part, str) else f"int:{index(part)}").encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def generator(seed: int, purpose: str, *ids: str | SupportsIndex) -> np.random.Generator:
    """A NumPy generator (Philox, counter-based) for one purpose and id."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, *ids)))


def hashes(ids: Iterable[str]) -> np.ndarray:
    """uint64 hash of each id, shape (n,): computed once, then mixed cheaply by `uniforms`."""
    return np.array(
        [int.from_bytes(blake2b(i.encode(), digest_size=8).digest(), "little") for i in ids],
        dtype=np.uint64,
    )


def uniforms(
    seed: int, purpose: str, id_hashes: np.ndarray, *more: str | SupportsIndex
) -> np.ndarray:
    """One float64 in [0, 1) for each id hash, shape (n,), keyed by (seed, purpose, id, *more).

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014) over hash + key, so that an epoch costs no
    hashing of strings."""
    z = np.asarray(id_hashes, dtype=np.uint64) ^ np.uint64(key(seed, purpose, *more))
    for _ in range(2):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def share(text: str, seed: int, purpose: str) -> float:
    """The place in [0, 1) that a hash gives a text: the base of every split, stable when other
    texts come or go.
    """
    return (key(seed, purpose, text) >> 11) * 2.0**-53
