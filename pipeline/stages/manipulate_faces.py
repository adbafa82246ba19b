"""Make four manipulated negatives of each photographic face: mouth turned, mouth mirrored, one eye mirrored, face warped."""

import argparse
import multiprocessing
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import artifacts, console, negatives, params, plots
from pipeline.errors import PipelineError
from pipeline.faces import LANDMARK_COLUMNS
from pipeline.layout import Layout
from pipeline.manipulations import OPERATIONS
from pipeline.negatives import Chunk, Negatives

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 64  # faces: 12 MiB of results, so that many waiting chunks still fit the memory
ROW_GROUP = 65536  # rows of the table written at once
SHEET_FACES = 6


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with faces.parquet and its shards")
    parser.add_argument(
        "--root", type=Path, required=True, help="data root: 68 landmarks and ready-made negatives lie below it"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write: manipulated.parquet and shards")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    parser.add_argument("--sheet", type=Path, required=True, help="contact sheet of before and after to write, .png")
    options = parser.parse_args(argv)
    p = params.load("seed", "manipulation")

    faces = artifacts.read_table(options.faces / "faces.parquet")
    shards = artifacts.read_shards(options.faces)
    chunks = _chunks(faces, shards, Layout(options.root), p)
    workers = min(console.workers(), -(-len(faces) // CHUNK))
    summary = Summary()
    with artifacts.atomic(options.output) as folder:
        writer = artifacts.ShardWriter(folder, shards.shape)
        with TableWriter(folder / "manipulated.parquet") as table, console.progress((), total=len(faces), what="faces") as bar:
            for chunk, result in _in_order(chunks, workers):
                writer.append(result.pictures)
                table.append(result.table)
                summary.add(chunk.images, result)
                bar.update(len(chunk.rows))
        writer.close()
    artifacts.write_json(options.metrics, summary.metrics())
    plots.contact_sheet(summary.sheet, ("original", *OPERATIONS), options.sheet)
    console.table([{"operation": name, "pictures": n} for name, n in summary.by("operations").items()], "Manipulated faces")
    for reason, count in summary.by("unusable_landmarks").items():
        print(f"{count} faces only warped: {reason.replace('_', ' ')}")


def _chunks(faces: "pd.DataFrame", shards: artifacts.Shards, root: Layout, p: Any) -> Iterator[Chunk]:
    """The work, cut the same way for any number of processes."""
    points_68 = root.images.parent.parent / "landmarks"
    ready_made = root.negatives if p.manipulation.source == "ready-made" else None
    if ready_made is not None and not ready_made.is_dir():
        raise PipelineError(
            f"{ready_made}: no such folder, but params.yaml has manipulation.source: ready-made; "
            "put the authors' face_dataaug_neg there, or set it to generate"
        )
    face_ids, rows = faces["face_id"].tolist(), faces["row"].to_numpy(dtype=np.int64)
    points = faces[list(LANDMARK_COLUMNS)].to_numpy(dtype=np.float64)
    for start in range(0, len(faces), CHUNK):
        part = slice(start, start + CHUNK)
        yield Chunk(
            shards[rows[part]],
            rows[part],
            face_ids[part],
            points[part],
            start,
            seed=p.seed,
            warp_sigma=p.manipulation.warp_sigma,
            blend_ratios=p.manipulation.blend_ratios,
            points_68=points_68 if points_68.is_dir() else None,
            ready_made=ready_made,
        )


def _in_order(chunks: Iterator[Chunk], workers: int) -> Iterator[tuple[Chunk, Negatives]]:
    """Chunks with their results, in order, made by so many processes, with a few waiting at most."""
    if workers <= 1:
        for chunk in chunks:
            yield chunk, negatives.make(chunk)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])  # imported once; forking this process with its threads would not be safe
    waiting: deque[tuple[Chunk, Future[Negatives]]] = deque()
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(negatives.make, chunk)))
                if len(waiting) > workers + 2:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
    except BrokenProcessPool:
        raise PipelineError(
            "a worker process was killed, most often for want of memory; set PIPELINE_WORKERS to fewer than "
            f"{workers} processes and run again"
        ) from None


def _first(waiting: deque[tuple[Chunk, Future[Negatives]]]) -> tuple[Chunk, Negatives]:
    chunk, future = waiting.popleft()
    return chunk, future.result()


class TableWriter:
    """The table manipulated.parquet, written in row groups, so that memory does not grow with the faces."""

    def __init__(self, path: Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        text, number = pa.string(), pa.int64()
        self.schema = pa.schema(zip(negatives.COLUMNS, (text, number, number, text, text, text), strict=True))
        self._file = pq.ParquetWriter(path, self.schema)
        self._waiting: dict[str, list[Any]] = {name: [] for name in negatives.COLUMNS}

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def append(self, columns: dict[str, list[Any]]) -> None:
        """Add rows, given by column."""
        for name, values in columns.items():
            self._waiting[name].extend(values)
        if len(self._waiting["row"]) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._file.write_table(pa.table(self._waiting, schema=self.schema))
        self._waiting = {name: [] for name in negatives.COLUMNS}


class Summary:
    """What the metrics and the contact sheet need of each chunk."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.errors: list[float] = []
        self.sheet: list[list[np.ndarray]] = []

    def add(self, originals: np.ndarray, result: Negatives) -> None:
        """Count a chunk, and show its first locally edited faces while there is room."""
        self.counts += result.counts
        self.errors += result.mouth_errors
        for i in np.flatnonzero(result.locally_edited)[: SHEET_FACES - len(self.sheet)]:
            self.sheet.append([originals[i], *result.pictures[4 * i : 4 * i + 4]])

    def by(self, what: str) -> dict[str, int]:
        """Counts of one kind by name, sorted."""
        return {name: n for (kind, name), n in sorted(self.counts.items()) if kind == what}

    def metrics(self) -> dict[str, Any]:
        """The content of metrics/manipulations.json."""
        pictures = sum(self.by("operations").values())
        return {
            "faces": pictures // 4,
            "manipulated": pictures,
            "operations": self.by("operations"),
            "unusable_landmarks": self.by("unusable_landmarks"),
            "landmarks_68": self.counts["landmarks_68", "used"],
            "landmarks_68_rejected": self.by("landmarks_68_rejected"),
            "ready_made_rejected": self.by("ready_made_rejected"),
            "mouth_location_error_px": _quantiles(self.errors),
        }


def _quantiles(errors: Iterable[float]) -> dict[str, Any]:
    """Of the mouth located from seven landmarks, where 68 tell the truth."""
    values = np.asarray(list(errors))
    if not len(values):
        return {"faces": 0, "median": None, "p90": None}
    median, p90 = np.round(np.percentile(values, [50, 90]), 3).tolist()
    return {"faces": len(values), "median": median, "p90": p90}


if __name__ == "__main__":
    console.run(main)
