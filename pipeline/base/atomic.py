"""Writing all or nothing: a file or folder appears complete or not at all, and what a killed writer
left is swept away.
"""

import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".partial"
BEFORE = "before"  # name of the former file or folder in the scratch folder of the writer that replaces it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there on success and removed on failure; for files and
    folders.

    What a killed process leaves is removed by the next `atomic` on the same path. A file lies on
    the disk before it is moved, so that a crash of the machine too leaves the old or the new one. A
    folder is left to the system to write out: a disk takes about as long to store a gigabyte of
    pictures as two cores to make it. It cannot be replaced in one step either: a kill between the
    two leaves none, and the next `atomic` on its path brings the old one back. OSError if the disk
    is full."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch, claim = _claim(path)
    try:
        temporary = scratch / path.name
        yield temporary
        if temporary.is_file():
            _to_disk(temporary)
        with _turn(path.parent):
            try:
                if temporary.exists() and path.exists() and (path.is_dir() or temporary.is_dir()):
                    os.replace(path, scratch / BEFORE)
                os.replace(temporary, path)
            finally:
                _bring_back(scratch, path)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        remedy = "make room on its disk and run again; what was there before is kept"
        raise OSError(error.errno, f"{path}: {os.strerror(error.errno)}; {remedy}") from error
    finally:
        if not _holds_the_last(scratch, path):
            shutil.rmtree(scratch, ignore_errors=True)
        os.close(claim)


def _holds_the_last(scratch: Path, path: Path) -> bool:
    """Whether a writer ended between its two moves: what was at `path` lies in its scratch folder
    alone.
    """
    return os.path.lexists(scratch / BEFORE) and not os.path.lexists(path)


def _bring_back(scratch: Path, path: Path) -> None:
    if _holds_the_last(scratch, path):
        os.replace(scratch / BEFORE, path)


def _claim(path: Path) -> tuple[Path, int]:
    """A new scratch folder, and a descriptor that locks it while its process lives; those of dead
    processes are removed.
    """
    with _turn(path.parent) as locks_work:
        if locks_work:
            _sweep(path)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
        claim = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
        _lock(claim, fcntl.LOCK_EX)
    return scratch, claim


def _sweep(path: Path) -> None:
    for left in path.parent.glob(
        f".{glob.escape(path.name)}.{'?' * 8}{SUFFIX}"
    ):  # mkdtemp's eight random characters
        try:
            claim = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # its owner has just removed it, or it is no folder of ours
            continue
        try:
            if _lock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _bring_back(left, path)
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(claim)


@contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """One process at a time claims, sweeps or moves in a folder; false where the file system knows
    no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError:  # held by a living process, or not supported, as by some network file systems
        return False
    return True


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
