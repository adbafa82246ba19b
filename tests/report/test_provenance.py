"""The revision of the code in a real git repository, and versions."""

import subprocess
import sys
from importlib import metadata

from pipeline.report import provenance


def commit(folder, path, text):
    """The hash of a new commit of one file."""
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(text)
    for command in (["add", path], [*identity, "commit", "-qm", path], ["rev-parse", "HEAD"]):
        done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_the_revision_is_the_last_commit_of_the_code(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    first = commit(tmp_path, "pipeline/a.py", "1")
    assert commit(tmp_path, "metrics/a.json", "{}") != first
    (tmp_path / "metrics.json").write_text("{}")
    assert provenance.revision(tmp_path) == first, "results are not the code"
    second = commit(tmp_path, "dvc.yaml", "x")
    assert provenance.revision(tmp_path) == second
    for path in ("pipeline/a.py", "pipeline/new.py", "params.yaml"):
        before = (tmp_path / path).read_text() if (tmp_path / path).exists() else None
        (tmp_path / path).write_text("2")
        assert provenance.revision(tmp_path) == f"{second}-modified"
        (tmp_path / path).unlink() if before is None else (tmp_path / path).write_text(before)


def test_without_git_or_outside_a_repository_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.revision(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", "")
    assert provenance.revision(tmp_path) == "unknown"


def test_versions_are_the_installed_ones():
    versions = provenance.versions()
    assert versions["numpy"] == metadata.version("numpy") and "dvc" in versions
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
