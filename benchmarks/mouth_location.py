"""Error of the mouth located from FDF's seven landmarks, where the truth is known: on the simulated
sample.

    python -m benchmarks.mouth_location [--root data/sample]

The simulation writes the projected middle of the lips (`true_mouth`) beside the landmarks; no stage
reads it."""

import argparse
import json
from pathlib import Path

import numpy as np

from pipeline.common.layout import Layout
from pipeline.manipulation.landmarks import mouth_centre_from_seven, regions_from_seven

SIDE = 128


def main() -> None:
    """Print the error in pixels of the 128-px picture and in eye distances."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, default=Path("data/sample"), help="data root of the simulated sample"
    )
    options = parser.parse_args()
    faces = json.loads(Layout(options.root).metainfo.read_text(encoding="utf-8")).values()
    faces = [face for face in faces if "true_mouth" in face and "landmark" in face]
    points = SIDE * np.array([face["landmark"] for face in faces])
    truth = SIDE * np.array([face["true_mouth"] for face in faces])
    regions = regions_from_seven(points, SIDE)
    names, counts = np.unique(regions.reasons[~regions.usable], return_counts=True)
    points, truth, boxes = (
        points[regions.usable],
        truth[regions.usable],
        regions.boxes[regions.usable, 0],
    )
    error = np.linalg.norm(mouth_centre_from_seven(points) - truth, axis=1)
    relative = error / np.linalg.norm(points[:, 1] - points[:, 2], axis=1)
    inside = ((truth >= boxes[:, :2]) & (truth < boxes[:, 2:])).all(axis=1)
    print(
        f"{len(faces)} faces, unusable: "
        f"{dict(zip(names.tolist(), counts.tolist(), strict=True)) or 'none'}"
    )
    for unit, values in (("pixels", error), ("eye distances", relative)):
        print(
            f"error in {unit}: median {np.median(values):.2f}, 90 % below "
            f"{np.percentile(values, 90):.2f}"
        )
    print(f"true middle of the mouth inside the region: {inside.mean():.1%}")


if __name__ == "__main__":
    main()
