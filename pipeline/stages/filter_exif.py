"""Keep the photographic faces whose photograph carries valid EXIF tags; pack their pixels.

The faces are FDF's, with their records or the lines of YFCC100M's EXIF pack, or those in one's own
photographs. All is streamed in the order of the face list, or of the paths, so that memory holds
the ids of faces and photographs, what the pack says of them, and a few hundred pictures. Worker
processes read records and pictures; the bytes written do not depend on their number."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base import command_line, params, processes, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, names, shards, splits, tables
from pipeline.common.layout import Layout
from pipeline.common.tally import Tally
from pipeline.exif import photographs, tags, yfcc
from pipeline.exif.photographs import Photograph, read_picture
from pipeline.exif.records import Face, listed_faces, read_exif, read_mapping
from pipeline.exif.tags import Tag, Wanted, histogram

if TYPE_CHECKING:
    import pandas as pd

SIDE = 128  # FDF's pictures: pixels of a side
SHAPE = (SIDE, SIDE, 3)
FACES_PER_JOB = 256
NOTHING = Photograph("", b"", [], {}, [], [])  # so that there is a table where nothing is kept


class Packed(NamedTuple):
    """The k faces of a job that are kept, and why the others are not."""

    faces: list[Face]
    tags: list[dict[str, float]]  # of each by name, NaN where it has none
    pixels: NDArray[np.uint8]  # (k, *SHAPE)
    reasons: Tally
    lacking: Tally  # why tags of faces that are kept are NaN


Listed = tuple[Face, Any]  # a face, and from where or what its EXIF is read


def jobs_of(faces: Iterator[Listed]) -> Iterator[list[Listed]]:
    """The faces in jobs of FACES_PER_JOB; one without faces where there is none."""
    yield list(itertools.islice(faces, FACES_PER_JOB))
    while job := list(itertools.islice(faces, FACES_PER_JOB)):
        yield job


def pack(
    job: list[Listed], read: Callable[[Any], Mapping[str, Any]], images: Path, wanted: Wanted
) -> Packed:
    """Tags and pixels of the faces of a job, EXIF by `read`; runs in a worker process."""
    kept, values, pixels = list[Face](), list[dict[str, float]](), []
    reasons, lacking = Tally(), Tally()
    for face, source in job:
        try:
            found, without = tags.parse_tags(read(source), wanted)
            pixels.append(read_pixels(images / f"{face.face_id}.png"))
        except tags.Rejection as rejection:
            reasons.add(rejection.reason, face.face_id, rejection.cause)
            continue
        kept.append(face)
        values.append(found)
        for why in without:
            lacking.add(why.reason, face.face_id, why.cause)
    return Packed(kept, values, np.array(pixels, np.uint8).reshape(-1, *SHAPE), reasons, lacking)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """A face's picture, of shape SHAPE. Raises Rejection where there is none."""
    _, image, transparent = read_picture(path)
    if image.size != (SIDE, SIDE):
        raise tags.Rejection("picture_size", f"{image.width} x {image.height}")
    if transparent:  # no camera took it so
        raise tags.Rejection("picture_transparent")
    return np.array(image)


def parts_of(
    p: Any, wanted: Wanted, root: Path, reasons: Tally
) -> tuple[Iterator[Packed], dict[str, Any]]:
    """All faces of the source that params.yaml names, in parts, and what exif.json says of the
    source; some that are rejected are counted in `reasons`, the others in the parts.
    """
    if p.exif.source == "photos":
        own = p.exif.reject, p.exif.photographer_pattern, p.exif.face_detector
        settings = photographs.Settings(root / photographs.FOLDER, wanted, *own)
        read_all = photographs.read_all(settings, reasons)
        return map(pack_photograph, itertools.chain([NOTHING], read_all)), {}
    layout, said = Layout(root), dict[str, Any]()
    read: Callable[[Any], Mapping[str, Any]]
    source_of: Callable[[str], Any]
    if p.exif.source == "yfcc":
        photo_ids = yfcc.read_photo_ids(layout.metainfo)
        keys = [tag.key for tag in wanted.tags]
        lines = yfcc.read_pack(layout.pack, photo_ids.values(), keys)
        print(f"{layout.pack}: {lines.number:,} lines, wrong: {lines.wrong or 'none'}")
        said = {"lines": lines.number, "wrong_lines": lines.wrong}
        read, source_of = yfcc.exif_of, lines.record
    else:
        photo_ids = read_mapping(layout.mapping)
        read, source_of = (
            functools.partial(read_exif, wanted=wanted),
            lambda photo_id: layout.exif / f"{photo_id}.json",
        )
    faces = listed_faces(layout.metainfo, photo_ids, reasons, p.exif.licenses)
    jobs = jobs_of((face, source_of(face.photo_id)) for face in faces)
    work = functools.partial(pack, read=read, images=layout.images, wanted=wanted)
    return processes.parallel(work, jobs, workers=processes.workers()), said


