"""Writers that are killed, that meet, or that run out of disk: the path holds the old or the new,
and nothing else stays.
"""

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

from pipeline.base import atomic
from pipeline.common import artifacts, shards

ROOT = Path(__file__).resolve().parents[1]
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


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def start_writing(path: Path, kind: str) -> subprocess.Popen[str]:
    writer = start(WRITER, path, kind)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    return writer


def finish(writer: subprocess.Popen[str]) -> None:
    writer.communicate("\n", timeout=60)
    assert writer.returncode == 0


def write(path: Path, kind: str, text: str) -> None:
    with artifacts.atomic(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "content" if kind == "folder" else temporary).write_text(text)


def read(path: Path) -> str:
    return (path / "content" if path.is_dir() else path).read_text()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path, kind):
    target = tmp_path / "target"
    write(target, kind, "old")
    for _ in range(2):
        writer = start_writing(target, kind)
        writer.kill()
        writer.communicate()
        assert read(target) == "old"
        left = [name for name in names(tmp_path) if name.endswith(atomic.SUFFIX)]
        assert len(left) == 1, "the second writer has swept what the first left"
    write(target, kind, "new")
    assert read(target) == "new" and names(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_scratch_of_a_living_writer_is_left_alone(tmp_path, kind):
    target = tmp_path / "target"
    writer = start_writing(target, kind)
    write(target, kind, "ours")
    assert read(target) == "ours"
    finish(writer)
    assert read(target) == "whole" and names(tmp_path) == ["target"]


def test_many_writers_of_one_folder_leave_one_whole_folder(tmp_path):
    writers = [start(MANY, tmp_path / "target", name) for name in ("x", "y", "z")]
    victim = start_writing(tmp_path / "target", "folder")
    victim.kill()
    victim.communicate()
    for writer in writers:
        finish(writer)
    write(tmp_path / "other", "file", "")
    texts = {(tmp_path / "target" / name).read_text() for name in "abc"}
    assert len(texts) == 1 and texts <= {"x59", "y59", "z59"}
    assert names(tmp_path) == ["other", "target"]


def test_only_our_own_leftovers_are_swept(tmp_path):
    ours, others = (
        ".target.abcd_123.partial",
        [".target.json.abcd_123.partial", ".target.original", ".target.backup12"],
    )
    for name in (ours, *others):
        (tmp_path / name).mkdir()
    (tmp_path / ".target.aaaaaaaa.partial").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".target.bbbbbbbb.partial").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "target", "file", "")
    kept = [".target.aaaaaaaa.partial", ".target.bbbbbbbb.partial", *others, "elsewhere", "target"]
    assert names(tmp_path) == sorted(kept)


def test_without_locks_nothing_is_swept(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".target.abcd_123.partial").mkdir()
    write(tmp_path / "target", "folder", "new")
    assert read(tmp_path / "target") == "new" and names(tmp_path) == [
        ".target.abcd_123.partial",
        "target",
    ]


def test_a_file_lies_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    calls: list[str] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*given: object) -> object:
            calls.append(name)
            return real(*given)

        monkeypatch.setattr(os, name, watched)

    watch("fsync")
    watch("replace")
    artifacts.write_json(tmp_path / "x.json", {})
    assert calls == ["fsync", "replace"]


# --- a full disk

BIG = np.random.default_rng(0).integers(0, 256, (80, 64, 64, 3), dtype=np.uint8)  # 0.98 MB


def write_shards(path: Path) -> None:
    with artifacts.atomic(path) as folder:
        writer = shards.ShardWriter(folder, BIG.shape[1:])
        writer.append(BIG)
        writer.close()


WRITERS = {
    "x.json": lambda path: artifacts.write_json(path, "x" * 10**6),
    "x.csv": lambda path: artifacts.write_csv(path, {"a": ["x" * 10**6]}),
    "x.npz": lambda path: artifacts.write_npz(path, a=BIG),
    "x.parquet": lambda path: artifacts.write_table(
        path, pd.DataFrame({"a": np.random.default_rng(0).random(100_000)})
    ),
    "shards": write_shards,
}


def check_refused(path: Path, reason: str) -> None:
    kind = "folder" if path.name == "shards" else "file"
    write(path, kind, "old")
    with pytest.raises(
        OSError, match=rf"{path.name}: {reason}; make room on its disk and run again"
    ):
        WRITERS[path.name](path)
    assert read(path) == "old" and names(path.parent) == [path.name]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_file_that_may_not_grow_is_an_error_with_its_path(tmp_path, name):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        check_refused(tmp_path / name, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=500k", "none", folder],
        check=False,
        capture_output=True,
    ).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_full_disk_is_an_error_with_its_path(small_disk, name):
    check_refused(small_disk / name, "No space left on device")
