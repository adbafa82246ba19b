"""Keep the photographic faces whose photograph carries four valid EXIF tags, and pack their pixels into shards.

Everything is streamed in the order of the face list: a few hundred faces at a time go to the worker processes and come back in
order, so the bytes written do not depend on the number of processes, and memory holds one shard and the table.
"""

import argparse
import functools
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts, console, exif, faces, params
from pipeline.errors import PipelineError
from pipeline.layout import Layout, UnreadablePicture, read_picture
from pipeline.records import Face, iterate_faces, read_exif, read_mapping, safe_id

if TYPE_CHECKING:
    import pandas as pd

SIDE = 128  # FDF's pictures: pixels of a side
FACES_PER_JOB = 256
SEEN = "/seen"  # no photo id


class Listed(NamedTuple):
    """A usable entry of the face list with the photograph it comes from."""

    face: Face
    photo_id: str


class Packed(NamedTuple):
    """What a worker made of one job of n faces; k of them are kept."""

    kept: list[int]  # positions in the job
    tags: NDArray[np.float64]  # (k, 4) in the order of exif.TAGS
    pixels: NDArray[np.uint8]  # (k, 128, 128, 3)
    reasons: Counter[str]


@dataclass
class Table:
    """The rows of faces.parquet while they come in, about 250 bytes each."""

    face_ids: list[str] = field(default_factory=list)
    photo_ids: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    places: list[NDArray[np.float32]] = field(default_factory=list)  # (k, 18) box and landmarks in pixels
    tags: list[NDArray[np.float64]] = field(default_factory=list)  # (k, 4)

    def append(self, listed: list[Listed], tags: NDArray[np.float64]) -> None:
        """Add k kept faces with their tags (k, 4)."""
        self.face_ids += [one.face.face_id for one in listed]
        self.photo_ids += [one.photo_id for one in listed]
        self.authors += [one.face.author for one in listed]
        places = np.array([(*one.face.box, *one.face.landmarks) for one in listed], dtype=np.float64).reshape(-1, 18)
        self.places.append((places * SIDE).astype(np.float32))
        self.tags.append(tags)

    def frame(self, split_of: Callable[[str], str]) -> "pd.DataFrame":
        """All rows as a data frame; boxes and landmarks in pixels."""
        import pandas as pd

        groups = [faces.group_of(*pair) for pair in zip(self.authors, self.photo_ids, strict=True)]
        columns: dict[str, Any] = {"face_id": self.face_ids, "photo_id": self.photo_ids, "author": self.authors}
        columns["group"] = groups
        columns["split"] = [split_of(group) for group in groups]
        columns["row"] = np.arange(len(groups))
        for names, blocks in ((faces.BOX_COLUMNS + faces.LANDMARK_COLUMNS, self.places), (exif.TAGS, self.tags)):
            columns |= zip(names, np.concatenate(blocks).T, strict=True)
            blocks.clear()  # memory holds the numbers once
        return pd.DataFrame(columns)


def listed_faces(layout: Layout, reasons: Counter[str]) -> Iterator[Listed]:
    """The faces of the list that have a photograph; the others are counted in `reasons`."""
    photo_ids = read_mapping(layout.mapping)
    groups: dict[str, str] = {}
    for face, reason in console.progress(iterate_faces(layout.metainfo), total=len(photo_ids), what="filter_exif"):
        if face is None:
            reasons[str(reason)] += 1
            continue
        photo_id = photo_ids.get(face.face_id)
        if photo_id is None or photo_id is SEEN or not safe_id(photo_id):
            reasons["photo_id_missing" if photo_id is None else "face_repeated" if photo_id is SEEN else "photo_id_unsafe"] += 1
            continue
        photo_ids[face.face_id] = SEEN
        group = faces.group_of(face.author, photo_id)
        if groups.setdefault(photo_id, group) != group:  # would put one photograph on both sides of a split
            reasons["photo_of_two_authors"] += 1
            continue
        yield Listed(face, photo_id)


def pack(job: list[Listed], layout: Layout, bounds: exif.Bounds) -> Packed:
    """Read the EXIF record and the picture of each face of a job; runs in a worker process."""

    @functools.cache
    def tags_of(photo_id: str) -> tuple[dict[str, float] | None, str | None]:
        record, reason = read_exif(layout.exif / f"{photo_id}.json")
        return (None, reason) if record is None else exif.parse_tags(record, bounds)

    kept, tags, pixels, reasons = [], [], [], Counter[str]()
    for position, one in enumerate(job):
        values, reason = tags_of(one.photo_id)
        if values is None:
            reasons[str(reason)] += 1
            continue
        try:
            picture = read_picture(layout.images / f"{one.face.face_id}.png")
        except UnreadablePicture as error:
            reasons[f"picture_{error.reason.removesuffix('_picture')}"] += 1
            continue
        if picture.shape != (SIDE, SIDE, 3):
            reasons["picture_size"] += 1
            continue
        kept.append(position)
        tags.append([values[tag] for tag in exif.TAGS])
        pixels.append(picture)
    stacked = np.stack(pixels) if pixels else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return Packed(kept, np.array(tags, dtype=np.float64).reshape(-1, len(exif.TAGS)), stacked, reasons)


