"""Keep the photographic faces whose photograph carries four valid EXIF tags; pack their pixels.

The faces are FDF's with their records, or those in one's own photographs. All is streamed in the
order of the face list, or of the paths, so that memory holds the ids of faces and photographs and a
few hundred pictures. Worker processes read records and pictures; the bytes written do not depend on
their number."""

import argparse
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base import params, processes, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, names, shards, splits, tables
from pipeline.common.layout import Layout
from pipeline.common.tally import Tally
from pipeline.exif import photographs, tags
from pipeline.exif.photographs import Photograph, read_picture
from pipeline.exif.records import Face, listed_faces, read_exif

if TYPE_CHECKING:
    import pandas as pd

SIDE = 128  # FDF's pictures: pixels of a side
SHAPE = (SIDE, SIDE, 3)
FACES_PER_JOB = 256
NOTHING = Photograph("", b"", [], [], [])  # so that there is a table where nothing is kept


class Packed(NamedTuple):
    """The k faces of a job that are kept, and why the others are not."""

    faces: list[Face]
    tags: NDArray[np.float64]  # (k, 4) in the order of TAGS
    pixels: NDArray[np.uint8]  # (k, *SHAPE)
    reasons: Tally


def jobs_of(faces: Iterator[Face]) -> Iterator[list[Face]]:
    """The faces in jobs of FACES_PER_JOB; one without faces where there is none."""
    yield list(itertools.islice(faces, FACES_PER_JOB))
    while job := list(itertools.islice(faces, FACES_PER_JOB)):
        yield job


def pack(job: list[Face], layout: Layout, bounds: tags.Bounds) -> Packed:
    """Tags and pixels of the faces of a job; runs in a worker process."""
    kept, values, pixels, reasons = list[Face](), [], [], Tally()
    for face in job:
        try:
            parsed = tags.parse_tags(read_exif(layout.exif / f"{face.photo_id}.json"), bounds)
            pixels.append(read_pixels(layout.images / f"{face.face_id}.png"))
        except tags.Rejection as rejection:
            reasons.add(rejection.reason, face.face_id, rejection.cause)
            continue
        kept.append(face)
        values.append(list(parsed.values()))
    tag_values = np.array(values, np.float64).reshape(-1, len(names.TAGS))
    return Packed(kept, tag_values, np.array(pixels, np.uint8).reshape(-1, *SHAPE), reasons)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """A face's picture, of shape SHAPE. Raises Rejection where there is none."""
    _, image, transparent = read_picture(path)
    if image.size != (SIDE, SIDE):
        raise tags.Rejection("picture_size", f"{image.width} x {image.height}")
    if transparent:  # no camera took it so
        raise tags.Rejection("picture_transparent")
    return np.array(image)


def parts_of(p: Any, root: Path, reasons: Tally) -> Iterator[Packed]:
    """All faces of the source that params.yaml names, in parts; some that are rejected are counted
    in `reasons`, the others in the parts.
    """
    bounds = p.exif.model_dump(include=set(names.TAGS))
    if p.exif.source == "photos":
        e = p.exif
        own = e.reject, e.photographer_pattern, e.face_detector, e.focal_length
        settings = photographs.Settings(root / photographs.FOLDER, bounds, *own)
        yield pack_photograph(NOTHING)
        yield from map(pack_photograph, photographs.read_all(settings, reasons))
    else:
        layout = Layout(root)
        work = functools.partial(pack, layout=layout, bounds=bounds)
        jobs = jobs_of(listed_faces(layout, reasons))
        yield from processes.parallel(work, jobs, workers=processes.workers())


def pack_photograph(photograph: Photograph) -> Packed:
    """The faces of one's own photograph."""
    count = len(photograph.faces)
    tag_values = np.array([photograph.tags] * count, np.float64).reshape(-1, len(names.TAGS))
    pixels = np.array(photograph.pixels, np.uint8).reshape(-1, *SHAPE)
    return Packed(photograph.faces, tag_values, pixels, Tally())


