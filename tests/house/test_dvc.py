"""The promises made about `dvc repro`, kept by real dvc in a temporary repository with few faces.

The steps share one repository and run in the order of this file; each leaves it complete and up to
date.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.base import params
from pipeline.base.profile import apply
from pipeline.common import artifacts

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "simulation": {"photographs": 60, "portraits": 120, "generated": 12},
    "data": {"maximum_unreadable_share": 0.2},
    "pretext": {"widths": [8, 16, 32], "input_size": 32, "epochs": 1, "schedule_epochs": 1},
    "bootstrap": {"resamples": 200},
    "robustness": {"faces": 6},
    "controls": {"faces": 6},
    "explanation": {"projected_faces": 12},
    "generators": ["sim_latent", "sim_rolloff"],
    "perturbations": ["jpeg_75", "blur_1"],
}
TOGETHER = {"evaluate", "audit", "explain", "report"}  # what looks at all generators
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]


class Clone:
    """A repository with this working tree's files, and what is run in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ran: list[str] = []  # by the first `dvc repro`
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        return self.run("git", *who, *arguments).stdout

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro`; the names of the stages that ran."""
        out = self.dvc("repro", *arguments).stdout
        return [name.rpartition(":")[2] for name in re.findall(r"Running stage '([^']+)'", out)]

    def edit(self, changes: dict[str, Any]) -> None:
        """Change values of params.yaml as a reader would."""
        yaml, path = YAML(), self.folder / "params.yaml"
        content = yaml.load(path.read_text(encoding="utf-8"))
        for section, values in changes.items():
            if isinstance(values, dict):
                content[section].update(values)
            else:
                content[section] = values
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)

    def restore(self) -> None:
        """The committed parameters and results again; their files come from DVC's cache."""
        self.git("checkout", "-q", ".")
        self.dvc("repro")
        assert self.git("diff") == ""


def working_tree() -> list[str]:
    """The files of this repository as they are now, committed or not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    skipped = ("metrics/", "dvc.lock", "data/dvc.lock", "tests/", "benchmarks/")
    names = (name for name in done.stdout.split("\0") if name and not name.startswith(skipped))
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A repository in which `dvc repro` has run once."""
    clone = Clone(tmp_path_factory.mktemp("dvc") / "clone")
    for name in working_tree():
        (clone.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone.folder / name)
    apply(ROOT / "profiles/ci.yaml", clone.folder / "params.yaml")
    clone.edit(TINY)
    clone.git("init", "-q")
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "the working tree")
    clone.ran = clone.repro()
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "results")
    return clone


def evaluated(clone: Clone) -> set[str]:
    """The generators in the metrics."""
    content = artifacts.read_json(clone.folder / "metrics/evaluation.json")
    return {name for name in content if not name.startswith(("mean", "worst", "false_alarm"))}


def test_the_whole_pipeline_runs_and_a_second_run_has_nothing_to_do(clone):
    listed = clone.dvc("stage", "list", "--all").stdout.splitlines()
    expected = {line.split()[0].rpartition(":")[2] for line in listed if line}
    assert set(clone.ran) == expected and len(clone.ran) == len(expected)
    assert "Data and pipelines are up to date." in clone.dvc("repro").stdout
    assert evaluated(clone) == {"sim_latent", "sim_rolloff"}
    assert (clone.folder / "data/report/index.html").stat().st_size > 10_000


def test_git_has_metrics_and_lock_files_and_not_the_data(clone):
    files = clone.git("ls-files").splitlines()
    assert {"dvc.lock", "data/dvc.lock", "metrics/evaluation.json"} <= set(files)
    kept = {"data/.gitkeep", "data/dvc.yaml", "data/dvc.lock", "models/.gitkeep"}
    assert {name for name in files if name.startswith(("data/", "models/"))} == kept
    own = {".gitignore", ".dvc/.gitignore"}
    assert {name for name in files if name.endswith(".gitignore")} <= own
    assert clone.git("status", "--porcelain") == ""


def test_a_checkout_without_data_is_known_to_be_up_to_date(clone, tmp_path):
    bare = Clone(tmp_path / "bare")
    clone.git("clone", "-q", str(clone.folder), str(bare.folder))
    done = bare.dvc("repro", "--dry", "--allow-missing")
    assert "Data and pipelines are up to date." in done.stdout


def test_metrics_parameters_and_plots_can_be_compared(clone):
    assert "sim_latent" in clone.dvc("metrics", "show", "--md").stdout
    clone.edit({"calibration": {"review_rate": 0.05}})
    assert "calibration.review_rate" in clone.dvc("params", "diff", "--md").stdout
    ran = clone.repro()
    assert ran[0] == "calibrate" and set(ran) <= {"calibrate", *TOGETHER}
    clone.dvc("plots", "show", "-o", str(clone.folder.parent / "plots"))
    clone.restore()


def test_a_change_of_the_mixture_runs_nothing_before_it(clone):
    clone.edit({"gmm": {"input": "heads"}})
    ran = clone.repro()
    assert ran[0] == "fit_gmm" and set(ran) <= {"fit_gmm", "calibrate", *TOGETHER}
    assert "metrics/evaluation.json" in clone.dvc("metrics", "diff", "--md", "--all").stdout
    clone.restore()


def test_a_new_perturbation_encodes_nothing_else(clone):
    clone.edit({"perturbations": ["jpeg_75", "crop_0.9", "blur_1"]})
    assert clone.repro() == ["extract_variants", "audit", "report"]
    judged = artifacts.read_json(clone.folder / "data/audit/robustness.json")
    assert set(judged) == {"jpeg_75", "crop_0.9", "blur_1"}
    clone.restore()


def test_a_new_generator_is_encoded_alone_and_a_removed_one_leaves_nothing(clone):
    before = artifacts.read_json(clone.folder / "metrics/evaluation.json")
    folder = clone.folder / "data/sample/data/new"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(artifacts.encode_png(picture))
    clone.edit({"generators": ["new", "sim_latent", "sim_rolloff"]})
    ran = set(clone.repro())
    assert ran == {"list_faces", "extract_features@new", "extract_variants", *TOGETHER}
    after = artifacts.read_json(clone.folder / "metrics/evaluation.json")
    assert evaluated(clone) == {"new", "sim_latent", "sim_rolloff"}
    assert {name: after[name] for name in ("sim_latent", "sim_rolloff")} == {
        name: before[name] for name in ("sim_latent", "sim_rolloff")
    }
    shutil.rmtree(folder)
    clone.restore()
    assert not (clone.folder / "data/features/new.npz").exists()


def test_an_experiment_changes_parameters_and_can_be_compared(clone):
    clone.dvc("exp", "run", "-n", "heads", "-S", "gmm.input=heads")
    shown = clone.dvc("exp", "show", "--csv", "--only-changed").stdout
    assert "gmm.input" in shown and "mean.auc" in shown
    clone.restore()
    done = clone.run(sys.executable, "-m", "pipeline.comparison", "HEAD", "heads")
    assert "sim_latent" in done.stdout and "auc" in done.stdout.lower()


def test_everything_again_gives_the_identical_lock_file(clone):
    ran = clone.repro("--force")
    assert len(ran) == len(set(ran)) == len(clone.ran)
    assert clone.git("status", "--porcelain") == ""


def test_a_wrong_parameter_stops_the_stage_with_file_key_and_value(clone):
    clone.edit({"gmm": {"tolerance": -1}})
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0 and "Traceback" not in failed.stderr
    assert "params.yaml" in failed.stderr and "gmm.tolerance = -1" in failed.stderr
    clone.git("checkout", "-q", ".")


def test_other_data_never_makes_the_sample(clone):
    shutil.move(clone.folder / "data/sample", clone.folder / "data/own")
    clone.edit({"data": {"root": "data/own"}})
    clone.git("checkout", "-q", "data/dvc.lock")
    done = clone.dvc("repro", "--dry", check=False)  # ends where a file that it did not make lacks
    assert "Running stage 'list_faces'" in done.stdout and "simulate_sample" not in done.stdout
    shutil.move(clone.folder / "data/own", clone.folder / "data/sample")
    clone.git("checkout", "-q", ".")
    assert params.load("data", path=clone.folder / "params.yaml").data.root == "data/sample"


def test_outside_a_git_repository_make_says_what_to_do(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    outside = Clone(tmp_path)
    outside.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path.parent)
    done = outside.run("make", "repro", check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "error: dvc needs a git repository" in done.stdout + done.stderr
