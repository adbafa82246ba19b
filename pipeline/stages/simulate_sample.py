"""Make the simulated sample in the authors' layout: photographs with EXIF, portraits of the target
domain, generated faces.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common import contact_sheet as plots
from pipeline.simulation import generators, sample

CHUNK = 25
EXIF, FDF = "SSL_training_data/fdf_ccby2_exif_update_filtered_v2", "SSL_training_data/FDF/data"
IMAGES, META, MAPPING = (
    f"{FDF}/fdf/images/128",
    f"{FDF}/fdf/fdf_metainfo.json",
    f"{FDF}/id_vs_fdfName.json",
)
PORTRAITS = "data/celeba-face"


def main(argv: list[str] | None = None) -> None:
    """Write the sample below --root and a contact sheet of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where the sample goes")
    parser.add_argument("--sheet", type=Path, required=True, help="contact sheet (PNG)")
    arguments = parser.parse_args(argv)
    loaded = params.load("seed", "simulation")
    sizes = loaded.simulation
    jobs: dict[str, tuple[Callable[[range], list[Any]], int]] = {
        "photographs": (
            partial(write_faces, arguments.root, loaded.seed, sizes),
            sizes.photographs,
        ),
        "portraits": (partial(write_portraits, arguments.root, loaded.seed), sizes.portraits),
    }
    for name in generators.GENERATORS:
        jobs[name] = (partial(write_generated, arguments.root, loaded.seed, name), sizes.generated)
    for folder in (EXIF, IMAGES, PORTRAITS, *(f"data/{name}" for name in generators.GENERATORS)):
        (arguments.root / folder).mkdir(parents=True, exist_ok=True)
    results = run_chunks(jobs)
    write_indices(arguments.root, loaded.seed, results)
    draw_sheet(arguments.root, arguments.sheet)
    kinds = Counter(record["bad"] for record in results["photographs"])
    terminal.table(
        [{"set": name, "faces": len(found)} for name, found in results.items()]
        + [
            {"set": f"bad records: {kind}", "faces": kinds[kind]}
            for kind in sample.BAD_KINDS
            if kinds[kind]
        ],
        f"Simulated sample in {arguments.root}",
    )


def run_chunks(jobs: dict[str, tuple[Callable[[range], list[Any]], int]]) -> dict[str, list[Any]]:
    """Results of every job in order of their number, computed in chunks by all local processes."""
    chunks = [
        (name, range(i, min(i + CHUNK, count)))
        for name, (_, count) in jobs.items()
        for i in range(0, count, CHUNK)
    ]
    results: dict[str, list[Any]] = {name: [] for name in jobs}
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism
    with (
        ProcessPoolExecutor(
            terminal.workers(), get_context("spawn"), terminal.end_with_stage
        ) as pool,
        terminal.progress(
            (), total=sum(count for _, count in jobs.values()), what="simulate"
        ) as bar,
    ):
        futures = [pool.submit(jobs[name][0], numbers) for name, numbers in chunks]
        for (name, numbers), future in zip(chunks, futures, strict=True):
            try:
                results[name] += future.result()
            except BrokenProcessPool:
                raise PipelineError(
                    "a worker died, perhaps for want of memory; set PIPELINE_WORKERS=1"
                ) from None
            bar.update(len(numbers))
    return results


def write_faces(root: Path, seed: int, sizes: Any, numbers: range) -> list[dict[str, Any]]:
    """Write faces and EXIF records of the pretext part; bad ones are broken in the way their kind
    says.
    """
    index = []
    for number in numbers:
        record = sample.face_record(
            seed, number, photographs=sizes.photographs, bad_share=sizes.bad_share
        )
        png = artifacts.encode_png(record.picture)
        (root / IMAGES / f"{record.face_id}.png").write_bytes(
            png[: len(png) * 6 // 10] if record.bad == "picture_truncated" else png
        )
        text = json.dumps(
            {"EXIF": _broken_tags(record), "photo_id": int(record.photo_id)}, indent=4
        )
        if record.bad != "json_missing":
            text = text[: len(text) // 2] if record.bad == "json_broken" else text
            (root / EXIF / f"{record.photo_id}.json").write_text(text, encoding="utf-8")
        index.append(
            {
                "face_id": record.face_id,
                "metainfo": record.metainfo,
                "photo_id": record.photo_id,
                "bad": record.bad,
            }
        )
    return index


def write_portraits(root: Path, seed: int, numbers: range) -> list[str]:
    """Write portraits of the target domain; returns their file names."""
    return list(
        _write_pictures(root / PORTRAITS, (sample.portrait(seed, number) for number in numbers))
    )


def write_generated(root: Path, seed: int, generator: str, numbers: range) -> list[str]:
    """Write faces of one simulated generator; returns their file names."""
    return list(
        _write_pictures(
            root / "data" / generator, (sample.generated(seed, generator, n) for n in numbers)
        )
    )


def write_indices(root: Path, seed: int, results: dict[str, list[Any]]) -> None:
    """FDF's metadata, the mapping from face to photo, and the lists of portraits for density and
    test.
    """
    faces = results["photographs"]
    artifacts.write_json(root / META, {face["face_id"]: face["metainfo"] for face in faces})
    artifacts.write_json(root / MAPPING, {face["face_id"]: face["photo_id"] for face in faces})
    for path, wanted in (("data/train.txt", False), ("data/test.txt", True)):
        names = [name for name in results["portraits"] if sample.in_test_list(seed, name) == wanted]
        (root / path).write_text(
            "".join(f"./{PORTRAITS}/{name}\n" for name in names), encoding="utf-8"
        )


def draw_sheet(root: Path, path: Path, columns: int = 7) -> None:
    """The first pictures of every set, one row each."""
    folders = {
        "photographs": IMAGES,
        "portraits": PORTRAITS,
        **{name: f"data/{name}" for name in generators.GENERATORS},
    }
    rows = [
        _first_pictures(sorted((root / folder).iterdir()), columns) for folder in folders.values()
    ]
    plots.contact_sheet(rows, None, path, list(folders))


def _first_pictures(paths: list[Path], count: int) -> list[np.ndarray]:
    from PIL import Image, UnidentifiedImageError

    pictures: list[np.ndarray] = []
    for path in paths:
        if len(pictures) == count:
            break
        try:
            pictures.append(np.asarray(Image.open(path).convert("RGB")))
        except (OSError, UnidentifiedImageError):
            continue  # a record that is broken on purpose
    return pictures


def _broken_tags(record: sample.FaceRecord) -> dict[str, str]:
    tags = dict(record.exif)
    if record.bad == "iso_missing":
        del tags["ISO Speed Ratings"]
    elif record.bad == "f_number_empty":
        tags["Aperture Value"] = "F"
    elif record.bad == "exposure_unknown":
        tags["Exposure Time"] = "Unknown"
    return tags


def _write_pictures(folder: Path, pictures: Iterator[tuple[str, np.ndarray]]) -> Iterator[str]:
    for name, picture in pictures:
        (folder / name).write_bytes(artifacts.encode_png(picture))
        yield name


if __name__ == "__main__":
    terminal.run(main)
