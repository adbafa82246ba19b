"""The revision of the code in a real git repository, and versions."""

import subprocess
import sys
from importlib import metadata

import pytest

from pipeline.report import provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder, path, text):
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(text)
    git(folder, "add", path)
    git(folder, "commit", "-m", path)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    return tmp_path, commit(tmp_path, "pipeline/a.py", "1")


def test_a_commit_of_results_leaves_the_revision(repository):
    folder, first = repository
    assert provenance.revision(folder) == first
    assert commit(folder, "metrics/a.json", "{}") != first and provenance.revision(folder) == first
    second = commit(folder, "dvc.yaml", "x")
    assert provenance.revision(folder) == second


@pytest.mark.parametrize("path", ["pipeline/a.py", "pipeline/new.py", "params.yaml"])
def test_changes_of_the_code_show(repository, path):
    folder, first = repository
    (folder / "metrics.json").write_text("{}")
    assert provenance.revision(folder) == first
    (folder / path).write_text("2")
    assert provenance.revision(folder) == f"{first}-modified"


def test_without_git_or_outside_a_repository_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.revision(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", "")
    assert provenance.revision(tmp_path) == "unknown"


def test_versions_are_the_installed_ones():
    versions = provenance.versions()
    assert versions["numpy"] == metadata.version("numpy") and "dvc" in versions
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
