"""Lists and folders of pictures as they lie on disk; no name leads out of the data root."""

import os
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.common.pictures import PICTURE_SUFFIXES

SUFFIXES = ", ".join(sorted(PICTURE_SUFFIXES))


class Tally(dict[str, dict[str, Any]]):
    """What is left out, by reason: how many, and the first name."""

    def add(self, reason: str, name: str) -> None:
        """Count a name; one that is not UTF-8 is escaped."""
        first = name.encode("utf-8", "backslashreplace").decode()
        self.setdefault(reason, {"count": 0, "first": first})["count"] += 1

    @property
    def total(self) -> int:
        """How many over all reasons."""
        return sum(entry["count"] for entry in self.values())

    def __str__(self) -> str:
        return ", ".join(f"{e['count']:,} x {why} (first: {e['first']})" for why, e in self.items())


def read_list(path: Path, root: Path) -> list[str]:
    """Entries of a list file (`./data/celeba-face/001_03.jpg`, one a line) as clean paths relative
    to `root`, in its order.

    Blank lines are skipped and a repeated entry counts once. Whether the pictures exist is not
    looked at. PipelineError for an entry that is no path of a picture or leads out of `root`: an
    absolute path, "..", or a symbolic link to elsewhere."""
    inside = os.path.realpath(root)
    real_folder = cache(lambda parent: os.path.realpath(os.path.join(inside, parent)))
    entries: dict[str, None] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not (text := line.strip()):
            continue
        entry, where = PurePosixPath(text), f"{path}, line {number}: {text!r}"
        if "\\" in text:
            raise PipelineError(f"{where} has backslashes; separate folders by / instead")
        if (
            entry.is_absolute()
            or ".." in entry.parts
            or "\0" in text
            or not _is_below(inside, os.path.join(real_folder(str(entry.parent)), entry.name))
        ):
            raise PipelineError(
                f"{where} leads out of the data root {root}; name pictures below data.root "
                "(params.yaml), and copy rather than link those that lie elsewhere"
            )
        if entry.suffix.lower() not in PICTURE_SUFFIXES:
            raise PipelineError(
                f"{where} does not end in {SUFFIXES}; write one path a line, without other columns"
            )
        entries[str(entry)] = None
    if not entries:
        raise PipelineError(f"{path}: the list is empty; it needs one picture path a line")
    return list(entries)


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such list file") from None
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise PipelineError(f"{path}, line {number}: not UTF-8; save the list as UTF-8") from None


def _is_below(root: str, path: str) -> bool:
    """Whether a path in a resolved folder lies below `root`, its own link followed."""
    real = os.path.realpath(path) if os.path.islink(path) else path
    return os.path.commonpath([root, real]) == root


def list_pictures(folder: str, root: Path, passed_over: Tally) -> list[str]:
    """Names, relative to `root`, of the pictures below <root>/<folder>, sorted.

    Adds to `passed_over` hidden files and folders, linked folders, links that lead out of the data
    root, other extensions and names that are not UTF-8. PipelineError where no picture is left."""
    top, names = root / folder, list[str]()
    if not top.is_dir():
        raise PipelineError(f"{top}: no such folder of pictures")
    roots = (os.path.realpath(root), os.path.realpath(top))
    for parent, folders, files in os.walk(roots[1]):
        prefix = PurePosixPath(folder, os.path.relpath(parent, roots[1]))
        for is_folder, name in sorted([(True, n) for n in folders] + [(False, n) for n in files]):
            if reason := _reason_to_pass_over(os.path.join(parent, name), is_folder, roots):
                passed_over.add(reason, str(prefix / name))
            elif not is_folder:
                names.append(str(prefix / name))
        folders[:] = [name for name in sorted(folders) if not name.startswith(".")]
    if not names:
        raise PipelineError(f"{top}: no {SUFFIXES} file here; hidden and linked ones do not count")
    return sorted(names)


def _reason_to_pass_over(path: str, is_folder: bool, roots: tuple[str, str]) -> str | None:
    name, is_link = os.path.basename(path), os.path.islink(path)
    if name.startswith("."):
        return "hidden"
    if is_folder:
        return "linked_folder" if is_link else None
    if os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES:
        return "other_extension"
    if is_link and not any(_is_below(root, path) for root in roots):
        return "link_outside"
    return "name_not_utf_8" if any("\udc80" <= letter <= "\udcff" for letter in name) else None
