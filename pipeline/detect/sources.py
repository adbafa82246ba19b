"""Which files are to be scored: paths, folders, glob patterns and lists, as a person names them."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pipeline.common.pictures import PICTURE_SUFFIXES
from pipeline.common.tables import FORMULA

STANDARD_INPUT = "-"


def find(arguments: Sequence[str], stdin: BinaryIO | None = None) -> tuple[list[str], Counter[str]]:
    """The files that the arguments name, each once, in their order, those of a folder by name; and
    how many files and folders below them were passed over, by reason.

    An argument is a path; where there is none such, a glob pattern (** = any folders); or "-", a
    list of paths on standard input, one a line, or with NUL after each (find -print0). Folders are
    searched with all below them for files that end like a picture's. A file that is named itself is
    always taken, and so is what does not exist: whoever reads it will say so."""
    passed_over: Counter[str] = Counter()
    found: dict[str, None] = {}
    for argument in arguments:
        for path in _named(argument, stdin):
            for file in _files(path, passed_over) if os.path.isdir(path) else [path]:
                if file in found:
                    passed_over["named twice"] += 1
                found[file] = None
    return list(found), passed_over


def shown(path: str) -> str:
    r"""A path as text in one line: bytes that are not UTF-8 and control characters are escaped, as
    \udcff and \n. "./" stands before one that a spreadsheet would take for a formula, quoted or
    not; it names the same file.
    """
    line = path
    if not path.isprintable():
        text = path.encode("utf-8", "backslashreplace").decode()
        line = "".join(
            letter if letter >= " " and not "\x7f" <= letter <= "\x9f" else repr(letter)[1:-1]
            for letter in text
        )
    return f"./{line}" if line.startswith(FORMULA) else line


def _named(argument: str, stdin: BinaryIO | None) -> list[str]:
    if argument == STANDARD_INPUT:
        content = (stdin or sys.stdin.buffer).read()
        parts = content.split(b"\0") if b"\0" in content else content.splitlines()
        return [os.fsdecode(part) for part in parts if part]
    if not os.path.lexists(argument) and glob.has_magic(argument):
        return sorted(glob.glob(argument, recursive=True)) or [argument]
    return [argument]


def _files(folder: str, passed_over: Counter[str]) -> list[str]:
    """Pictures below a folder; the folder itself where there is none, so that it gets a row."""
    files: list[str] = []
    closed: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=closed.append):
        for name in sorted(names):
            if reason := _reason(name):
                passed_over[reason] += 1
            else:
                files.append(os.path.join(parent, name))
        files += _empty(parent, folders)
        folders[:] = _to_search(parent, folders, passed_over)
    files += [str(error.filename) for error in closed]
    return files or [folder]


def _reason(name: str) -> str:
    if name.startswith("."):
        return "hidden"
    picture = os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
    return "" if picture else "other extension"


def _to_search(parent: str, folders: Sequence[str], passed_over: Counter[str]) -> list[str]:
    kept = []
    for name in sorted(folders):
        if name.startswith("."):
            passed_over["hidden folder"] += 1
        elif os.path.islink(os.path.join(parent, name)):
            passed_over["linked folder"] += 1
        else:
            kept.append(name)
    return kept


def _empty(parent: str, folders: Sequence[str]) -> Iterator[str]:
    """Folders that are named like a picture and hold nothing: someone will look for their row."""
    for name in sorted(folders):
        path = os.path.join(parent, name)
        if not _reason(name) and os.access(path, os.R_OK) and not os.listdir(path):
            yield path
