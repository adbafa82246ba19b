"""Speed and memory of filter_exif on generated folders.

    python -m benchmarks.filter_exif                 # records and faces a second
    python -m benchmarks.filter_exif 20000 200000    # peak memory of the whole stage for so many
    faces; takes minutes

Records: EXIF files opened, parsed and checked. Faces: all that the stage does once it has the list.
The baseline is the loop of a published script: `json.load` per file and `float` of the text without
its unit; for faces also PIL per file."""

import functools
import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import harness, synthetic, watched
from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.common.layout import Layout
from pipeline.exif import records
from pipeline.exif import tags as exif
from pipeline.stages import filter_exif

ROOT = Path(__file__).resolve().parents[1]
PER_JOB = 500
MEMORY_FACES = 20_000


def parse(photos: range, folder: str, bounds: exif.Bounds) -> int:
    """Our reading of EXIF records; the number of usable ones."""
    usable = 0
    for photo in photos:
        content, _ = records.read_exif(f"{folder}/{photo}.json")
        usable += content is not None and exif.parse_tags(content, bounds)[0] is not None
    return usable


def parse_plainly(photos: Iterable[int | str], folder: str) -> list[tuple[float, ...] | None]:
    """The published script's reading; None for a record that it cannot use."""
    return [four_numbers(f"{folder}/{photo}.json") for photo in photos]


def four_numbers(path: str) -> tuple[float, ...] | None:
    """ISO, f-number, exposure time and focal length of one file."""
    with open(path) as file:
        tags = json.load(file)["EXIF"]
    try:
        numerator, _, denominator = tags["Exposure Time"].removesuffix("sec").partition("/")
        exposure = float(numerator) / float(denominator or 1)
        iso, f_number = float(tags["ISO Speed Ratings"]), float(tags["Aperture Value"].lstrip("F"))
        return iso, f_number, exposure, float(tags["Focal Length"].removesuffix(" mm"))
    except (KeyError, ValueError):
        return None


def touch(photos: range, folder: str) -> None:
    """Open, read and close the files: the least that must be done."""
    for photo in photos:
        descriptor = os.open(f"{folder}/{photo}.json", os.O_RDONLY)
        os.read(descriptor, 4096)
        os.close(descriptor)


def pack_plainly(job: filter_exif.Job, layout: Layout, out: Path) -> None:
    """The published script's way to one array of faces: PIL per file."""
    tags = parse_plainly((one.photo_id for one in job.listed), str(layout.exif))
    pictures = []
    for one, numbers in zip(job.listed, tags, strict=True):
        if numbers is not None:
            with Image.open(layout.images / f"{one.face.face_id}.png") as image:
                pictures.append(np.asarray(image.convert("RGB")))
    np.save(out / f"{job.number}.npy", np.stack(pictures))


def decode(count: int, contents: list[bytes]) -> None:
    """Decode `count` pictures that are in memory."""
    for content in itertools.islice(itertools.cycle(contents), count):
        np.asarray(Image.open(BytesIO(content)))


