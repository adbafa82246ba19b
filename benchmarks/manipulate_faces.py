"""Manipulated faces a second on one core: ours against the authors' way and a memory copy; and the
stage's memory.

    python -m benchmarks.manipulate_faces
    python -m benchmarks.manipulate_faces 20000 200000    # peak memory of the whole stage for so
    many faces; takes minutes

The authors' way, face by face: OpenCV flips of regions, blended with blurred masks, and
scikit-image's piecewise-affine transform as imgaug calls it, with one thread; both are needed
beside the project's requirements: pip install scikit-image opencv-python-headless. Both ways make
all four manipulations of each face from the same regions; ours includes the drawing of amounts. The
ceiling copies as many bytes as are read and written."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import harness, watched
from pipeline.base import terminal
from pipeline.common import artifacts, shards
from pipeline.common.names import LANDMARK_COLUMNS
from pipeline.manipulation import operations as manipulations
from pipeline.manipulation.landmarks import Regions, regions_from_seven

ROOT = Path(__file__).resolve().parents[1]
SIDE = 128
FACES = 64  # at once, as in the stage
FEW = 8  # faces in a turn of the authors' way
FACE = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)
MEMORY_FACES, MEMORY_SIDE = 20_000, 32  # what a stage keeps of a face does not depend on its size


def ours(images: np.ndarray, regions: Regions) -> np.ndarray:
    """All four manipulations of a batch."""
    amounts = manipulations.draw_amounts(
        1,
        [str(i) for i in range(len(images))],
        side=SIDE,
        warp_sigma=(0.04, 0.05),
        blend_ratios=[0.75, 1, 1, 1],
    )
    return manipulations.apply_all(torch.from_numpy(images), regions, amounts).numpy()


def theirs(images: np.ndarray, regions: Regions) -> np.ndarray:
    """All four manipulations, face by face."""
    random = np.random.default_rng(1)
    out = np.empty((len(images), 4, *images.shape[1:]), dtype=np.uint8)
    for i, image in enumerate(images):
        mouth, eye = regions.boxes[i, 0], regions.boxes[i, 1 + random.integers(2)]
        out[i, 0] = _flip(image, mouth, -1, random)
        out[i, 1] = _flip(image, mouth, 1, random)
        out[i, 2] = _flip(image, eye, 1, random)
        out[i, 3] = _warp(image, random)
    return out


def _flip(image: np.ndarray, box: np.ndarray, code: int, random: np.random.Generator) -> np.ndarray:
    import cv2

    x0, y0, x1, y1 = box
    mask = np.zeros(image.shape[:2], np.float32)
    mask[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] = random.choice([0.75, 1, 1, 1])
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3))[..., None]
    flipped = image.copy()
    flipped[y0:y1, x0:x1] = cv2.flip(image[y0:y1, x0:x1], code)
    return (soft * flipped + (1 - soft) * image).astype(np.uint8)


def _warp(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    from skimage.transform import PiecewiseAffineTransform, warp

    grid = np.stack(np.meshgrid(*[np.linspace(0, SIDE, manipulations.GRID)] * 2), axis=-1).reshape(
        -1, 2
    )
    moved = np.clip(
        grid + random.normal(0, random.uniform(0.04, 0.05) * SIDE, grid.shape), 0, SIDE - 1
    )
    transform = PiecewiseAffineTransform.from_estimate(grid, moved)
    return warp(image, transform, order=1, preserve_range=True).astype(np.uint8)


def _rate(faces: int, work: Callable[[], object]) -> Callable[[], float]:
    """A way for the harness: manipulated faces per second of processor time, one thread's."""

    def once() -> float:
        start = time.process_time()
        work()
        return 4 * faces / (time.process_time() - start)

    return once


def measure(quick: bool = False) -> list[harness.Row]:
    """Both ways and the copy, turn by turn; the stage's peak memory."""
    import cv2
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (FACES, SIDE, SIDE, 3), dtype=np.uint8)
    regions = regions_from_seven(FACE + random.normal(0, 1.5, (FACES, 14)), SIDE)
    few = Regions(regions.boxes[:FEW], regions.reasons[:FEW])
    moved = np.concatenate([images] * 5)  # one read, four written
    ways = {
        "ours": _rate(FACES, lambda: ours(images, regions)),
        "baseline": _rate(FEW, lambda: theirs(images[:FEW], few)),
        "ceiling": _rate(FACES, lambda: [moved.copy() for _ in range(20)]),
    }
    theirs(images[:1], few)  # loads its libraries, so that their threads too are limited
    with threadpool_limits(
        1
    ):  # else BLAS threads wait for each other over the 3 x 3 matrices of the baseline
        rates = harness.interleaved(ways, 1 if quick else 15)
    rates["ceiling"] *= 20  # copied often enough for the clock
    note = "one core, processor time; bound by arithmetic: 12 samples a pixel of the warp, blends of the flips"
    row = harness.row("manipulate_faces", "pictures/s", **rates, note=note)
    row["peak_memory_mb"] = _peak_mb(300 if quick else MEMORY_FACES)
    return [row]


def _peak_mb(count: int) -> float:
    """Peak memory of the whole stage for `count` small faces."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = shards.ShardWriter(folder / "faces", (MEMORY_SIDE, MEMORY_SIDE, 3))
        for start in range(0, count, 10_000):
            writer.append(
                np.zeros((min(10_000, count - start), MEMORY_SIDE, MEMORY_SIDE, 3), np.uint8)
            )
        writer.close()
        points = FACE * MEMORY_SIDE / SIDE + np.random.default_rng(0).normal(0, 0.3, (count, 14))
        columns = {"face_id": [f"face {i}" for i in range(count)], "row": range(count)}
        artifacts.write_table(
            folder / "faces/faces.parquet",
            pd.DataFrame(columns | dict(zip(LANDMARK_COLUMNS, points.T, strict=True))),
        )
        outs = [
            f"--output={folder}/out",
            f"--metrics={folder}/out.json",
            f"--sheet={folder}/out.png",
        ]
        command = [
            sys.executable,
            "-m",
            "pipeline.stages.manipulate_faces",
            f"--faces={folder}/faces",
            f"--root={folder}",
            *outs,
        ]
        usage = watched.run(command, folder=ROOT)
        if usage.status:
            raise RuntimeError(usage.output)
        return usage.peak_memory_mb


if __name__ == "__main__":
    if sys.argv[1:]:
        peaks = [{"faces": int(count), "peak MB": _peak_mb(int(count))} for count in sys.argv[1:]]
        terminal.table(peaks, f"memory of manipulate_faces, faces of {MEMORY_SIDE} px")
    else:
        harness.show(measure())