def write(folder: Path, packed: Iterable[Packed], split_of: Callable[[str], str]) -> Tally:
    """Write shards and faces.parquet; returns the rejected faces by reason."""
    pixels = shards.ShardWriter(folder, SHAPE)
    table = tables.TableWriter(folder / "faces.parquet")
    reasons, rows = Tally(), 0
    for part in packed:
        table.append(columns_of(part, rows, split_of))
        pixels.append(part.pixels)
        reasons.join(part.reasons)
        rows += len(part.faces)
    pixels.close()
    table.close()
    return reasons


def columns_of(part: Packed, row: int, split_of: Callable[[str], str]) -> dict[str, Any]:
    """The columns of faces.parquet for faces from `row` on; boxes and landmarks in pixels."""
    faces = part.faces
    groups = [splits.group_of(face.author, face.photo_id) for face in faces]
    places = np.array([(*face.box, *face.landmarks) for face in faces], np.float64).reshape(-1, 18)
    places = (places * SIDE).astype(np.float32)
    return {
        "face_id": [face.face_id for face in faces],
        "photo_id": [face.photo_id for face in faces],
        "author": [face.author for face in faces],
        "group": groups,
        "split": [split_of(group) for group in groups],
        "row": np.arange(row, row + len(faces)),
        **dict(zip(names.BOX_COLUMNS + names.LANDMARK_COLUMNS, places.T, strict=True)),
        **dict(zip(names.TAGS, part.tags.T, strict=True)),
    }


def summary(table: "pd.DataFrame", reasons: Tally) -> dict[str, Any]:
    """The content of exif.json, from columns of faces.parquet."""
    author, split = table["author"], table["split"]
    return {
        "records": len(table) + reasons.total,
        "kept": len(table),
        "rejected": reasons.total,
        "reasons": reasons.counts,
        "first": reasons.firsts,
        "photographs": table["photo_id"].nunique(),
        "authors": author[author != ""].nunique(),
        "splits": {name: int((split == name).sum()) for name in ("train", "validation")},
        "tied_pairs_share": {tag: tags.tie_rate(table[tag].to_numpy()) for tag in names.TAGS},
    }


def distributions(table: "pd.DataFrame") -> dict[str, list[Any]]:
    """The columns of tags.csv: a histogram of each tag."""
    columns: dict[str, list[Any]] = {"tag": [], "value_from": [], "value_to": [], "faces": []}
    for tag in names.TAGS:
        edges, counts = tags.histogram(table[tag].to_numpy())
        columns["tag"] += [tag] * len(counts)
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += counts.tolist()
    return columns


def show(counts: dict[str, Any], root: Path) -> None:
    """Print how many faces are kept and rejected, the most frequent reasons first."""
    rows = [{"faces": "kept", "number": counts["kept"], "first": ""}]
    for reason, number in sorted(counts["reasons"].items(), key=lambda item: -item[1]):
        rows.append({"faces": reason, "number": number, "first": counts["first"][reason]})
    terminal.table(rows, f"{root}: faces kept and rejected")


def check(counts: dict[str, Any], root: Path) -> None:
    """Raise PipelineError where a split has no faces: training must not start on nothing."""
    if not counts["records"]:
        raise PipelineError(f"{root}: the face list is empty; compare the layout with README.md")
    for name, count in counts["splits"].items():
        if not count:
            raise PipelineError(
                f"{root}: no face is in the split {name!r} of {counts['splits']}, and rejected are "
                f"{counts['reasons']}; check the data against README.md, or change split.validation"
            )


def main(argv: list[str] | None = None) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the data root")
    parser.add_argument("--output", type=Path, required=True, help="folder of faces to write")
    args = parser.parse_args(argv)
    p = params.load("seed", "exif", "split")

    reasons = Tally()
    shares = {"validation": p.split.validation, "train": 1 - p.split.validation}
    with atomic(args.output) as folder:
        packed = parts_of(p, args.root, reasons)
        reasons.join(write(folder, packed, lambda group: splits.split_of(group, p.seed, shares)))
        columns = ["photo_id", "author", "split", *names.TAGS]
        table = artifacts.read_table(folder / "faces.parquet", columns)
        counts = summary(table, reasons)
        show(counts, args.root)
        check(counts, args.root)
        artifacts.write_json(folder / "exif.json", counts)
        artifacts.write_csv(folder / "tags.csv", distributions(table))


if __name__ == "__main__":
    terminal.run(main)
