"""What docs/experiments.md says of copies, queue, own data and stages side by side: real dvc in a
small repository.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import experiments
from pipeline.base import params
from pipeline.base.errors import PipelineError
from tests.small_repository import ENVIRONMENT, commit, dvc, new_repository, run
from tests.waiting import wait_until

STAGES = """
stages:
  encode:
    matrix: {name: [a, b, c, d]}
    cmd: exec printf '%s ' ${k} > ${item.name}.txt
    params: [k]
    outs: ["${item.name}.txt"]
  make:
    cmd: cat a.txt ${root}/in.txt > out
    params: [m]
    deps: [a.txt, "${root}"]
    outs: [out]
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """Its data lie in a folder that git ignores, and are named by the absolute path."""
    new_repository(tmp_path, "trunk")
    (tmp_path / ".gitignore").write_text("*.txt\n/out\n/data\n")
    (tmp_path / "params.yaml").write_text(f"k: 1\nm: 1\nroot: {tmp_path}/data\n")
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/in.txt").write_text("in")
    commit(tmp_path, "stages")
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_experiments_run_in_copies_and_take_the_place_of_their_last_run(repository):
    first = experiments.run("three", {"k": 3}, "make")
    assert experiments.read(first, "out") == b"3 in" and not (repository / "out").exists()
    assert run(repository, "git", "status", "--porcelain") == ""
    second = experiments.run("three", {"k": 4}, "make")
    experiments.fetch(second, ["out", "params.yaml"], repository / "there")
    assert (repository / "there/out").read_text() == "4 in"
    assert params.read_yaml(repository / "there/params.yaml")["k"] == 4
    assert dvc(repository, "exp", "list", "--name-only").split().count("three") == 1


def test_ignored_data_reach_a_copy_by_an_absolute_path_or_copied_and_not_by_a_relative_one(
    repository,
):
    with pytest.raises(PipelineError, match=r"experiment two ended with(?s:.*)No such file.*/data"):
        experiments.run("two", {"root": "data"}, "make")
    dvc(repository, "exp", "run", "--temp", "-n", "copied", "-C", "data", "-S", "root=data")
    assert experiments.read("copied", "out") == b"1 in"


def test_a_queued_grid_runs_two_at_a_time(repository):
    dvc(repository, "exp", "run", "--queue", "-S", "k=choice(5,6)", "-S", "m=range(1,3)")
    dvc(repository, "queue", "start", "-j", "2")
    wait_until(lambda: dvc(repository, "queue", "status").count("Success") == 4, "the queue", 600)
    names = dvc(repository, "exp", "list", "--name-only").split()
    assert sorted(experiments.read(name, "out") for name in names) == [b"5 in"] * 2 + [b"6 in"] * 2


def test_stages_side_by_side_that_wait_for_the_lock_all_stand_in_it(repository):
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "-q", "-s"]
    for k in ("7", "8"):
        (repository / "params.yaml").write_text(f"k: {k}\nm: 1\nroot: data\n")
        stages = [subprocess.Popen([*command, f"encode@{n}"], env=ENVIRONMENT) for n in "abcd"]
        assert [stage.wait() for stage in stages] == [0] * 4
        locked = params.read_yaml(repository / "dvc.lock")["stages"]
        read = [locked[f"encode@{n}"]["params"]["params.yaml"]["k"] for n in "abcd"]
        assert read == [int(k)] * 4