def timed(units: int, work: Callable[[], object]) -> Callable[[], float]:
    """A way for the harness: units per second of `work`."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return units / (time.perf_counter() - start)

    return once


def measure_records(
    pool: ProcessPoolExecutor, layout: Layout, photos: int, rounds: int
) -> Iterator[harness.Row]:
    """EXIF records a second: against one process, and against as many as there are cores."""
    folder, bounds = str(layout.exif), params.load("exif").exif.model_dump()
    jobs = [range(start, min(start + PER_JOB, photos)) for start in range(0, photos, PER_JOB)]
    expected = sum(one is not None for one in parse_plainly(range(photos), folder))
    ours = functools.partial(parse, folder=folder, bounds=bounds)
    if sum(pool.map(ours, jobs)) != expected:
        raise AssertionError("ours and the baseline do not find the same number of usable records")
    everywhere: dict[str, Callable[..., object]] = {
        "ours": ours,
        "ceiling": functools.partial(touch, folder=folder),
        "baseline of all cores": functools.partial(parse_plainly, folder=folder),
    }
    ways = {
        name: timed(photos, functools.partial(_all, pool, work, jobs))
        for name, work in everywhere.items()
    }
    ways["baseline"] = timed(photos, functools.partial(parse_plainly, range(photos), folder))
    rates = harness.interleaved(ways, rounds)
    for name, note in (
        ("baseline", "baseline: one process"),
        ("baseline of all cores", "baseline: a process per core"),
    ):
        common = {"ours": rates["ours"], "ceiling": rates["ceiling"], "baseline": rates[name]}
        yield harness.row("filter_exif, EXIF records", "records/s", **common, note=note)


def measure_faces(
    pool: ProcessPoolExecutor, layout: Layout, scratch: Path, count: int, rounds: int
) -> harness.Row:
    """Faces a second from the list to shards and table."""
    listed = list(itertools.islice(records.listed_faces(layout, Counter()), count))
    jobs, count = list(filter_exif.jobs_of(iter(listed))), len(listed)
    bounds, out = params.load("exif").exif.model_dump(), scratch / "packed"
    out.mkdir()
    pack = functools.partial(filter_exif.pack, parts=out, layout=layout, bounds=bounds)

    def ours() -> None:
        done = (job for job, _ in zip(jobs, pool.map(pack, jobs), strict=True))
        filter_exif.join(out / "faces", out, done, lambda group: "train")

    contents = [path.read_bytes() for path in sorted(layout.images.glob(".picture*.png"))]
    plainly = functools.partial(pack_plainly, layout=layout, out=out)
    bare = functools.partial(decode, contents=contents)
    ways = {
        "ours": timed(count, ours),
        "baseline": timed(count, functools.partial(_all, pool, plainly, jobs)),
        "ceiling": timed(
            count, functools.partial(_all, pool, bare, [len(job.listed) for job in jobs])
        ),
    }
    rates = harness.interleaved(ways, rounds)
    return harness.row(
        "filter_exif, faces",
        "faces/s",
        **rates,
        note="baseline: a process per core; ceiling: PNG decoding",
    )


def _all(pool: ProcessPoolExecutor, work: Callable[..., object], jobs: Iterable[Any]) -> None:
    for _ in pool.map(work, jobs):
        pass


def peak_mb(count: int) -> float:
    """Peak memory of the whole stage for `count` faces; flat pictures, which are decoded fast, and
    no disk full of pixels.
    """
    with tempfile.TemporaryDirectory() as name:
        root, layout = Path(name), synthetic.pretext(Path(name) / "input", count)
        flat = artifacts.encode_png(np.full((filter_exif.SIDE, filter_exif.SIDE, 3), 99, np.uint8))
        for path in layout.images.glob(".picture*.png"):
            path.write_bytes(flat)

        def drop_complete_shards() -> None:
            for path in sorted(root.glob(".faces.*/faces/pixels-*.npy"))[:-1]:
                os.truncate(path, 0)

        outs = [
            "--faces",
            f"{root}/faces",
            "--metrics",
            f"{root}/exif.json",
            "--tags",
            f"{root}/tags.csv",
        ]
        command = [
            sys.executable,
            "-m",
            "pipeline.stages.filter_exif",
            "--root",
            f"{root}/input",
            *outs,
        ]
        usage = watched.run(command, folder=ROOT, meanwhile=drop_complete_shards)
        if usage.status:
            raise RuntimeError(usage.output)
        return usage.peak_memory_mb


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows of the benchmark table."""
    count, faces, rounds = (600, 300, 1) if quick else (20_000, 2048, 5)
    with tempfile.TemporaryDirectory() as name:
        layout = synthetic.pretext(Path(name) / "input", count)
        with ProcessPoolExecutor(terminal.workers(), get_context("spawn")) as pool:
            rows = list(measure_records(pool, layout, count // synthetic.FACES_PER_PHOTO, rounds))
            rows.append(measure_faces(pool, layout, Path(name), faces, rounds))
    if not quick:
        rows[-1]["peak_memory_mb"] = peak_mb(MEMORY_FACES)
    return rows


if __name__ == "__main__":
    if sys.argv[1:]:
        terminal.table(
            [{"faces": int(count), "peak MB": peak_mb(int(count))} for count in sys.argv[1:]],
            "memory of filter_exif",
        )
    else:
        harness.show(measure())
