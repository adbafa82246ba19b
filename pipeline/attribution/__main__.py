"""Whom to name: author, licence and address of every face that the pretext task was learnt from, as
CSV: python -m pipeline.attribution > attribution.csv

The faces are those of data/faces, of training and of validation; what the face list does not say of
one is empty. Photographs of your own have their author and their path."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.base import command_line, params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.layout import Layout
from pipeline.common.tables import FORMULA
from pipeline.common.tally import plain
from pipeline.exif.records import author_of, entries

FACES = Path("data/faces/faces.parquet")
SAID = ("license", "license_url", "photo_url")  # of a face, in the face list
COLUMNS = ("face_id", "photo_id", "author", *SAID)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the given command line."""
    command_line.parser(__doc__).parse_args(argv)
    p = params.load("data", "exif")
    metainfo = None if p.exif.source == "photos" else Layout(Path(p.data.root)).metainfo
    found = list(rows(FACES, metainfo))  # all, before anything is written
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([cell(text) for text in row] for row in [COLUMNS, *found])


def rows(faces: Path, metainfo: Path | None) -> Iterator[tuple[str, ...]]:
    """What COLUMNS name, of each face in order. PipelineError where the list has it not."""
    table = artifacts.read_table(faces, ["face_id", "photo_id", "author"])
    authors = dict(zip(table["face_id"], table["author"], strict=True))
    said = said_of(authors, metainfo) if metainfo else {}
    for face_id, photo_id, author in table.itertuples(index=False):
        if metainfo and face_id not in said:
            raise PipelineError(
                f"{metainfo}: has no face {face_id} by {author!r}, which is in {faces}; that was "
                "made of another face list: run `dvc repro`"
            )
        yield (face_id, photo_id, author, *said.get(face_id, ("",) * len(SAID)))


def said_of(authors: dict[str, str], metainfo: Path) -> dict[str, tuple[str, ...]]:
    """What SAID names, of these faces by these authors."""
    found: dict[str, tuple[str, ...]] = {}
    for face_id, entry in terminal.progress(entries(metainfo), what="face list"):
        if isinstance(entry, dict) and authors.get(face_id) == author_of(entry):
            values = [entry.get(key) for key in SAID]
            texts = tuple(sys.intern(v) if isinstance(v, str) else "" for v in values)
            found.setdefault(face_id, texts)
    return found


def cell(text: str) -> str:
    """One line, and no formula to a spreadsheet: authors choose their names."""
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text


if __name__ == "__main__":
    terminal.run(main)
