"""Writing is all or nothing, for files and folders: a failure in the middle leaves what was there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common import artifacts

ROOT = Path(__file__).resolve().parents[1]
STOPPED_BETWEEN_ITS_MOVES = """
import os, sys
from pathlib import Path
from pipeline.base.atomic import atomic
move = os.replace
os.replace = lambda source, target: move(source, target) if Path(source) == Path(sys.argv[1]) else os._exit(9)
with atomic(sys.argv[1]) as temporary:
    temporary.mkdir()
    (temporary / "fresh").write_text("new")
"""


def everything(folder: Path) -> list[str]:
    """All paths below a folder, hidden ones too: nothing temporary may stay."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Crash(Exception):
    pass


@pytest.mark.parametrize("before", [None, "file", "folder"])
@pytest.mark.parametrize("after", ["file", "folder"])
def test_atomic_replaces_whatever_was_there(tmp_path, before, after):
    target = tmp_path / "deep" / "target"
    if before == "file":
        target.parent.mkdir()
        target.write_text("old")
    elif before == "folder":
        target.mkdir(parents=True)
        (target / "stale").write_text("old")
    with artifacts.atomic(target) as temporary:
        assert temporary.parent.parent == target.parent, "a rename needs one file system"
        if after == "file":
            temporary.write_text("new")
        else:
            temporary.mkdir()
            (temporary / "fresh").write_text("new")
    assert everything(tmp_path) == ["deep", "deep/target"] + (
        ["deep/target/fresh"] if after == "folder" else []
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, kind, existing):
    target = tmp_path / "target"
    if existing:
        if kind == "folder":
            target.mkdir()
        (target / "kept" if kind == "folder" else target).write_text("old")
    before = everything(tmp_path)
    with pytest.raises(Crash), artifacts.atomic(target) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "half" if kind == "folder" else temporary).write_text("half")
        raise Crash
    assert everything(tmp_path) == before
    if existing:
        assert (target / "kept" if kind == "folder" else target).read_text() == "old"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_writer_that_writes_nothing_fails_and_keeps_what_was_there(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    (target / "kept" if kind == "folder" else target).write_text("old")
    before = everything(tmp_path)
    with pytest.raises(FileNotFoundError), artifacts.atomic(target):
        pass
    assert everything(tmp_path) == before


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    artifacts.write_json(tmp_path / "ours.json", {})
    assert (tmp_path / "ours.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_two_writers_of_one_path_do_not_meet(tmp_path):
    with artifacts.atomic(tmp_path / "x") as first, artifacts.atomic(tmp_path / "x") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "x").read_text() == "1" and everything(tmp_path) == ["x"]


# --- a folder is replaced by two moves: the old one away, the new one in


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "kept").write_text("old")
    return folder


def replace_folder(path):
    with artifacts.atomic(path) as temporary:
        temporary.mkdir()
        (temporary / "fresh").write_text("new")


def stop_moves(monkeypatch, count, error):
    """The next `count` moves work, then all fail."""
    real, moves = os.replace, []

    def move(source, target):
        moves.append(source)
        if len(moves) > count:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", move)


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), KeyboardInterrupt(), SystemExit(143)]
)
def test_an_error_between_the_two_moves_brings_the_old_folder_back(old, monkeypatch, error):
    real = os.replace

    def move(source, target):
        if Path(source).name == "target" and Path(source) != old:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", move)
    with pytest.raises(type(error)):
        replace_folder(old)
    assert everything(old.parent) == ["target", "target/kept"]


def stop_between_the_moves(old):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_BETWEEN_ITS_MOVES, old], cwd=ROOT, check=False
    )
    assert done.returncode == 9 and not old.exists()


def test_a_writer_killed_between_its_moves_is_undone_by_the_next_one_even_if_that_fails(old):
    stop_between_the_moves(old)
    with pytest.raises(Crash), artifacts.atomic(old):
        assert everything(old) == ["kept"]
        raise Crash
    assert everything(old.parent) == ["target", "target/kept"]
    stop_between_the_moves(old)
    replace_folder(old)
    assert everything(old.parent) == ["target", "target/fresh"]


def test_what_a_killed_writer_put_aside_does_not_replace_what_came_since(old):
    stop_between_the_moves(old)
    old.mkdir()
    (old / "since").write_text("newer")
    with pytest.raises(Crash), artifacts.atomic(old):
        raise Crash
    assert everything(old.parent) == ["target", "target/since"]


def test_an_old_folder_that_cannot_be_brought_back_is_not_removed(old, monkeypatch):
    with monkeypatch.context() as patch:
        stop_moves(patch, 1, OSError(5, "Input/output error"))
        with pytest.raises(OSError, match="Input/output error"):
            replace_folder(old)
        assert not old.exists()
        with pytest.raises(OSError, match="Input/output error"):
            replace_folder(old)
    replace_folder(old.with_name("other"))
    with pytest.raises(Crash), artifacts.atomic(old):
        raise Crash
    assert (old / "kept").read_text() == "old"
    assert everything(old.parent) == ["other", "other/fresh", "target", "target/kept"]
