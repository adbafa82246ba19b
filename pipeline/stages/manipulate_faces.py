"""Make four manipulated negatives of each photographic face: mouth turned, mouth mirrored, one eye
mirrored, face warped.
"""

import argparse
import functools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import params, schema, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, process_group, shards
from pipeline.common import contact_sheet as plots
from pipeline.common.layout import Layout
from pipeline.common.names import LANDMARK_COLUMNS
from pipeline.common.tables import TableWriter
from pipeline.manipulation import negatives
from pipeline.manipulation.negatives import Chunk, Negatives, Summary
from pipeline.manipulation.operations import OPERATIONS

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 64  # faces: 12 MiB of results, so that many waiting chunks still fit the memory
TABLE = "manipulated.parquet"


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--faces", type=Path, required=True, help="folder with faces.parquet and its shards"
    )
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root: 68 landmarks and ready-made negatives lie below it",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to write: manipulated.parquet and shards"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    parser.add_argument(
        "--sheet", type=Path, required=True, help="contact sheet of before and after to write, .png"
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "manipulation")

    columns = ["face_id", "row", *LANDMARK_COLUMNS]
    faces, pictures = (
        artifacts.read_table(options.faces / "faces.parquet", columns),
        shards.read_shards(options.faces),
    )
    with process_group.group() as team:
        with _shared(options.output, team) as folder:
            own, summary = _own(len(faces), team), Summary()
            work = functools.partial(negatives.write, folder=folder, faces=len(faces))
            chunks = _chunks(faces, pictures, own, Layout(options.root), p)
            part = TABLE if team.count == 1 else f"part-{team.rank}.parquet"
            with (
                closing(TableWriter(folder / part)) as table,
                terminal.progress((), total=min(CHUNK * len(own), len(faces)), what="faces") as bar,
            ):
                table.append(
                    _columns({name: [] for name in negatives.COLUMNS})
                )  # without faces, too, there is a table
                for chunk, result in _in_order(work, chunks, min(terminal.workers(), len(own))):
                    table.append(_columns(result.table))
                    summary.add(chunk, result)
                    bar.update(len(chunk.rows))
            summaries = [Summary.from_json(text) for text in team.gather(summary.to_json())]
            if team.first and team.count > 1:
                _join(folder, team.count)
            if team.first and not len(faces):
                shards.ShardWriter(folder, pictures.shape).close()
        if team.first:
            _report(options, pictures, sum(summaries[1:], summaries[0]))


def _report(options: argparse.Namespace, pictures: shards.Shards, summary: Summary) -> None:
    """Metrics, contact sheet and what the terminal shows."""
    artifacts.write_json(options.metrics, summary.metrics())
    manipulated = shards.read_shards(options.output)
    sheet = [
        [pictures[[row]][0], *manipulated[4 * face : 4 * face + 4]] for row, face in summary.sheet
    ]
    plots.contact_sheet(sheet, ("original", *OPERATIONS), options.sheet)
    terminal.table(
        [{"operation": name, "pictures": n} for name, n in summary.by("operations").items()],
        "Manipulated faces",
    )
    for reason, count in summary.by("unusable_landmarks").items():
        print(f"{count} faces only warped: {reason.replace('_', ' ')}")


@contextmanager
def _shared(path: Path, team: process_group.ProcessGroup) -> Iterator[Path]:
    """The folder that all processes write into, which the first makes and moves to `path` at the
    end.
    """
    with artifacts.atomic(path) if team.first else nullcontext(path) as own:
        folder = Path(os.fsdecode(team.broadcast(os.fsencode(own))))
        folder.mkdir(exist_ok=True)
        yield folder


def _own(faces: int, team: process_group.ProcessGroup) -> range:
    """Where the chunks of this process start: consecutive ones, in the order of ranks."""
    starts = range(0, faces, CHUNK)
    return starts[
        len(starts) * team.rank // team.count : len(starts) * (team.rank + 1) // team.count
    ]


def _join(folder: Path, count: int) -> None:
    """One table from the parts of all processes, with the row groups that one process would have
    written.
    """
    import pyarrow.parquet as pq

    with closing(TableWriter(folder / TABLE)) as table:
        table.append(
            _columns({name: [] for name in negatives.COLUMNS})
        )  # parts without rows leave none
        for rank in range(count):
            part = folder / f"part-{rank}.parquet"
            for batch in pq.ParquetFile(part).iter_batches():
                table.append(_columns(batch.to_pydict()))
            part.unlink()


def _columns(rows: dict[str, list[Any]]) -> dict[str, list[str] | np.ndarray]:
    """The table's columns with the numbers as arrays."""
    return {
        name: np.array(rows[name], dtype=np.int64) if name.endswith("row") else rows[name]
        for name in negatives.COLUMNS
    }


def _chunks(
    faces: "pd.DataFrame", pictures: shards.Shards, starts: range, root: Layout, p: schema.Params
) -> Iterator[Chunk]:
    """The work from each start, cut the same way for any number of processes."""
    points_68 = root.images.parent.parent / "landmarks"
    ready_made = root.negatives if p.manipulation.source == "ready-made" else None
    if ready_made is not None and not ready_made.is_dir():
        raise PipelineError(
            f"{ready_made}: no such folder, but params.yaml has manipulation.source: ready-made; "
            "put the authors' face_dataaug_neg there, or set it to generate"
        )
    rows = faces["row"].to_numpy(dtype=np.int64)
    for start in starts:
        part = slice(start, start + CHUNK)
        yield Chunk(
            pictures[rows[part]],
            rows[part],
            faces["face_id"].iloc[part].tolist(),
            faces[list(LANDMARK_COLUMNS)].iloc[part].to_numpy(dtype=np.float64),
            start,
            seed=p.seed,
            warp_sigma=p.manipulation.warp_sigma,
            blend_ratios=p.manipulation.blend_ratios,
            points_68=points_68 if points_68.is_dir() else None,
            ready_made=ready_made,
        )


def _in_order(
    work: Callable[[Chunk], Negatives], chunks: Iterator[Chunk], workers: int
) -> Iterator[tuple[Chunk, Negatives]]:
    """Chunks with their results, in order, made by so many processes, with a few waiting at most."""
    if workers <= 1:
        for chunk in chunks:
            yield chunk, work(chunk)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch"]
    )  # imported once; forking this process with its threads would not be safe
    waiting: deque[tuple[Chunk, Future[Negatives]]] = deque()
    try:
        with ProcessPoolExecutor(
            workers, mp_context=context, initializer=terminal.end_with_stage
        ) as pool:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(work, chunk)))
                if len(waiting) > workers + 2:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
    except BrokenProcessPool:
        raise PipelineError(
            "a worker process was killed, most often for want of memory; set PIPELINE_WORKERS to "
            "fewer than "
            f"{workers} processes and run again"
        ) from None


def _first(waiting: deque[tuple[Chunk, Future[Negatives]]]) -> tuple[Chunk, Negatives]:
    chunk, future = waiting.popleft()
    return chunk, future.result()


if __name__ == "__main__":
    terminal.run(main)
