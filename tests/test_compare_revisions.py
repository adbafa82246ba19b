"""Runs read by real git and dvc: commits, branches, tags, experiments, the workspace, a remote; and
the exit status.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.comparison import __main__ as compare
from tests.two_runs import PARAMS, table

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "DVC_NO_ANALYTICS": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
STAGE = """
stages:
  aggregate:
    cmd: cp ${source} data/all_scores.parquet
    params: [source.yaml: [source]]
    outs: [data/all_scores.parquet]
vars: [source.yaml]
"""


def run(folder: Path, *command: str, status: int = 0) -> str:
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(
        folder,
        "git",
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "commit",
        "-q",
        "-m",
        message,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Commits without scores (tag empty), of run 1 (tag first) and 2 (HEAD); experiment bold of run
    3; workspace of run 1.
    """
    folder = tmp_path_factory.mktemp("compare") / "repository"
    (folder / "runs").mkdir(parents=True)
    run(folder, "git", "init", "-q", "-b", "trunk")
    dvc(folder, "init", "-q")
    commit(folder, "nothing yet")
    run(folder, "git", "tag", "empty")
    for i in (1, 2, 3):
        artifacts.write_table(folder / f"runs/{i}.parquet", table(i, gain=0.5 * i))
    (folder / ".gitignore").write_text("/data\n")
    (folder / "dvc.yaml").write_text(STAGE)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "data").mkdir()
    for i in (1, 2):
        (folder / "source.yaml").write_text(f"source: runs/{i}.parquet\n")
        dvc(folder, "repro", "-q")
        commit(folder, f"run {i}")
        run(folder, "git", "tag", "-f", "first", "HEAD" if i == 1 else "first")
    dvc(folder, "exp", "run", "-q", "-n", "bold", "-S", "source.yaml:source=runs/3.parquet")
    shutil.copy(folder / "runs/1.parquet", folder / "data/all_scores.parquet")
    return folder


def test_scores_are_read_at_commits_branches_tags_experiments_and_from_the_workspace(
    repository, monkeypatch
):
    monkeypatch.chdir(repository)
    sha = run(repository, "git", "rev-parse", "HEAD").strip()
    expected = {
        "first": 1,
        "HEAD~1": 1,
        "HEAD": 2,
        sha: 2,
        sha[:8]: 2,
        "trunk": 2,
        "bold": 3,
        "workspace": 1,
    }
    for revision, i in expected.items():
        assert compare.read_scores(revision).equals(table(i, gain=0.5 * i)), revision


def test_the_command_ends_with_0_1_or_2(repository):
    command = [sys.executable, "-m", "pipeline.comparison.__main__"]
    assert "HEAD and trunk do not differ" in run(
        repository, *command, "HEAD", "trunk", "--fail-if", "auc.mean drops by 0.01"
    )
    assert "better" in run(repository, *command, "first", "bold", "--markdown")
    text = run(repository, *command, "--fail-if", "auc.mean drops significantly", status=2)
    assert text.startswith("A: HEAD, B: workspace\n") and "Rule HOLDS" in text
    for arguments, said in (
        (["absent"], "error: absent: unknown Git revision 'absent'; `git log`"),
        (["empty"], "error: empty has no data/all_scores.parquet: check it out"),
        (["--no-such-option"], "error: unrecognized arguments: --no-such-option"),
    ):
        text = run(repository, *command, *arguments, status=1)
        assert said in text and "Traceback" not in text


def test_what_the_cache_lost_comes_from_the_remote_or_is_asked_for(
    repository, tmp_path, monkeypatch
):
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(repository), str(clone))
    monkeypatch.chdir(clone)
    sha = run(clone, "git", "rev-parse", "HEAD").strip()
    for revision in ("HEAD", "trunk", sha[:8]):
        with pytest.raises(
            PipelineError,
            match=rf"of {revision} is neither in dvc's cache.*Commit your own run first",
        ) as raised:
            compare.read_scores(revision)
        assert "`git add dvc.lock metrics && git commit`" in str(
            raised.value
        ) and "git checkout" not in str(raised.value)
    with pytest.raises(
        PipelineError,
        match=r"of first is .*: run `dvc push`.*`git stash`, or commit.*`git checkout first`",
    ):
        compare.read_scores("first")
    dvc(repository, "remote", "add", "-q", "-d", "--local", "shelf", str(tmp_path / "shelf"))
    dvc(repository, "push", "-q", "--all-tags")
    dvc(clone, "remote", "add", "-q", "-d", "--local", "shelf", str(tmp_path / "shelf"))
    assert compare.read_scores("first").equals(table(1, gain=0.5))


def test_a_file_that_is_no_table_is_refused(repository, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(repository), str(clone))
    (clone / "data").mkdir()
    (clone / "source.yaml").write_text("source: dvc.yaml\n")
    dvc(clone, "repro", "-q")
    commit(clone, "no table")
    monkeypatch.chdir(clone)
    with pytest.raises(
        PipelineError, match=r"all_scores.parquet of HEAD is no readable Parquet file"
    ):
        compare.read_scores("HEAD")
