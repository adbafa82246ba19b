"""Writing is all or nothing, for files and folders: a failure in the middle leaves what was there."""

from pathlib import Path

import pytest

from pipeline import artifacts


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
    assert everything(tmp_path) == ["deep", "deep/target"] + (["deep/target/fresh"] if after == "folder" else [])


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
