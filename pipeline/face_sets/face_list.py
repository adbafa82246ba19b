"""The list of a face set as list_faces writes it and every later stage reads it."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError

COLUMNS = ["name", "person", "sha256"]


class ListedFace(NamedTuple):
    """One usable picture of a set."""

    name: str  # path relative to the data root, with forward slashes
    person: str  # who is on it; a generated face is a person of its own
    sha256: str  # of the file's bytes, hexadecimal


def write(path: Path, faces: list[ListedFace]) -> None:
    """Write the faces of a set, sorted by name, as .csv with a header."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(sorted(faces))
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read(path: Path) -> list[ListedFace]:
    """The faces of a set in the order of their names. Raises PipelineError for any other file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such list of faces; run `dvc repro list_faces`") from None
    if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise PipelineError(f"{path}: not a list of faces; remove it and run `dvc repro`")
    return [ListedFace(*row) for row in rows[1:]]
