"""Writing all or nothing: a file or folder appears complete or not at all."""

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
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path for a file or folder, moved to `path` on success, removed on failure.

    What a killed process leaves is removed by the next `atomic` on the same path. A file is on the
    disk before it is moved. A folder is replaced in two moves: a kill between them leaves none.
    Raises OSError with path and remedy when the disk is full."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch, lock = _new_scratch(path)
    try:
        temporary = scratch / path.name
        yield temporary
        _replace(temporary, path, scratch / "before")
    except OSError as error:
        if error.errno not in _FULL:
            raise
        remedy = "make room on its disk and run again; what was there before is kept"
        raise OSError(error.errno, f"{path}: {os.strerror(error.errno)}; {remedy}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _replace(temporary: Path, path: Path, before: Path) -> None:
    if temporary.is_file():
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    lock = _open_locked(path.parent)  # the two moves of one process at a time
    try:
        if temporary.exists() and path.exists() and (path.is_dir() or temporary.is_dir()):
            os.replace(path, before)
        os.replace(temporary, path)
    finally:
        if before.exists() and not path.exists():
            os.replace(before, path)
        os.close(lock)


def _new_scratch(path: Path) -> tuple[Path, int]:
    """A new folder beside `path`, and the descriptor that locks it while this process lives."""
    lock = _open_locked(path.parent)  # so that no process sees the folder before it is locked
    try:
        for left in path.parent.glob(f".{glob.escape(path.name)}.*{SUFFIX}/"):
            _remove_unlocked(left)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
        return scratch, _open_locked(scratch)
    finally:
        os.close(lock)


def _remove_unlocked(scratch: Path) -> None:
    try:
        lock = _open_locked(scratch, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process is at work, or has just removed it; or there are no locks here
        return
    shutil.rmtree(scratch, ignore_errors=True)
    os.close(lock)


def _open_locked(folder: Path, how: int = fcntl.LOCK_EX) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:  # some network disks know no locks; then nothing is removed there
        if how & fcntl.LOCK_NB:
            os.close(descriptor)
            raise
    return descriptor
