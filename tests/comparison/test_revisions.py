"""Runs read by real git and dvc: commits, branches, tags, experiments, the workspace, a remote; and
the exit status.
"""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.comparison.revisions import read_scores
from tests.small_repository import commit, dvc, new_repository, run
from tests.two_runs import table

STAGE = """
stages:
  evaluate:
    cmd: mkdir -p data/evaluation && cp ${source} data/evaluation/scores.parquet
    params: [source.yaml: [source]]
    outs: [data/evaluation]
vars: [source.yaml]
"""


def repro(folder: Path, source: str) -> None:
    (folder / "source.yaml").write_text(f"source: {source}\n")
    dvc(folder, "repro", "-q")
    commit(folder, source)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Commits without scores (tag empty), of run 1 (tag earlier) and of run 2 (HEAD); experiment
    bold of run 3; workspace of run 1.
    """
    folder = tmp_path_factory.mktemp("compare") / "repository"
    for name in ("runs", "data/evaluation"):
        (folder / name).mkdir(parents=True)
    new_repository(folder, "trunk")
    run(folder, "git", "tag", "empty")
    for i in (1, 2, 3):
        artifacts.write_table(folder / f"runs/{i}.parquet", table(i, gain=0.5 * i))
    (folder / ".gitignore").write_text("/data\n")
    (folder / "params.yaml").write_text("seed: 3\nbootstrap: {resamples: 150}\n")
    (folder / "dvc.yaml").write_text(STAGE)
    repro(folder, "runs/1.parquet")
    run(folder, "git", "tag", "earlier")
    repro(folder, "runs/2.parquet")
    dvc(folder, "exp", "run", "-q", "-n", "bold", "-S", "source.yaml:source=runs/3.parquet")
    scores = folder / "data/evaluation/scores.parquet"
    scores.unlink()
    shutil.copy(folder / "runs/1.parquet", scores)
    return folder


@pytest.mark.slow
def test_scores_are_read_at_commits_branches_tags_experiments_and_from_the_workspace(
    repository, monkeypatch
):
    monkeypatch.chdir(repository)
    sha = run(repository, "git", "rev-parse", "HEAD").strip()
    expected = {"earlier": 1, "HEAD~1": 1, "HEAD": 2, sha[:8]: 2, "trunk": 2, "bold": 3}
    for revision, i in {**expected, "workspace": 1}.items():
        assert read_scores(revision).equals(table(i, gain=0.5 * i)), revision


@pytest.mark.slow
def test_the_command_ends_with_0_1_or_2(repository):
    command = [sys.executable, "-m", "pipeline.comparison"]
    rule = ["--fail-if", "auc.mean drops significantly"]
    assert "no difference" in run(repository, *command, "HEAD", "trunk", *rule)
    assert "better" in run(repository, *command, "earlier", "bold", "--markdown")
    text = run(repository, *command, *rule, status=2)
    assert text.startswith("A: HEAD, B: workspace\n") and "Rule HOLDS" in text
    for arguments, message in (
        (["absent"], "error: absent: unknown Git revision 'absent'; see `git log`"),
        (["empty"], "error: empty has no data/evaluation/scores.parquet: check it out"),
        (["--no-such-option"], "error: unrecognized arguments: --no-such-option"),
    ):
        text = run(repository, *command, *arguments, status=1)
        assert message in text and "Traceback" not in text


@pytest.mark.slow
def test_what_the_cache_lost_comes_from_the_remote_or_is_asked_for(
    repository, tmp_path, monkeypatch
):
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(repository), str(clone))
    monkeypatch.chdir(clone)
    for revision in ("HEAD", "earlier"):
        message = f"of {revision} is neither in dvc's cache nor in a remote: run `dvc push`"
        with pytest.raises(PipelineError, match=message):
            read_scores(revision)
    remote = ["remote", "add", "-q", "-d", "--local", "shelf", str(tmp_path / "shelf")]
    dvc(repository, *remote)
    dvc(repository, "push", "-q", "--all-commits")
    dvc(clone, *remote)
    for revision, i in (("earlier", 1), ("HEAD", 2)):
        assert read_scores(revision).equals(table(i, gain=0.5 * i))


@pytest.mark.slow
def test_an_experiment_s_name_on_two_commits_is_refused_and_its_sha_is_not(repository, monkeypatch):
    monkeypatch.chdir(repository)
    for revision in ("empty", "earlier"):
        sha = run(repository, "git", "rev-parse", revision).strip()
        run(repository, "git", "update-ref", f"refs/exps/{sha[:2]}/{sha[2:]}/twice", sha)
    with pytest.raises(PipelineError, match=r"ambiguous .*'twice'; see .* name its SHA$"):
        read_scores("twice")
    assert read_scores(sha[:10]).equals(table(1, gain=0.5))


def test_a_workspace_without_scores_says_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"scores.parquet: no such file; run `dvc repro`"):
        read_scores("workspace")


def test_an_empty_revision_is_not_taken_for_the_workspace():
    with pytest.raises(PipelineError, match="a revision is empty"):
        read_scores("")
