"""Keep the photographic faces whose photograph carries four valid EXIF tags, and pack their pixels
into shards.

Everything is streamed in the order of the face list: jobs of a few hundred faces go to the worker
processes. A worker leaves a part, the pixels and tags of its job, and the parts are joined in
order; so the bytes do not depend on the number of processes, and memory holds the ids of faces and
photographs. Started by torchrun, each process makes its share of the parts, and the first joins
them."""

import argparse
import functools
import itertools
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, names, process_group, shards, splits, tables
from pipeline.common.layout import Layout
from pipeline.common.pictures import UnreadablePicture, read_picture
from pipeline.exif import tags as exif
from pipeline.exif.records import Listed, listed_faces, read_exif

if TYPE_CHECKING:
    import pandas as pd

SIDE = 128  # FDF's pictures: pixels of a side
FACES_PER_JOB = 256
SplitOf = Callable[[str], str]  # the split of a group


class Job(NamedTuple):
    """Some faces that follow each other in the list."""

    number: int  # from 0
    listed: list[Listed]


def jobs_of(listed: Iterator[Listed]) -> Iterator[Job]:
    """The faces in jobs of FACES_PER_JOB."""
    for number in itertools.count():
        if not (some := list(itertools.islice(listed, FACES_PER_JOB))):
            return
        yield Job(number, some)


def pack(job: Job, parts: Path, layout: Layout, bounds: exif.Bounds) -> None:
    """Write the part of a job, `<number>.npy` and `<number>.json` in `parts`; runs in a worker
    process.
    """
    records, images = str(layout.exif), str(layout.images)

    @functools.cache
    def tags_of(photo_id: str) -> tuple[dict[str, float] | None, str | None]:
        record, reason = read_exif(f"{records}/{photo_id}.json")
        return (None, reason) if record is None else exif.parse_tags(record, bounds)

    kept: list[int] = []  # positions in the job
    tags, reasons = [], Counter[str]()
    pixels = np.empty((len(job.listed), SIDE, SIDE, 3), np.uint8)
    for position, one in enumerate(job.listed):
        values, reason = tags_of(one.photo_id)
        if values is not None:
            picture, reason = picture_of(f"{images}/{one.face.face_id}.png")
            if picture is not None:
                pixels[len(kept)] = picture
                kept.append(position)
                tags.append([values[tag] for tag in names.TAGS])
                continue
        reasons[str(reason)] += 1
    np.save(parts / f"{job.number}.npy", pixels[: len(kept)])
    (parts / f"{job.number}.json").write_text(
        json.dumps({"kept": kept, "tags": tags, "reasons": reasons})
    )


def picture_of(path: str) -> tuple[NDArray[np.uint8] | None, str | None]:
    """A face's picture (128, 128, 3), or the reason why there is none."""
    try:
        picture = read_picture(path)
    except UnreadablePicture as error:
        return None, f"picture_{error.reason.removesuffix('_picture')}"
    return (picture, None) if picture.shape == (SIDE, SIDE, 3) else (None, "picture_size")


