"""Manipulated faces a second on one core: ours against the authors' way, turn by turn in one run.

    python -m benchmarks.manipulate_faces [--faces 64] [--rounds 7]

The authors' way, face by face: OpenCV flips of regions with blurred masks, and scikit-image's piecewise-affine transform
(imgaug's engine), which are needed beside the project's requirements: pip install scikit-image opencv-python-headless.
Both make all four manipulations of each face from the same regions; ours includes the drawing of amounts.
"""

import argparse
import os
import statistics
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from pipeline import manipulations
from pipeline.landmarks import Regions, regions_from_seven

SIDE = 128
FACE = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)


def ours(images: np.ndarray, regions: Regions) -> np.ndarray:
    """All four manipulations of a batch."""
    amounts = manipulations.draw_amounts(
        1, [str(i) for i in range(len(images))], side=SIDE, warp_sigma=(0.04, 0.05), blend_ratios=[0.75, 1, 1, 1]
    )
    return manipulations.apply_all(torch.from_numpy(images), regions, amounts).numpy()


def theirs(images: np.ndarray, regions: Regions) -> np.ndarray:
    """All four manipulations, face by face, in float arithmetic on whole pictures."""
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
    mask = np.zeros(image.shape[:2])
    mask[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] = random.choice([0.75, 1, 1, 1])
    soft = np.asarray(cv2.GaussianBlur(mask, (51, 51), 3))[..., None]
    flipped = image.copy()
    flipped[y0:y1, x0:x1] = cv2.flip(image[y0:y1, x0:x1], code)
    return (soft * flipped + (1 - soft) * image).astype(np.uint8)


def _warp(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    from skimage.transform import PiecewiseAffineTransform, warp

    grid = np.stack(np.meshgrid(*[np.linspace(0, SIDE, manipulations.GRID)] * 2), axis=-1).reshape(-1, 2)
    moved = np.clip(grid + random.normal(0, random.uniform(0.04, 0.05) * SIDE, grid.shape), 0, SIDE - 1)
    transform = PiecewiseAffineTransform.from_estimate(grid, moved)
    return warp(image, transform, order=1, preserve_range=True).astype(np.uint8)


def main() -> None:
    """Measure both, turn by turn, in seconds of processor time, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=64, help="faces in a batch (the authors' way takes 8 of them)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way")
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (options.faces, SIDE, SIDE, 3), dtype=np.uint8)
    regions = regions_from_seven(FACE + random.normal(0, 1.5, (options.faces, 14)), SIDE)
    few = Regions(regions.boxes[:8], regions.reasons[:8])
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    ours(images, regions)
    theirs(images[:8], few)
    for _ in range(options.rounds):
        start = time.process_time()
        made = ours(images, regions)
        rates["ours"].append(made.shape[0] * 4 / (time.process_time() - start))
        start = time.process_time()
        made = theirs(images[:8], few)
        rates["theirs"].append(made.shape[0] * 4 / (time.process_time() - start))
    for name, values in rates.items():
        print(f"{name:6s} {statistics.median(values):7.0f} manipulated faces/s (from {min(values):.0f} to {max(values):.0f})")
    print(f"ratio  {statistics.median(a / b for a, b in zip(rates['ours'], rates['theirs'], strict=True)):7.1f}")


if __name__ == "__main__":
    main()