def in_order(
    work: Callable[[list[Listed]], Packed], jobs: Iterable[list[Listed]], processes: int
) -> Iterator[tuple[list[Listed], Packed]]:
    """Each job with its result, in the order of the jobs, with a bounded number of jobs under way."""
    jobs = iter(jobs)
    head = list(itertools.islice(jobs, 2))
    if processes == 1 or len(head) < 2:  # a single job is not worth the start of processes
        yield from ((job, work(job)) for job in itertools.chain(head, jobs))
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    waiting: deque[tuple[list[Listed], Future[Packed]]] = deque()
    try:
        for job in itertools.chain(head, jobs):
            waiting.append((job, pool.submit(work, job)))
            if len(waiting) > 2 * processes:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BrokenProcessPool:
        raise PipelineError(
            "a worker process died while it read pictures (out of memory?); set PIPELINE_WORKERS=1 to see"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def jobs_of(listed: Iterator[Listed]) -> Iterator[list[Listed]]:
    """The faces in jobs of FACES_PER_JOB."""
    while job := list(itertools.islice(listed, FACES_PER_JOB)):
        yield job


def summary(frame: "pd.DataFrame", reasons: Counter[str]) -> dict[str, Any]:
    """What metrics/exif.json says."""
    return {
        "records": len(frame) + reasons.total(),
        "kept": len(frame),
        "rejected": reasons.total(),
        "reasons": dict(reasons),
        "photographs": frame["photo_id"].nunique(),
        "authors": frame.loc[frame["author"] != "", "author"].nunique(),
        "splits": {name: int((frame["split"] == name).sum()) for name in ("train", "validation")},
        "tied_pairs_share": {tag: exif.tie_rate(frame[tag].to_numpy()) for tag in exif.TAGS},
    }


def distributions(frame: "pd.DataFrame") -> dict[str, list[Any]]:
    """Histogram of each tag as columns for dvc plots."""
    columns: dict[str, list[Any]] = {"tag": [], "value_from": [], "value_to": [], "faces": []}
    for tag in exif.TAGS:
        edges, counts = exif.histogram(frame[tag].to_numpy())
        columns["tag"] += [tag] * len(counts)
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += counts.tolist()
    return columns


def check(splits: dict[str, int], root: Path, reasons: Counter[str]) -> None:
    """PipelineError where a split has no faces: training must not start on nothing."""
    if not sum(splits.values()):
        counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "the face list is empty"
        raise PipelineError(f"{root}: not one face is left ({counted}); compare the layout with README.md")
    for name, count in splits.items():
        if not count:
            raise PipelineError(
                f"{root}: no face falls into the split {name!r} of {splits}: too few authors; "
                "change split.validation or seed in params.yaml"
            )


def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder in the authors' layout")
    parser.add_argument("--faces", type=Path, required=True, help="folder to write: faces.parquet and pixel shards")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON to write: kept and rejected faces by reason")
    parser.add_argument("--tags", type=Path, required=True, help="CSV to write: distributions of the four tags")
    args = parser.parse_args(argv)
    p = params.load("seed", "exif", "split")

    layout, table, reasons = Layout(args.root), Table(), Counter[str]()
    work = functools.partial(pack, layout=layout, bounds=p.exif.model_dump())
    shares = {"validation": p.split.validation, "train": 1 - p.split.validation}
    with artifacts.atomic(args.faces) as folder:
        writer = artifacts.ShardWriter(folder, (SIDE, SIDE, 3))
        for job, packed in in_order(work, jobs_of(listed_faces(layout, reasons)), console.workers()):
            table.append([job[position] for position in packed.kept], packed.tags)
            writer.append(packed.pixels)
            reasons.update(packed.reasons)
        writer.close()
        if not table.face_ids:
            check({}, args.root, reasons)
        frame = table.frame(lambda group: faces.split_of(group, p.seed, shares))
        metrics = summary(frame, reasons)
        check(metrics["splits"], args.root, reasons)
        artifacts.write_table(folder / "faces.parquet", frame)
    artifacts.write_json(args.metrics, metrics)
    artifacts.write_csv(args.tags, distributions(frame))
    counts = [("kept", len(frame)), *reasons.most_common()]
    console.table([{"faces": what, "number": number} for what, number in counts], f"{args.root}: faces kept and rejected")


if __name__ == "__main__":
    console.run(main)
