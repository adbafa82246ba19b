"""Features of whole pictures: choose, decode in threads, resize, encode in batches."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import console, layout, randomness
from pipeline.datasets import read_ahead
from pipeline.devices import deterministic, select_device
from pipeline.encoder import HEADS, Encoder, normalise
from pipeline.faces import person_of, resize_whole, split_of
from pipeline.params import FeatureExtraction

Picture = tuple[torch.Tensor | None, str]  # (3, size, size) float32 in 0..255 and its SHA-256, or None and the reason


@dataclass(frozen=True)
class Extracted:
    """n readable pictures in the order of their names, and how many were left out, by reason."""

    names: list[str]
    features: NDArray[np.float32]  # (n, feature_dim)
    heads: NDArray[np.float32]  # (n, 5) scores in the order of encoder.HEADS
    sha256: list[str]  # of the files' bytes
    unreadable: dict[str, int]


def of_split(names: Sequence[str], split: str, *, pattern: str, seed: int, calibration: float) -> list[str]:
    """The names whose person falls into `split`, fit or calibration, by hash: no person is in both."""
    shares = {"calibration": calibration, "fit": 1 - calibration}
    return [name for name in names if split_of(person_of(name, pattern), seed, shares) == split]


def choose(names: Sequence[str], maximum: int, *, seed: int) -> list[str]:
    """At most `maximum` distinct names, sorted; a keyed hash chooses, so that the order on disk has no influence."""
    distinct = sorted(set(names))
    draw = randomness.uniforms(seed, "extract_features", randomness.hashes(distinct))
    return [distinct[i] for i in np.sort(np.argsort(draw, kind="stable")[:maximum])]


def extract(encoder: Encoder, input_size: int, root: Path, names: Sequence[str], settings: FeatureExtraction) -> Extracted:
    """Features of the pictures `names`, paths relative to `root`; unreadable ones are counted and left out.

    Each picture is resized as a whole to input_size x input_size, as the authors do with cropped portraits. The
    result does not depend on the number of threads (console.workers).
    """
    device = select_device(settings.device, key="features.device")
    encoder = encoder.to(device).eval()
    kept: list[str] = []
    hashes: list[str] = []
    features: list[torch.Tensor] = []
    scores: list[torch.Tensor] = []
    unreadable: Counter[str] = Counter()
    with deterministic(), console.progress((), total=len(names), what="extract_features", unit="face") as bar:
        for part, pictures in _pictures(root, names, input_size, settings):
            readable = [
                (name, picture, digest) for name, (picture, digest) in zip(part, pictures, strict=True) if picture is not None
            ]
            unreadable.update(reason for picture, reason in pictures if picture is None)
            if readable:
                kept += [name for name, _, _ in readable]
                hashes += [digest for _, _, digest in readable]
                batch = torch.stack([picture for _, picture, _ in readable])  # (n, 3, size, size)
                feature, score = encode(encoder, batch.to(device), settings.precision)
                features.append(feature.cpu())
                scores.append(score.cpu())
            bar.update(len(part))
    empty = torch.empty(0, encoder.feature_dim), torch.empty(0, len(HEADS))
    return Extracted(
        kept,
        torch.cat([*features, empty[0]]).numpy(),
        torch.cat([*scores, empty[1]]).numpy(),
        hashes,
        dict(sorted(unreadable.items())),
    )


@torch.no_grad()
def encode(encoder: Encoder, pixels: torch.Tensor, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, feature_dim) and head scores (n, 5), float32, of pixels (n, 3, size, size) in 0..255."""
    inputs = normalise(pixels).contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        features, scores = encoder(inputs)
    return features.float(), scores.float()


def load(root: Path, name: str, input_size: int, settings: FeatureExtraction) -> Picture:
    """One picture from disk at the encoder's size, or the reason why it cannot be read."""
    try:
        picture = layout.read_picture(root / name)
    except layout.UnreadablePicture as error:
        return None, error.reason
    whole = torch.from_numpy(picture)[None]  # (1, H, W, 3) uint8
    resized = resize_whole(whole, input_size, mode=settings.resize, antialias=settings.antialias)
    with (root / name).open("rb") as file:
        return resized[0], hashlib.file_digest(file, "sha256").hexdigest()


def _pictures(
    root: Path, names: Sequence[str], input_size: int, settings: FeatureExtraction
) -> Iterator[tuple[Sequence[str], list[Picture]]]:
    """Batches of names with their pictures; one batch is decoded while the one before it is encoded."""
    parts = [names[i : i + settings.batch_size] for i in range(0, len(names), settings.batch_size)]
    with ThreadPoolExecutor(console.workers()) as pool:

        def loader(part: Sequence[str]) -> Any:
            return lambda: (part, list(pool.map(lambda name: load(root, name, input_size, settings), part)))

        yield from read_ahead((loader(part) for part in parts), depth=1)
