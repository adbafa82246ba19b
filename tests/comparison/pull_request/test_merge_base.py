"""The merge base in complete and in shallow checkouts, by real git."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison.pull_request import merge_base
from tests.small_repository import run

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


def commits(folder: Path, count: int, of: str) -> None:
    for i in range(count):
        run(folder, "git", "commit", "-q", "--allow-empty", "-m", f"{of} {i}")


def sha(folder: Path, revision: str) -> str:
    return run(folder, "git", "rev-parse", revision).strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """Branch topic left main at tag left, 9 commits ago; main has gone on 4. Branch alone shares
    nothing with them.
    """
    folder = tmp_path / "repository"
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    commits(folder, 12, "both")
    run(folder, "git", "tag", "left")
    run(folder, "git", "checkout", "-q", "-b", "topic")
    commits(folder, 9, "topic")
    run(folder, "git", "checkout", "-q", "main")
    commits(folder, 4, "main")
    run(folder, "git", "checkout", "-q", "--orphan", "alone")
    commits(folder, 3, "alone")
    return folder


def clone(repository: Path, monkeypatch, *options: str) -> Path:
    folder = repository.parent / "clone"
    run(repository.parent, "git", "clone", "-q", *options, f"file://{repository}", str(folder))
    monkeypatch.chdir(folder)
    return folder


def test_a_complete_clone_has_it_without_a_network(repository, monkeypatch):
    clone(repository, monkeypatch, "--branch=topic")
    shutil.move(repository, repository.parent / "gone")
    assert merge_base.find("main") == sha(repository.parent / "gone", "left")


def test_a_branch_of_this_repository_needs_no_remote(repository, monkeypatch):
    run(repository, "git", "checkout", "-q", "topic")
    monkeypatch.chdir(repository)
    assert merge_base.find("main") == sha(repository, "left")
    assert merge_base.find("topic") == merge_base.commit("HEAD") == sha(repository, "topic")


@pytest.mark.parametrize("first", [1, 2, 50])
@pytest.mark.parametrize("detached", [False, True])
def test_a_shallow_clone_fetches_until_the_histories_meet(repository, monkeypatch, first, detached):
    monkeypatch.setattr(merge_base, "FIRST_DEPTH", first)
    folder = clone(repository, monkeypatch, "--depth=1", "--single-branch", "--branch=topic")
    if detached:  # as a checkout of a commit is, which no branch of the clone names
        run(folder, "git", "checkout", "-q", "--detach")
        run(folder, "git", "branch", "-q", "-D", "topic")
    assert merge_base.find("main") == sha(repository, "left")


@pytest.mark.parametrize("options", [["--branch=alone"], ["--branch=alone", "--depth=1"]])
def test_histories_that_never_meet_have_none(repository, monkeypatch, options):
    clone(repository, monkeypatch, *options)
    assert merge_base.find("main") is None


def test_a_shallow_clone_that_can_fetch_no_more_says_so(repository, monkeypatch):
    folder = clone(repository, monkeypatch, "--depth=1", "--no-single-branch", "--branch=topic")
    run(folder, "git", "remote", "set-url", "origin", "nowhere")
    with pytest.raises(PipelineError, match="shallow: run `git fetch --unshallow origin`"):
        merge_base.find("main")


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ("mian", "no branch 'mian' here or in origin; see `git branch -a`"),
        ("", "'' is no branch"),
        ("--output=x", "'--output=x' is no branch"),
    ],
)
def test_unknown_branches_are_refused(repository, monkeypatch, branch, message):
    clone(repository, monkeypatch)
    with pytest.raises(PipelineError, match=message):
        merge_base.find(branch)


def test_an_unknown_commit_is_refused(repository, monkeypatch):
    monkeypatch.chdir(repository)
    with pytest.raises(PipelineError, match="git knows no commit 'v9' here"):
        merge_base.commit("v9")
