"""Packing faces into shards and reading them back, from the page cache: shards against one PNG per
face and a memory copy.

    python -m benchmarks.shards

Ours packs through `ShardWriter` and reads through `Shards`: random batches, and runs of consecutive
faces. Baseline: one PNG per face, written by PIL with its defaults, read back and decoded to an
array. Ceiling of packing: the same bytes by one file.write; of reading: NumPy's copy of as many
bytes from memory to memory. Written once before, all files are read from the system's page cache; a
disk can only be slower."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import harness
from pipeline.common import shards

SIDE = 128
BATCH = 256  # faces of a batch
PNGS = 512  # the baseline's files: a second's work


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows for packing, random batches and consecutive faces, in faces a second."""
    faces, rounds = (300, 1) if quick else (6000, 5)
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as name:
        return _measure(Path(name), _pictures(faces), rounds)


def _measure(folder: Path, pictures: np.ndarray, rounds: int) -> list[harness.Row]:
    pngs = [folder / f"{i}.png" for i in range(min(PNGS, len(pictures)))]
    packing = harness.interleaved(
        {
            "ours": lambda: _rate(len(pictures), lambda: _pack(folder / "shards", pictures)),
            "baseline": lambda: _rate(len(pngs), lambda: _write_pngs(pngs, pictures)),
            "ceiling": lambda: _rate(
                len(pictures), lambda: _write_bytes(folder / "bytes", pictures)
            ),
        },
        rounds,
    )
    note = "one core, into the page cache; ceiling: one file.write of the same bytes"
    rows = [harness.row("pack shards", "faces/s", **packing, note=note)]
    stored = shards.read_shards(folder / "shards")
    order = np.random.default_rng(1).permutation(len(pictures))
    for stage, of in (
        ("read shards, random batches", order),
        ("read shards, consecutive", np.arange(len(pictures))),
    ):
        batches = np.array_split(of, -(-len(of) // BATCH))
        reading = harness.interleaved(
            {
                "ours": lambda: _rate(len(pictures), lambda: [stored[batch] for batch in batches]),  # noqa: B023
                "baseline": lambda: _rate(len(pngs), lambda: [_decode(path) for path in pngs]),
                "ceiling": lambda: _rate(
                    len(pictures),
                    lambda: [pictures[i : i + BATCH].copy() for i in _starts(pictures)],
                ),
            },
            rounds,
        )
        note = "one core, page cache warm; ceiling: NumPy's copy of consecutive pictures"
        rows.append(harness.row(stage, "faces/s", **reading, note=note))
    return rows


def _pictures(count: int) -> np.ndarray:
    """Smooth colours under a little noise, (n, SIDE, SIDE, 3): PNG packs them about as well as it
    packs faces.
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    smooth = np.stack([90 + 80 * x, 120 + 60 * np.sin(4 * y), 100 + 50 * x * y], axis=-1)
    noise = random.integers(0, 8, (count, SIDE, SIDE, 3), dtype=np.uint8)
    noise += smooth.astype(np.uint8)
    return noise


def _starts(pictures: np.ndarray) -> range:
    return range(0, len(pictures), BATCH)


def _rate(faces: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return faces / (time.perf_counter() - start)


def _pack(folder: Path, pictures: np.ndarray) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    writer = shards.ShardWriter(folder, (SIDE, SIDE, 3))
    for start in _starts(pictures):
        writer.append(pictures[start : start + BATCH])
    writer.close()


def _write_bytes(path: Path, pictures: np.ndarray) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.write(pictures.reshape(-1).data)


def _write_pngs(paths: list[Path], pictures: np.ndarray) -> None:
    for path, picture in zip(paths, pictures, strict=False):
        Image.fromarray(picture).save(path)


def _decode(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    harness.show(measure())