def in_order(work: Callable[[Job], None], jobs: Iterable[Job], workers: int) -> Iterator[Job]:
    """Each job once its work is done, in the order of the jobs, with a bounded number of jobs under
    way.
    """
    jobs = iter(jobs)
    head = list(itertools.islice(jobs, 2))
    if workers == 1 or len(head) < 2:  # a single job is not worth the start of processes
        for job in itertools.chain(head, jobs):
            work(job)
            yield job
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), terminal.end_with_stage)
    waiting: deque[tuple[Job, Future[None]]] = deque()
    try:
        for job in itertools.chain(head, jobs):
            waiting.append((job, pool.submit(work, job)))
            if len(waiting) > 2 * workers:
                waiting[0][1].result()
                yield waiting.popleft()[0]
        for job, future in waiting:
            future.result()
            yield job
    except BrokenProcessPool:
        raise PipelineError(
            "a worker process died while it read pictures (out of memory?); set PIPELINE_WORKERS=1 "
            "to see"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def make_parts(
    work: Callable[[Job], None], layout: Layout, reasons: Counter[str], team: process_group.ProcessGroup
) -> Iterator[Job]:
    """The jobs, in order, whose parts are there; faces that cannot be listed are counted in
    `reasons`.

    Each of several processes makes the parts of every `team.count`-th job; then the first goes
    through all jobs."""
    if team.count == 1:
        yield from in_order(work, jobs_of(listed_faces(layout, reasons)), terminal.workers())
        return
    own = itertools.islice(jobs_of(listed_faces(layout, Counter())), team.rank, None, team.count)
    deque(in_order(work, own, terminal.workers()), maxlen=0)
    team.wait()
    if team.first:
        yield from jobs_of(listed_faces(layout, reasons))


def join(
    folder: Path, parts: Path, done: Iterable[Job], split_of: SplitOf
) -> tuple[int, Counter[str]]:
    """Write shards and faces.parquet from the parts of all jobs, which are removed: faces kept, and
    rejected by reason.
    """
    pixels, table = (
        shards.ShardWriter(folder, (SIDE, SIDE, 3)),
        tables.TableWriter(folder / "faces.parquet"),
    )
    reasons, rows = Counter[str](), 0
    for job in done:
        part = json.loads((parts / f"{job.number}.json").read_text())
        kept = [job.listed[position] for position in part["kept"]]
        tags = np.array(part["tags"], dtype=np.float64).reshape(-1, len(names.TAGS))
        table.append(columns_of(kept, tags, rows, split_of))
        pixels.append(np.load(parts / f"{job.number}.npy", mmap_mode="r", allow_pickle=False))
        reasons.update(part["reasons"])
        rows += len(kept)
        for ending in (".json", ".npy"):
            (parts / f"{job.number}{ending}").unlink()
    pixels.close()
    table.close()
    return rows, reasons


def columns_of(
    kept: list[Listed], tags: NDArray[np.float64], row: int, split_of: SplitOf
) -> dict[str, Any]:
    """The columns of faces.parquet for k faces from `row` on with their tags (k, 4); boxes and
    landmarks in pixels.
    """
    groups = [splits.group_of(one.face.author, one.photo_id) for one in kept]
    places = np.array(
        [(*one.face.box, *one.face.landmarks) for one in kept], dtype=np.float64
    ).reshape(-1, 18)
    return {
        "face_id": [one.face.face_id for one in kept],
        "photo_id": [one.photo_id for one in kept],
        "author": [one.face.author for one in kept],
        "group": groups,
        "split": [split_of(group) for group in groups],
        "row": np.arange(row, row + len(kept)),
        **dict(
            zip(
                names.BOX_COLUMNS + names.LANDMARK_COLUMNS,
                (places * SIDE).astype(np.float32).T,
                strict=True,
            )
        ),
        **dict(zip(names.TAGS, tags.T, strict=True)),
    }


def summary(column: Callable[[str], "pd.Series"], reasons: Counter[str]) -> dict[str, Any]:
    """What metrics/exif.json says; `column` reads one of faces.parquet."""
    split, author = column("split"), column("author")
    return {
        "records": len(split) + reasons.total(),
        "kept": len(split),
        "rejected": reasons.total(),
        "reasons": dict(reasons),
        "photographs": column("photo_id").nunique(),
        "authors": author[author != ""].nunique(),
        "splits": {name: int((split == name).sum()) for name in ("train", "validation")},
        "tied_pairs_share": {tag: exif.tie_rate(column(tag).to_numpy()) for tag in names.TAGS},
    }


def distributions(column: Callable[[str], "pd.Series"]) -> dict[str, list[Any]]:
    """Histogram of each tag as columns for dvc plots."""
    columns: dict[str, list[Any]] = {"tag": [], "value_from": [], "value_to": [], "faces": []}
    for tag in names.TAGS:
        edges, counts = exif.histogram(column(tag).to_numpy())
        columns["tag"] += [tag] * len(counts)
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += counts.tolist()
    return columns


def check(splits: dict[str, int], root: Path, reasons: Counter[str]) -> None:
    """PipelineError where a split has no faces: training must not start on nothing."""
    if not sum(splits.values()):
        counted = (
            ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            or "the face list is empty"
        )
        raise PipelineError(
            f"{root}: not one face is left ({counted}); compare the layout with README.md"
        )
    for name, count in splits.items():
        if not count:
            raise PipelineError(
                f"{root}: no face falls into the split {name!r} of {splits}: too few authors; "
                "change split.validation or seed in params.yaml"
            )


def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, required=True, help="data folder in the authors' layout"
    )
    parser.add_argument(
        "--faces", type=Path, required=True, help="folder to write: faces.parquet and pixel shards"
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        required=True,
        help="JSON to write: kept and rejected faces by reason",
    )
    parser.add_argument(
        "--tags", type=Path, required=True, help="CSV to write: distributions of the four tags"
    )
    args = parser.parse_args(argv)
    p = params.load("seed", "exif", "split")

    layout, reasons = Layout(args.root), Counter[str]()
    shares = {"validation": p.split.validation, "train": 1 - p.split.validation}
    with (
        process_group.group() as team,
        artifacts.atomic(args.faces) if team.first else nullcontext() as folder,
    ):
        own = (
            None
            if folder is None
            else os.fsencode(folder.with_name(f"{folder.name}.parts").absolute())
        )
        parts = Path(os.fsdecode(team.broadcast(own)))
        parts.mkdir(exist_ok=True)
        work = functools.partial(pack, parts=parts, layout=layout, bounds=p.exif.model_dump())
        done = make_parts(work, layout, reasons, team)
        if folder is None:
            deque(done, maxlen=0)
            return
        kept, refused = join(
            folder, parts, done, lambda group: splits.split_of(group, p.seed, shares)
        )
        reasons.update(refused)
        if not kept:
            check({}, args.root, reasons)
        column = functools.partial(tables.read_column, folder / "faces.parquet")
        metrics = summary(column, reasons)
        check(metrics["splits"], args.root, reasons)
        histograms = distributions(column)
    artifacts.write_json(args.metrics, metrics)
    artifacts.write_csv(args.tags, histograms)
    counts = [("kept", kept), *reasons.most_common()]
    terminal.table(
        [{"faces": what, "number": number} for what, number in counts],
        f"{args.root}: faces kept and rejected",
    )


if __name__ == "__main__":
    terminal.run(main)
