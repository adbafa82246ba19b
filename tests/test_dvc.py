"""The promises made about `dvc repro`, kept by real dvc in a temporary repository with a few dozen
faces.

The steps share one repository and run in the order of this file; each leaves it complete and up to
date."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base import params
from pipeline.common import artifacts

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "photographs": 60,
    "portraits": 120,
    "generated": 12,
    "feature_dim": 16,
    "input_size": 32,
    "epochs": 1,
    "batch_size": 16,
    "pca_components": 4,
    "maximum_unreadable_share": 0.2,
    "faces_shown": 2,
    "resamples": 200,
    "faces": 6,
    "projected_faces": 12,
}
# What looks at all generators at once.
TOGETHER = {"aggregate", "robustness", "confounds", "controls", "explain", "report"}
PERTURBED = {"extract_perturbed@jpeg_75", "extract_perturbed@blur_1"}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]


class Clone:
    """A repository with this working tree's files, and what is run in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ran: list[str] = []  # by the first `dvc repro`
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_")
        } | {
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
        return self.run(
            "git", "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments
        ).stdout

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro`; the names of the stages that ran."""
        out = self.dvc("repro", *arguments).stdout
        assert "is cached - skipping run" not in out
        return re.findall(r"Running stage '([^']+)'", out)

    def replace(self, before: str, after: str) -> None:
        """Edit params.yaml as a reader would: one value."""
        path = self.folder / "params.yaml"
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")


def working_tree() -> list[str]:
    """The files of this repository as they are now, committed or not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    skipped = ("metrics/", "dvc.lock", "tests/", "benchmarks/")
    return [
        name for name in names if name and not name.startswith(skipped) and (ROOT / name).is_file()
    ]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A repository in which `dvc repro` has run once."""
    clone = Clone(tmp_path_factory.mktemp("dvc") / "clone")
    for name in working_tree():
        (clone.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone.folder / name)
    text = (ROOT / "profiles/ci.yaml").read_text(encoding="utf-8")
    for name, value in TINY.items():
        text, changes = re.subn(rf"(?m)^(\s+{name}:) (?!\[)\S+", rf"\1 {value}", text)
        assert changes, name
    text, changes = re.subn(r"(?m)^  - (?=sim_)(?!sim_latent$|sim_rolloff$).*\n", "", text)
    assert changes == 4
    (clone.folder / "params.yaml").write_text(text, encoding="utf-8")
    clone.git("init", "-q")
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "the working tree")
    clone.ran = clone.repro()
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "results")
    return clone


def generators(clone: Clone) -> list[str]:
    return params.load("generators", path=clone.folder / "params.yaml").generators


def lock(clone: Clone) -> str:
    return (clone.folder / "dvc.lock").read_text(encoding="utf-8")


def test_the_whole_pipeline_runs_and_a_second_run_has_nothing_to_do(clone):
    expected = {line.split()[0] for line in clone.dvc("stage", "list").stdout.splitlines() if line}
    assert set(clone.ran) == expected and len(clone.ran) == len(expected)
    again = clone.dvc("repro")
    assert "Data and pipelines are up to date." in again.stdout
    evaluation = artifacts.read_json(clone.folder / "metrics/evaluation.json")
    assert set(evaluation) == {*generators(clone), "mean", "worst"}
    assert (clone.folder / "data/report/index.html").stat().st_size > 10_000


def test_git_has_metrics_and_lock_and_not_the_data(clone):
    files = clone.git("ls-files").splitlines()
    assert "dvc.lock" in files and "metrics/evaluation.json" in files
    assert not [
        name
        for name in files
        if name.startswith(("data/", "models/")) and not name.endswith(".gitkeep")
    ]
    assert not [
        name
        for name in files
        if name.endswith(".gitignore") and name not in (".gitignore", ".dvc/.gitignore")
    ]
    assert clone.git("status", "--porcelain") == ""


def test_metrics_parameters_and_plots_can_be_compared(clone):
    assert "sim_latent" in clone.dvc("metrics", "show", "--md").stdout
    clone.replace("review_rate: 0.1", "review_rate: 0.05")
    assert "calibration.review_rate" in clone.dvc("params", "diff", "--md").stdout
    ran = clone.repro()
    assert ran[:2] == ["check_inputs", "calibrate"] and not [
        name for name in ran if name.startswith(("train", "extract"))
    ]
    assert "metrics/calibration.json" in clone.dvc("metrics", "diff", "--md").stdout
    clone.dvc("plots", "show", "-o", str(clone.folder.parent / "plots"))
    clone.replace("review_rate: 0.05", "review_rate: 0.1")
    clone.dvc("repro")  # from the run cache
    assert clone.git("status", "--porcelain") == ""


def test_a_change_of_the_mixture_runs_nothing_before_it(clone):
    clone.replace("components: 1 ", "components: 2 ")
    ran = clone.repro()
    assert ran[0] == "fit_gmm"
    later = TOGETHER | {
        "fit_gmm",
        "select_mixture",
        "calibrate",
        *(f"evaluate@{name}" for name in generators(clone)),
    }
    assert "fit_gmm" in ran and set(ran) <= later
    clone.replace("components: 2 ", "components: 1 ")
    clone.dvc("repro")
    assert clone.git("status", "--porcelain") == ""


def test_a_new_perturbation_runs_its_own_stage_and_the_report(clone):
    clone.replace("  - jpeg_75", "  - jpeg_75\n  - crop_0.9")
    assert clone.repro() == ["extract_perturbed@crop_0.9", "robustness", "report"]
    clone.replace("  - jpeg_75\n  - crop_0.9", "  - jpeg_75")
    clone.dvc("repro")
    assert set(artifacts.read_json(clone.folder / "metrics/robustness.json")) == {
        "jpeg_75",
        "blur_1",
    }
    clone.git("clean", "-fdq", "metrics")
    clone.git("checkout", "-q", "dvc.lock")
    clone.dvc("repro")
    assert clone.git("status", "--porcelain") == ""


def test_a_new_generator_runs_its_own_stages_and_what_looks_at_all_of_them(clone):
    data = clone.folder / "data/sample/data"
    (data / "new").mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (data / "new" / f"{number}.png").write_bytes(artifacts.encode_png(picture))
    clone.replace("generators:", "generators:\n  - new\n  #")
    assert generators(clone)[0] == "new" and len(generators(clone)) == 3
    assert sorted(clone.repro()) == sorted(
        {"check_inputs", "evaluate@new", "extract_features@new", *PERTURBED, *TOGETHER}
    )
    assert "new" in artifacts.read_json(clone.folder / "metrics/evaluation.json")


def test_results_of_a_removed_generator_are_left_aside_and_named(clone):
    clone.replace("generators:\n  - new\n  #", "generators:")
    printed = " ".join(clone.dvc("repro").stdout.split())
    assert (
        "left aside, as params.yaml does not have them: new. To delete such results: rm "
        "metrics/*/NAME.*;" in printed
    )
    assert {*clone.folder.glob("metrics/*/new.*")} == {
        clone.folder / f"metrics/{path}"
        for path in (
            "faces/new.png",
            "features/new.json",
            "generators/new.json",
            "histograms/new.csv",
            "roc/new.csv",
        )
    }
    clone.run("sh", "-c", "rm metrics/*/new.*")
    assert set(artifacts.read_json(clone.folder / "metrics/evaluation.json")) == {
        *generators(clone),
        "mean",
        "worst",
    }


def test_everything_again_gives_the_identical_lock_file(clone):
    clone.git("checkout", "-q", ".")
    before = lock(clone)
    ran = clone.repro("--force")
    assert len(ran) == len(set(ran)) == len(clone.ran)
    assert lock(clone) == before
    assert clone.git("status", "--porcelain").split() in (
        [],
        ["M", "metrics/speed.json"],
    )  # seconds differ, results do not


def test_a_wrong_parameter_stops_the_stage_with_file_key_and_value(clone):
    clone.replace("tolerance: 1e-3", "tolerance: -1")
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0 and "params.yaml: wrong parameters" in failed.stderr
    assert (
        "gmm.tolerance = -1: Input should be greater than 0" in failed.stderr
        and "Traceback" not in failed.stderr
    )
    clone.git("checkout", "-q", ".")


def test_outside_a_git_repository_make_says_what_to_do(clone, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    outside = Clone(tmp_path)
    outside.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path.parent)
    done = outside.run("make", "repro", check=False)
    assert done.returncode != 0
    assert (
        "error: dvc needs a git repository; clone this project, or run 'git init' here first"
        in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr
