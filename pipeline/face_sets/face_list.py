"""The list of a face set as list_faces writes it and every later stage reads it."""

import csv
import hashlib
import io
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import pictures

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
    except (csv.Error, UnicodeDecodeError):
        rows = []
    if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise PipelineError(f"{path}: not a list of faces; remove it and run `dvc repro`")
    faces = [ListedFace(*row) for row in rows[1:]]
    for name in (face.name for face in faces):
        if "\0" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise PipelineError(
                f"{path}: {name!r} leads out of the data root; remove it and run `dvc repro`"
            )
    if len({face.name for face in faces}) < len(faces):
        raise PipelineError(f"{path}: a face stands there twice; remove it and run `dvc repro`")
    return faces


def read_face(root: Path, face: ListedFace) -> bytes:
    """The bytes of a listed face's file. Raises PipelineError unless list_faces read the same."""
    remedy = "changed since list_faces read it, run dvc repro list_faces"
    try:
        content = pictures.read_picture_file(root / face.name)
    except pictures.UnreadablePicture as error:
        raise PipelineError(f"{root / face.name}: {error.reason}; {remedy}") from error
    if hashlib.sha256(content).hexdigest() != face.sha256:
        raise PipelineError(f"{root / face.name}: {remedy}")
    return content


def read_picture(root: Path, face: ListedFace) -> NDArray[np.uint8]:
    """The picture of a listed face, (H, W, 3). Raises PipelineError as `read_face`."""
    return pictures.decode_picture(read_face(root, face), root / face.name)
