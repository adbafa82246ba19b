"""Saved states of a long run: kept outside the outs, keyed by all that decides the result, gone
when the run is complete.

A state is one file of bytes, written completely or not at all, whose name carries the hash of its
content. The newest two are kept, so that a damaged file costs one interval and not the run."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.base import terminal
from pipeline.base.atomic import SUFFIX
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts

STATES_KEPT = 2
RUNS_KEPT = 3  # folders of other parameters, data or code: whoever goes back to them goes on where they were
INTERVAL = 60.0  # seconds between two states, at least ...
SHARE = 0.01  # ... and so many that saving takes no more than this share of the time


class Store:
    """The saved states of the run with this fingerprint, in a folder of their own below `root`."""

    def __init__(self, root: Path, fingerprint: str) -> None:
        self.folder = root / fingerprint
        self.saved = time.monotonic()
        self.pause = INTERVAL

    def newest(self) -> bytes | None:
        """The newest undamaged state; damaged ones are reported and removed, half written ones of
        killed runs too.
        """
        for left in self.folder.glob(f".*{SUFFIX}"):
            shutil.rmtree(left, ignore_errors=True)
        for path in sorted(self.folder.glob("*.state"), reverse=True):
            content = path.read_bytes()
            if path.name.split(".")[1] == _digest(content):
                return content
            print(
                f"warning: {path} is damaged and was removed; the state before it is used, if any",
                file=sys.stderr,
            )
            path.unlink()
        return None

    def due(self) -> bool:
        """Whether it is time to save a state."""
        return time.monotonic() - self.saved >= self.pause

    def save(self, place: Sequence[int], content: bytes, *, started: float | None = None) -> None:
        """Keep the state of a place in the run (such as epoch and step, ascending); PipelineError
        if it cannot be written.
        """
        started = (
            time.monotonic() if started is None else started
        )  # of making the content, which takes its time too
        order = "-".join(f"{number:08d}" for number in place)
        path = self.folder / f"{order}.{_digest(content)}.state"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with artifacts.atomic(path) as temporary:
                Path(temporary).write_bytes(content)
        except OSError as error:
            raise PipelineError(
                f"{path}: the state of the run cannot be saved ({os.strerror(error.errno or 0)}); "
                "the one before it is kept: "
                f"make room for {len(content) / 1e6:.0f} MB and run again, it goes on from there"
            ) from None
        for old in sorted(self.folder.glob("*.state"))[:-STATES_KEPT]:
            old.unlink()
        self.saved = time.monotonic()
        self.pause = max(INTERVAL, (self.saved - started) / SHARE)

    def clear(self) -> None:
        """Forget this run, once its outs are written, and the oldest of others."""
        shutil.rmtree(self.folder, ignore_errors=True)
        others = sorted(
            (path for path in self.folder.parent.glob("*/")), key=lambda path: path.stat().st_mtime
        )
        for path in others[:-RUNS_KEPT]:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def lock(root: Path) -> Iterator[None]:
    """The only run that writes here; a second one is told by a PipelineError who it is. Freed by
    the system at any death.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (
                os.read(descriptor, 1000).decode(errors="replace").strip()
                or "one that is just starting"
            )
            raise PipelineError(
                f"{root}: another run holds the lock, {holder}; wait until it ends, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        os.pwrite(
            descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0
        )
        yield
    finally:
        os.close(descriptor)


def fingerprint(settings: Mapping[str, Any], files: Sequence[Path]) -> str:
    """A name for all that decides a result: settings (JSON values), the content of files and
    folders, and the code loaded.
    """
    content = {"settings": settings, "files": hash_files(files), "code": hash_code()}
    return _digest(json.dumps(content, sort_keys=True).encode())


def hash_files(paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of each file, and of each file below each folder; read by as many threads as there
    are cores.
    """
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    with ThreadPoolExecutor(terminal.workers()) as pool:
        return dict(zip(map(str, files), pool.map(_hash_file, files), strict=True))


def hash_code() -> dict[str, str]:
    """SHA-256 of the source of every module of this package that is loaded."""
    specs = [
        getattr(module, "__spec__", None) for module in list(sys.modules.values())
    ]  # the stage itself is __main__
    modules = {
        spec.name: spec.origin
        for spec in specs
        if spec and spec.name.partition(".")[0] == "pipeline"
    }
    return {name: _hash_file(Path(file)) for name, file in sorted(modules.items()) if file}


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
