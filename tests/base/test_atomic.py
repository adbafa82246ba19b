"""Writing is all or nothing, for files and folders, whoever fails, is killed or meets another."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.atomic import SUFFIX, atomic

KINDS = pytest.mark.parametrize("kind", ["file", "folder"])
KILLED = """
import os, signal, sys
from pipeline.base.atomic import atomic
with atomic(sys.argv[1]) as temporary:
    temporary.mkdir()
    (temporary / "content").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
MANY = """
import sys
from pipeline.base.atomic import atomic
for turn in range(60):
    with atomic(sys.argv[1]) as temporary:
        temporary.mkdir()
        for name in "abc":
            (temporary / name).write_text(sys.argv[2] + str(turn))
"""


class Crash(Exception):
    pass


def write(path: Path, kind: str, text: str, error: BaseException | None = None) -> None:
    with atomic(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "content" if kind == "folder" else temporary).write_text(text)
        if error:
            raise error


def read(path: Path) -> str:
    return (path / "content" if path.is_dir() else path).read_text()


def names(folder: Path) -> list[str]:
    """All names, hidden ones too: nothing temporary may stay."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, "file", "folder"])
@KINDS
def test_whatever_was_there_is_replaced(tmp_path, before, kind):
    target = tmp_path / "deep" / "target"
    if before:
        write(target, before, "old")
    write(target, kind, "new")
    assert read(target) == "new" and target.is_dir() == (kind == "folder")
    assert names(target.parent) == ["target"]


@pytest.mark.parametrize("before", [None, "old"])
@KINDS
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, kind, before):
    target = tmp_path / "target"
    if before:
        write(target, kind, before)
    with pytest.raises(Crash):
        write(target, kind, "half", Crash())
    with pytest.raises(FileNotFoundError), atomic(target):
        pass  # a writer that writes nothing
    assert names(tmp_path) == (["target"] if before else [])
    assert not before or read(target) == before


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), SystemExit(143)])
def test_an_error_between_the_two_moves_brings_the_old_folder_back(tmp_path, monkeypatch, error):
    target, real = tmp_path / "target", os.replace
    write(target, "folder", "old")

    def move(source, destination):
        if Path(destination) == target and Path(source).name == "target":
            raise error
        real(source, destination)

    monkeypatch.setattr(os, "replace", move)
    with pytest.raises(type(error)):
        write(target, "folder", "new")
    assert read(target) == "old" and names(tmp_path) == ["target"]


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_its_permissions_are_plain(
    tmp_path, monkeypatch
):
    calls: list[str] = []

    def noted(name: str) -> object:
        real = getattr(os, name)

        def call(*given: object) -> object:
            calls.append(name)
            return real(*given)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    write(tmp_path / "x", "file", "")
    assert calls == ["fsync", "replace"]
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path, root):
    target = tmp_path / "target"
    write(target, "folder", "old")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, target], cwd=root, check=False)
        assert done.returncode == -signal.SIGKILL and read(target) == "old"
        assert [name.endswith(SUFFIX) for name in names(tmp_path)] == [True, False]
    write(target, "folder", "new")
    assert read(target) == "new" and names(tmp_path) == ["target"]


def test_many_writers_of_one_folder_leave_one_whole_folder(tmp_path, root):
    command = [sys.executable, "-c", MANY, tmp_path / "target"]
    writers = [subprocess.Popen([*command, name], cwd=root) for name in "xyz"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    texts = {(tmp_path / "target" / name).read_text() for name in "abc"}
    assert len(texts) == 1 and texts <= {"x59", "y59", "z59"}
    assert names(tmp_path) == ["target"]


def test_only_our_own_leftovers_are_removed_and_none_without_locks(tmp_path, monkeypatch):
    others = [".target.original", ".target.backup", ".other.abcd_123.partial", "elsewhere"]
    for name in (".target.abcd_123.partial", *others):
        (tmp_path / name).mkdir()
    (tmp_path / ".target.link.partial").symlink_to("elsewhere")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        write(tmp_path / "target", "file", "")
    assert ".target.abcd_123.partial" in names(tmp_path)
    write(tmp_path / "target", "file", "")
    assert names(tmp_path) == sorted([*others, ".target.link.partial", "target"])


@KINDS
def test_a_disk_that_takes_no_more_is_an_error_with_path_and_remedy(tmp_path, kind):
    path = tmp_path / "target"
    write(path, kind, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"target: File too large; make room on its disk"):
            write(path, kind, "x" * 10**6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(path) == "old" and names(tmp_path) == ["target"]
