"""Make the simulated sample in the authors' layout: photographs with EXIF, portraits of the target
domain, generated faces.
"""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import command_line, params, processes, schema, terminal
from pipeline.common import artifacts
from pipeline.common.contact_sheet import contact_sheet
from pipeline.common.layout import Layout
from pipeline.common.pictures import UnreadablePicture, read_picture
from pipeline.simulation import generators, sample

# Faces of a job. A process learns what a generator needs before its first face: few jobs, so that
# few processes learn the same.
FACES_PER_JOB, GENERATED_PER_JOB = 25, 300
PORTRAITS = "data/celeba-face"
SHOWN = 7  # faces of each set on the contact sheet

Job = tuple[str, range]  # a set, and numbers of its faces


def main(argv: list[str] | None = None) -> None:
    """Write the sample below --root and a contact sheet of it."""
    parser = command_line.paths(__doc__, root="where the sample goes", sheet="contact sheet (PNG)")
    options = parser.parse_args(argv)
    p = params.load("seed", "simulation")
    folders = folders_of(options.root)
    for folder in (Layout(options.root).exif, *folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(p.simulation)
    written: dict[str, list[Any]] = {name: [] for name in folders}
    write = functools.partial(write_faces, options.root, p)
    with terminal.progress((), total=sum(len(numbers) for _, numbers in jobs)) as bar:
        results = processes.parallel(write, jobs, processes.workers())
        for (name, numbers), result in zip(jobs, results, strict=True):
            written[name] += result
            bar.update(len(numbers))
    write_lists(options.root, p.seed, written)
    rows = [list(itertools.islice(readable(folder), SHOWN)) for folder in folders.values()]
    contact_sheet(rows, None, options.sheet, list(folders))
    kinds = Counter(f"bad records: {face['bad']}" for face in written["photographs"] if face["bad"])
    counts = {name: len(faces) for name, faces in written.items()} | dict(sorted(kinds.items()))
    table = [{"set": name, "faces": count} for name, count in counts.items()]
    terminal.table(table, f"Simulated sample in {options.root}")


def folders_of(root: Path) -> dict[str, Path]:
    """Where the pictures of each set go."""
    own = {name: root / "data" / name for name in generators.GENERATORS}
    return {"photographs": Layout(root).images, "portraits": root / PORTRAITS, **own}


def jobs_of(sizes: schema.Simulation) -> list[Job]:
    """All faces, some at a time; the long jobs first: at the end none should wait for them."""
    sets = [(name, sizes.generated, GENERATED_PER_JOB) for name in generators.GENERATORS]
    sets.append(("portraits", sizes.portraits, FACES_PER_JOB))
    sets.append(("photographs", sizes.photographs, FACES_PER_JOB))
    return [
        (name, range(first, min(first + step, count)))
        for name, count, step in sets
        for first in range(0, count, step)
    ]


def write_faces(root: Path, p: schema.Params, job: Job) -> list[Any]:
    """Write the faces of a job. Returns what the lists need: file names, or records."""
    name, numbers = job
    if name == "photographs":
        return [_write_photograph(root, p, number) for number in numbers]
    names = []
    for number in numbers:
        if name == "portraits":
            file, picture = sample.portrait(p.seed, number)
        else:
            file, picture = sample.generated(p.seed, name, number)
        (folders_of(root)[name] / file).write_bytes(artifacts.encode_png(picture))
        names.append(file)
    return names


def _write_photograph(root: Path, p: schema.Params, number: int) -> dict[str, Any]:
    """Write face and EXIF of a photograph; a bad record is broken in the way its kind says."""
    sizes = p.simulation
    record = sample.face_record(
        p.seed, number, photographs=sizes.photographs, bad_share=sizes.bad_share
    )
    png = artifacts.encode_png(record.picture)
    if record.bad == "picture_truncated":
        png = png[: len(png) * 6 // 10]
    (Layout(root).images / f"{record.face_id}.png").write_bytes(png)
    text = json.dumps({"EXIF": record.exif, "photo_id": int(record.photo_id)}, indent=4)
    if record.bad == "json_broken":
        text = text[: len(text) // 2]
    if record.bad != "json_missing":
        path = Layout(root).exif / f"{record.photo_id}.json"
        path.write_text(text, encoding="utf-8")
    return {name: getattr(record, name) for name in ("face_id", "photo_id", "metainfo", "bad")}


def write_lists(root: Path, seed: int, written: dict[str, list[Any]]) -> None:
    """FDF's metadata, the mapping from face to photo, and the lists train.txt and test.txt."""
    faces, layout = written["photographs"], Layout(root)
    artifacts.write_json(layout.metainfo, {face["face_id"]: face["metainfo"] for face in faces})
    mapping = {face["face_id"]: face["photo_id"] for face in faces}
    artifacts.write_json(layout.mapping.with_suffix(".json"), mapping)
    tested = {name for name in written["portraits"] if sample.in_test_list(seed, name)}
    for path, is_test in (("data/train.txt", False), ("data/test.txt", True)):
        names = [name for name in written["portraits"] if (name in tested) == is_test]
        lines = "".join(f"./{PORTRAITS}/{name}\n" for name in names)
        (root / path).write_text(lines, encoding="utf-8")


def readable(folder: Path) -> Iterator[np.ndarray]:
    """The pictures of a set that can be read: some records are broken on purpose."""
    for path in sorted(folder.iterdir()):
        with suppress(UnreadablePicture):
            yield read_picture(path)


if __name__ == "__main__":
    terminal.run(main)
