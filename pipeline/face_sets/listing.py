"""Lists and folders of pictures as they lie on disk; no name leads out of the data root."""

import os
import re
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.base.errors import PipelineError
from pipeline.common.pictures import PICTURE_SUFFIXES
from pipeline.common.tally import Tally

LONGEST = 4096  # bytes of a path
SUFFIXES = ", ".join(sorted(PICTURE_SUFFIXES))
# Folders, in small letters, in which programs keep previews, copies and what was deleted; likewise
# those that begin with one of @ (Synology's @eaDir), # (#recycle), $ ($RECYCLE.BIN) and ~
_OF_PROGRAMS = {
    *("__macosx", "lost+found", "system volume information", "__pycache__"),
    *("thumbnails", "thumbs", "_thumbs", "_thumbnails"),
}
# As data sets name the folder of photographs beside that of generated pictures: 0_real, nature
_OF_PHOTOGRAPHS = re.compile(
    r"(\d+[_. -]?)?(reals?|nature|natural|genuine|authentic|pristine|photos?|photograph(s|ic)?)"
    r"([_ -]?(images?|faces?|photos?|pictures?))?",
    re.IGNORECASE,
)


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
        if len(text.encode()) > LONGEST:
            where = f"{path}, line {number}: {text[:60]!r}..."
            raise PipelineError(f"{where} is longer than a path can be; write one path a line")
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
        return re.split(r"\r\n|\n|\r", content.decode("utf-8-sig"))
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
    """Names, relative to `root`, of the AI-generated pictures below <root>/<folder>, sorted.

    Every other file is counted in `passed_over`: hidden ones and those of programs, also in folders
    that are, other extensions, links that lead out of the data root, names that are not UTF-8, what
    is no file; linked and unreadable folders count once. PipelineError where no picture is left,
    or where a folder's name says that its pictures are photographs."""
    top, names = root / folder, list[str]()
    if not top.is_dir():
        raise PipelineError(
            f"{top}: no such folder of pictures; put them there, or take its name out of "
            "generators in params.yaml"
        )
    roots = (os.path.realpath(root), os.path.realpath(top))
    unreadable = list[OSError]()
    for parent, folders, files in os.walk(roots[1], onerror=unreadable.append):
        prefix = PurePosixPath(folder, inner := os.path.relpath(parent, roots[1]))
        set_aside = _folder_aside(PurePosixPath(inner))
        for name in sorted(files):
            path, entry = os.path.join(parent, name), str(prefix / name)
            if aside := set_aside or _reason_to_pass_over(path, entry, roots):
                passed_over.add(aside, entry)
            else:
                names.append(entry)
        folders.sort()
        for name in filter(lambda name: os.path.islink(os.path.join(parent, name)), folders):
            passed_over.add("linked_folder", str(prefix / name))  # and os.walk does not follow it
    for error in unreadable:
        closed = PurePosixPath(folder, os.path.relpath(error.filename, roots[1]))
        passed_over.add("unreadable_folder", str(closed), str(error.strerror))
    if not names:
        counted = f" (passed over: {passed_over})" if passed_over else ""
        raise PipelineError(f"{top}: no {SUFFIXES} file that counts here{counted}")
    _check_class(names, folder)
    return sorted(names)


def _check_class(names: list[str], folder: str) -> None:
    for name in names:
        for part in PurePosixPath(name).relative_to(folder).parts[:-1]:
            if _OF_PHOTOGRAPHS.fullmatch(part):
                raise PipelineError(
                    f"{folder}: by its name the folder {part!r} holds photographs (first: {name}), "
                    "but every picture here would be taken for AI-generated; move that folder "
                    "out, or rename it if they are generated"
                )


def _folder_aside(path: PurePosixPath) -> str | None:
    """Why the files of a folder are passed over."""
    for part in path.parts:
        if part.startswith("."):
            return "hidden"
        if part[0] in "@#$~" or part.casefold() in _OF_PROGRAMS:
            return "folder_of_a_program"
    return None


def _reason_to_pass_over(path: str, entry: str, roots: tuple[str, str]) -> str | None:
    """Why a file is passed over, to be listed as `entry`."""
    name, is_link = os.path.basename(path), os.path.islink(path)
    if name.startswith("."):
        return "hidden"
    if os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES:
        return "other_extension"
    if is_link and not any(_is_below(root, path) for root in roots):
        return "link_outside"
    if os.path.exists(path) and not os.path.isfile(path):
        return "not_a_file"  # a pipe, a socket, a device
    return "name_not_utf_8" if any("\udc80" <= letter <= "\udcff" for letter in entry) else None
