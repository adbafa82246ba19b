"""Make four manipulated negatives of each photographic face: mouth turned, mouth mirrored, one eye
mirrored, face warped.
"""

import functools
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import command_line, params, processes, schema, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards
from pipeline.common.contact_sheet import contact_sheet
from pipeline.common.layout import Layout
from pipeline.common.names import LANDMARK_COLUMNS
from pipeline.common.tables import TableWriter
from pipeline.manipulation import negatives
from pipeline.manipulation.negatives import Chunk, Settings
from pipeline.manipulation.operations import OPERATIONS

if TYPE_CHECKING:
    import pandas as pd

FACES_PER_JOB = 64  # 12 MiB of results
FACES_SHOWN = 6


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        root="data root: may hold 68 landmarks",
        faces="folder of filter_exif",
        output="folder to write",
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "manipulation")
    settings = settings_of(Layout(options.root), p)
    columns = ["face_id", "row", *LANDMARK_COLUMNS]
    faces = artifacts.read_table(options.faces / "faces.parquet", columns)
    pictures = shards.read_shards(options.faces)
    with atomic(options.output) as folder:
        folder.mkdir()
        counts, shown = make_all(faces, pictures, settings, folder)
        artifacts.write_json(folder / "manipulations.json", counts)
        manipulated = shards.read_shards(folder)
        rows = [[pictures[[row]][0], *manipulated[own : own + 4]] for row, own in shown]
        contact_sheet(rows, ("original", *OPERATIONS), folder / "examples.png")
    operations = [{"operation": name, "pictures": n} for name, n in counts["operations"].items()]
    terminal.table(operations, "Manipulated faces")
    for reason, count in counts["unusable_landmarks"].items():
        print(f"{count} faces only warped: {reason.replace('_', ' ')}")


def make_all(
    faces: "pd.DataFrame", pictures: shards.Shards, settings: Settings, folder: Path
) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Write pictures and table. Returns the content of manipulations.json, and the rows of faces to
    show: of the face among the pictures, and of its first negative."""
    counts, shown = Counter[tuple[str, str]](), list[tuple[int, int]]()
    mouth_errors = array("d")  # pixels; a million of them take 8 MB
    write = functools.partial(negatives.write, settings=settings, folder=folder, faces=len(faces))
    jobs = chunks(faces, pictures)
    with (
        closing(TableWriter(folder / "manipulated.parquet")) as table,
        terminal.progress((), total=len(faces), what="faces") as bar,
    ):
        for result in processes.parallel(write, jobs, processes.workers()):
            table.append(result.table)
            counts += result.counts
            mouth_errors.extend(result.mouth_errors)
            firsts = [result.table[name][::4] for name in ("face_row", "row", "note")]
            shown += [(row, own) for row, own, note in zip(*firsts, strict=True) if not note]
            del shown[FACES_SHOWN:]
            bar.update(len(result.table["row"]) // 4)
    return negatives.metrics(counts, mouth_errors), shown


def settings_of(root: Layout, p: schema.Params) -> Settings:
    """The settings for all faces. PipelineError where ready-made negatives are missing."""
    points_68 = root.images.parent.parent / "landmarks"
    ready_made = root.negatives if p.manipulation.source == "ready-made" else None
    if ready_made is not None and not ready_made.is_dir():
        raise PipelineError(
            f"{ready_made}: no such folder, but params.yaml has manipulation.source: ready-made; "
            "put the authors' face_dataaug_neg there, or set it to generate"
        )
    own = p.manipulation
    folders = points_68 if points_68.is_dir() else None, ready_made
    return Settings(p.seed, own.warp_sigma, own.blend_ratios, *folders)


def chunks(faces: "pd.DataFrame", pictures: shards.Shards) -> Iterator[Chunk]:
    """All faces, FACES_PER_JOB at a time."""
    for first in range(0, len(faces), FACES_PER_JOB):
        some = faces.iloc[first : first + FACES_PER_JOB]
        rows = some["row"].to_numpy(np.int64)
        points = some[list(LANDMARK_COLUMNS)].to_numpy(np.float64)
        yield Chunk(first, some["face_id"].tolist(), rows, points, pictures[rows])


if __name__ == "__main__":
    terminal.run(main)
