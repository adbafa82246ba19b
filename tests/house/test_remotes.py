"""A fresh clone takes what others have run from a remote, and runs nothing of it again.

The graph is the project's own, its stages are hollow: they write a line where the real ones write
hours of work."""

import shutil

import pytest

from tests.house.test_graph import Stage, below, stages
from tests.small_repository import ROOT, commit, dvc, new_repository, run

FILES = (".dvcignore", ".gitattributes", ".gitignore", "params.yaml", "dvc.yaml", "data/dvc.yaml")
HOLLOW = '''"""Write a line into each file of the stage with this command line."""
import hashlib, pathlib, sys
command = " ".join(sys.argv[1:])
seen = pathlib.Path("params.yaml").read_text() + command
for name in {written}[command]:
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text(hashlib.sha256(seen.encode()).hexdigest())
'''
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]


def written(stage: Stage) -> list[str]:
    """The files of a stage's outputs: of a folder those that others read, or any one."""
    read = {dep for other in stages() for dep in other.deps}
    files = []
    for out in stage.outs:
        inside = sorted(dep for dep in read if below(dep, out) and dep != out)
        files += inside or [out if "." in out.rpartition("/")[2] else f"{out}/content"]
    return files


@pytest.fixture
def repository(tmp_path):
    """A repository in which `dvc repro` has run once, and its remote is named."""
    folder = tmp_path / "repository"
    new_repository(folder, "main")
    shutil.copytree(
        ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    commands = {" ".join(s.command[s.command.index("-m") + 2 :]): written(s) for s in stages()}
    for path in (folder / "pipeline/stages").glob("[a-z]*.py"):
        path.write_text(HOLLOW.format(written=commands))
    dvc(folder, "repro")
    commit(folder, "results")
    add_remote(folder)
    return folder


def add_remote(folder):
    dvc(folder, "remote", "add", "--local", "--default", "store", str(folder.parent / "store"))


def try_heads(folder):
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\n  input: both") == 1
    path.write_text(text.replace("\n  input: both", "\n  input: heads"), encoding="utf-8")


def test_a_fresh_clone_runs_nothing_that_is_in_the_remote(repository):
    """What is committed, and with the run cache what was tried and never committed too."""
    try_heads(repository)
    assert "Running stage 'fit_gmm'" in dvc(repository, "repro")
    dvc(repository, "push", "--run-cache")
    run(repository, "git", "checkout", "-q", ".")
    dvc(repository, "checkout")
    dvc(repository, "push")

    fresh = repository.parent / "fresh"
    run(repository, "git", "clone", "-q", str(repository), str(fresh))
    add_remote(fresh)
    assert "Running stage" not in dvc(fresh, "repro", "--pull", "--allow-missing")
    assert not (fresh / "data/faces").exists()  # nobody asked for it
    dvc(fresh, "pull")
    cached = [path for s in stages() for path, out in s.outs.items() if out.use_cache]
    assert cached and all((fresh / path).exists() for path in cached)
    try_heads(fresh)
    done = dvc(fresh, "repro", "--pull")
    assert "Running stage" not in done and "Stage 'fit_gmm' is cached" in done
