"""Speed and memory of filter_exif on generated folders: `python -m benchmarks.filter_exif [records ...]`.

Prints for each number of records (20,000 and 100,000 unless told): EXIF records read and parsed a second, faces a second in
the whole stage with its pictures, and the stage's peak memory (the main process and every worker added up), which must grow by
less than 1 kB a record: 1.5 million must fit in 2 GB. Two faces share a photograph.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import console, exif, params, records
from pipeline.layout import Layout

PHOTOS_PER_JOB = 500
MEASURE = """
import resource, sys
from pipeline.stages import filter_exif
filter_exif.main(sys.argv[1:])
main, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print("peak MB", main + child * filter_exif.console.workers())
"""


def generate(layout: Layout, count: int) -> None:
    """A folder of `count` faces; 64 different pictures of noise, the slowest to decode, linked under every face id."""
    layout.exif.mkdir(parents=True)
    layout.images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(64):
        smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((128, 128)))
        noisy = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(layout.images / f"picture{i}.png")
    metainfo, mapping = {}, {}
    for face in range(count):
        photo = face // 2
        if face % 2 == 0:
            (layout.exif / f"{photo}.json").write_text(json.dumps(record(photo), indent=4))
        (layout.images / f"{face}.png").symlink_to(f"picture{face % 64}.png")
        metainfo[str(face)] = {
            "author": f"author {face // 20}",
            "bounding_box": [0.2871, 0.2095, 0.7175, 0.7848],
            "landmark": [[0.4828, 0.5457]] * 7,
            "license": "Attribution License",
            "photo_url": f"http://example.org/photos/{photo}",
            "date_taken": "2016-09-04 23:58:54.0",
        }
        mapping[str(face)] = str(photo)
    layout.metainfo.write_text(json.dumps(metainfo, indent=1))
    layout.mapping.with_suffix(".json").write_text(json.dumps(mapping))


def record(photo: int) -> dict[str, object]:
    """One EXIF record as in YFCC100M; one in 50 is not usable."""
    values = {
        "ISO Speed Ratings": str(100 * (1 + photo % 32)),
        "Aperture Value": "F" if photo % 50 == 0 else f"F{1.4 + photo % 20 / 2:.1f}",
        "Exposure Time": f"1/{10 + photo % 900}sec",
        "Focal Length": f"{4 + photo % 200}.0 mm",
    }
    return {"EXIF": {**values, "Make": "Canon", "Model": "CanonEOS5D"}, "photo_id": photo, "num_exif_tags": 6}


def parse(folder: Path, bounds: exif.Bounds, start: int) -> int:
    """Read and parse PHOTOS_PER_JOB records from number `start`; the number of usable ones."""
    usable = 0
    for photo in range(start, start + PHOTOS_PER_JOB):
        content, _ = records.read_exif(folder / f"{photo}.json")
        usable += content is not None and exif.parse_tags(content, bounds)[0] is not None
    return usable


def measure(count: int) -> Iterator[tuple[str, float]]:
    """Name and value of each figure for a folder of `count` faces."""
    with tempfile.TemporaryDirectory() as name:
        layout = Layout(Path(name) / "sample")
        generate(layout, count)
        bounds = params.load("exif").exif.model_dump()
        yield "records", count
        photos = range(0, count // 2, PHOTOS_PER_JOB)
        with ProcessPoolExecutor(console.workers()) as pool:
            list(pool.map(int, photos))  # start the processes
            start = time.perf_counter()
            list(pool.map(functools.partial(parse, layout.exif, bounds), photos))
            yield "records/s, EXIF", count // 2 / (time.perf_counter() - start)
        outputs = ["--faces", f"{name}/faces", "--metrics", f"{name}/exif.json", "--tags", f"{name}/tags.csv"]
        start = time.perf_counter()
        command = [sys.executable, "-c", MEASURE, "--root", str(layout.root), *outputs]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
        yield "faces/s, stage", count / (time.perf_counter() - start)
        yield "peak MB", float(printed.split()[-1])


def main() -> None:
    """Print one table row for each number of records."""
    counts = [int(text) for text in sys.argv[1:]] or [20_000, 100_000]
    console.table([dict(measure(count)) for count in counts], f"filter_exif with {console.workers()} processes")


if __name__ == "__main__":
    console.run(main)