def pack_photograph(photograph: Photograph) -> Packed:
    """The faces of one's own photograph."""
    faces, lacking = photograph.faces, Tally()
    for face, why in itertools.product(faces, photograph.lacking):
        lacking.add(why.reason, face.face_id, why.cause)
    pixels = np.array(photograph.pixels, np.uint8).reshape(-1, *SHAPE)
    return Packed(faces, [photograph.tags] * len(faces), pixels, Tally(), lacking)


def write(
    folder: Path, packed: Iterable[Packed], split_of: Callable[[str], str], tags: Sequence[Tag]
) -> tuple[Tally, Tally]:
    """Write shards and faces.parquet; returns by reason the rejected faces, and the tags that kept
    ones lack.
    """
    pixels = shards.ShardWriter(folder, SHAPE)
    table = tables.TableWriter(folder / "faces.parquet")
    reasons, lacking, rows = Tally(), Tally(), 0
    for part in packed:
        places = columns_of(part, rows, split_of)
        values = {tag.name: np.array([own[tag.name] for own in part.tags], float) for tag in tags}
        table.append(places | values)
        pixels.append(part.pixels)
        reasons.join(part.reasons)
        lacking.join(part.lacking)
        rows += len(part.faces)
    pixels.close()
    table.close()
    return reasons, lacking


def columns_of(part: Packed, row: int, split_of: Callable[[str], str]) -> dict[str, Any]:
    """The columns of faces.parquet before the tags, of faces from `row` on; boxes and landmarks in
    pixels.
    """
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
    }


def summary(
    table: "pd.DataFrame", reasons: Tally, lacking: Tally, tags: Sequence[Tag]
) -> dict[str, Any]:
    """The content of exif.json, from columns of faces.parquet. `tags`: in order, how training is to
    count their stops, and how many faces have each.
    """
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
        "tags": [
            {
                "name": tag.name,
                "scale": tag.scale,
                "stops": tag.stops,
                "faces": int(table[tag.name].notna().sum()),
            }
            for tag in tags
        ],
        "lacking": lacking,
    }


def distributions(table: "pd.DataFrame", tags: Sequence[Tag]) -> dict[str, list[Any]]:
    """The columns of tags.csv: a histogram of each tag."""
    columns: dict[str, list[Any]] = {"tag": [], "value_from": [], "value_to": [], "faces": []}
    for tag in tags:
        edges, counts = histogram(table[tag.name].to_numpy(), tag)
        columns["tag"] += [tag.name] * len(counts)
        columns["value_from"] += edges[:-1].tolist()
        columns["value_to"] += edges[1:].tolist()
        columns["faces"] += counts.tolist()
    return columns


def show(counts: dict[str, Any], root: Path) -> None:
    """Print how many faces are kept and rejected, the most frequent reasons first."""
    rows = [{"faces": "kept", "number": counts["kept"], "first": ""}]
    for reason, number in sorted(counts["reasons"].items(), key=lambda item: -item[1]):
        rows.append({"faces": reason, "number": number, "first": counts["first"][reason]})
    for reason, entry in sorted(counts["lacking"].items(), key=lambda item: -item[1]["count"]):
        row = {"number": entry["count"], "first": counts["lacking"].firsts[reason]}
        rows.append({"faces": f"kept, but {reason}", **row})
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
    parser = command_line.paths(__doc__, root="data root", output="folder of faces to write")
    args = parser.parse_args(argv)
    p = params.load("seed", "exif", "split")

    reasons, wanted = Tally(), Wanted.of(p.exif)
    shares = {"validation": p.split.validation, "train": 1 - p.split.validation}
    with atomic(args.output) as folder:
        packed, said = parts_of(p, wanted, args.root, reasons)
        split_of = functools.partial(splits.split_of, seed=p.seed, shares=shares)
        rejected, lacking = write(folder, packed, split_of, wanted.tags)
        reasons.join(rejected)
        columns = ["photo_id", "author", "split", *(tag.name for tag in wanted.tags)]
        table = artifacts.read_table(folder / "faces.parquet", columns)
        counts = summary(table, reasons, lacking, wanted.tags) | said
        show(counts, args.root)
        check(counts, args.root)
        artifacts.write_json(folder / "exif.json", counts)
        artifacts.write_csv(folder / "tags.csv", distributions(table, wanted.tags))


if __name__ == "__main__":
    terminal.run(main)
