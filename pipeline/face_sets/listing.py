"""Lists and folders of pictures as they lie on disk; no name leads out of the data root."""

import os
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.base.errors import PipelineError
from pipeline.common.pictures import PICTURE_SUFFIXES


def read_list(path: Path, root: Path) -> list[str]:
    """Entries of a list file (`./data/celeba-face/001_03.jpg`, one a line) as clean paths relative
    to `root`, in its order.

    Blank lines are skipped and a repeated entry counts once. Whether the pictures exist is not
    looked at. PipelineError for an entry that leads out of `root`: an absolute path, "..", or a
    symbolic link to elsewhere."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such list file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise PipelineError(f"{path}: not a readable text file ({error})") from None
    inside = os.path.realpath(root)

    @cache
    def folder(parent: str) -> str:
        return os.path.realpath(os.path.join(inside, parent))

    entries: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if not (text := line.strip()):
            continue
        entry = PurePosixPath(text)
        if (
            entry.is_absolute()
            or ".." in entry.parts
            or "\0" in text
            or not _stays_inside(inside, folder(str(entry.parent)), entry)
        ):
            raise PipelineError(
                f"{path}, line {number}: {text!r} leads out of the data root {root}; "
                "name pictures below data.root (params.yaml), and copy rather than link those that "
                "lie elsewhere"
            )
        entries[str(entry)] = None
    if not entries:
        raise PipelineError(f"{path}: the list is empty; it needs one picture path a line")
    return list(entries)


def list_pictures(folder: Path) -> list[Path]:
    """All .png, .jpg, .jpeg and .webp files below a folder, hidden ones left out, sorted by their
    path in it.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: no such folder of pictures")
    found = [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
    ]
    if not found:
        raise PipelineError(
            f"{folder}: no {', '.join(sorted(PICTURE_SUFFIXES))} file in this folder"
        )
    return [folder / name for name in sorted(found)]


def _stays_inside(root: str, parent: str, entry: PurePosixPath) -> bool:
    """Whether an entry whose folder is resolved to `parent` lies below `root`, its own link
    followed.
    """
    real = os.path.join(parent, entry.name)
    real = os.path.realpath(real) if os.path.islink(real) else real
    return os.path.commonpath([root, real]) == root
