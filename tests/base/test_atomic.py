"""Writing is all or nothing, for files and folders, whoever fails, is killed or meets another."""

import errno
import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base.atomic import SUFFIX, atomic
from pipeline.common import artifacts, shards

KINDS = pytest.mark.parametrize("kind", ["file", "folder"])
WRITER = """
import sys
from pathlib import Path
from pipeline.base.atomic import atomic
with atomic(sys.argv[1]) as temporary:
    if sys.argv[2] == "folder":
        temporary.mkdir()
        temporary = temporary / "content"
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
    temporary.write_text("whole")
"""
MANY = """
import sys
from pathlib import Path
from pipeline.base.atomic import atomic
for turn in range(60):
    with atomic(sys.argv[1]) as temporary:
        temporary.mkdir()
        for name in "abc":
            (temporary / name).write_text(sys.argv[2] + str(turn))
"""


class Crash(Exception):
    pass


def start(root: Path, code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def start_writing(root: Path, path: Path, kind: str) -> subprocess.Popen[str]:
    writer = start(root, WRITER, path, kind)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    return writer


def write(path: Path, kind: str, text: str) -> None:
    with atomic(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "content" if kind == "folder" else temporary).write_text(text)


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
    with pytest.raises(Crash), atomic(target) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "content" if kind == "folder" else temporary).write_text("half")
        raise Crash
    with pytest.raises(FileNotFoundError), atomic(target):
        pass  # a writer that writes nothing
    assert names(tmp_path) == (["target"] if before else [])
    assert not before or read(target) == before


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), KeyboardInterrupt(), SystemExit(143)]
)
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


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write(tmp_path / "ours", "file", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_lies_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
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


@KINDS
def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path, root, kind):
    target = tmp_path / "target"
    write(target, kind, "old")
    for _ in range(2):
        writer = start_writing(root, target, kind)
        writer.kill()
        writer.communicate()
        assert read(target) == "old"
        assert [name.endswith(SUFFIX) for name in names(tmp_path)] == [True, False]
    write(target, kind, "new")
    assert read(target) == "new" and names(tmp_path) == ["target"]


@KINDS
def test_the_scratch_of_a_living_writer_is_left_alone(tmp_path, root, kind):
    target = tmp_path / "target"
    writer = start_writing(root, target, kind)
    write(target, kind, "ours")
    assert read(target) == "ours"
    writer.communicate("\n", timeout=60)
    assert writer.returncode == 0
    assert read(target) == "whole" and names(tmp_path) == ["target"]


def test_many_writers_of_one_folder_leave_one_whole_folder(tmp_path, root):
    writers = [start(root, MANY, tmp_path / "target", name) for name in ("x", "y", "z")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    texts = {(tmp_path / "target" / name).read_text() for name in "abc"}
    assert len(texts) == 1 and texts <= {"x59", "y59", "z59"}
    assert names(tmp_path) == ["target"]


def test_only_our_own_leftovers_are_removed_and_none_without_locks(tmp_path, monkeypatch):
    others = [".target.original", ".target.backup", ".other.abcd_123.partial", "elsewhere"]
    for name in (".target.abcd_123.partial", *others):
        (tmp_path / name).mkdir()
    (tmp_path / ".target.link.partial").symlink_to("elsewhere")
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        patch.setattr(fcntl, "flock", refuse)
        write(tmp_path / "target", "file", "")
    assert ".target.abcd_123.partial" in names(tmp_path)
    write(tmp_path / "target", "file", "")
    assert names(tmp_path) == sorted([*others, ".target.link.partial", "target"])


# --- a full disk

BIG = np.random.default_rng(0).integers(0, 256, (80, 64, 64, 3), dtype=np.uint8)  # 0.98 MB


def write_shards(path: Path) -> None:
    with atomic(path) as folder:
        writer = shards.ShardWriter(folder, BIG.shape[1:])
        writer.append(BIG)
        writer.close()


WRITERS = {
    "x.json": lambda path: artifacts.write_json(path, "x" * 10**6),
    "x.csv": lambda path: artifacts.write_csv(path, {"a": ["x" * 10**6]}),
    "x.npz": lambda path: artifacts.write_npz(path, a=BIG),
    "x.parquet": lambda path: artifacts.write_table(path, pd.DataFrame({"a": BIG[:2].ravel()})),
    "shards": write_shards,
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_disk_that_takes_no_more_is_an_error_with_path_and_remedy(tmp_path, name):
    path, kind = tmp_path / name, "folder" if name == "shards" else "file"
    write(path, kind, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"{name}: File too large; make room on its disk"):
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(path) == "old" and names(tmp_path) == [name]
