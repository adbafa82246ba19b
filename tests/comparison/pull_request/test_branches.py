"""Pull requests as CI sees them: shallow clones of branches, real git and dvc, through .ci/run."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from pipeline.common import artifacts
from tests.small_repository import ENVIRONMENT, ROOT, commit, dvc, new_repository, run
from tests.two_runs import table

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]
GRAPH = """
vars: [source.yaml]
stages:
  evaluate:
    cmd: >-
      mkdir -p data/evaluation metrics && cp runs/${source}.parquet data/evaluation/scores.parquet
      && cp runs/${source}.json metrics/evaluation.json
    params: [robustness, source.yaml: [source]]
    outs: [data/evaluation]
    metrics:
      - metrics/evaluation.json: {cache: false}
"""
PARAMS = "seed: 3\nbootstrap: {resamples: 150}\nrobustness: {faces: 150}\n"
RUNS = {"first": table(1), "worse": table(1, gain=-0.2)}


def figures(run: str) -> dict[str, object]:
    """The committed figures of a run, with an interval of the mean."""
    frame = RUNS[run]
    photographs = frame[frame["label"] == 0]
    aucs = {}
    for name in ("ddpm", "sim_b"):
        both = frame[frame["set"].isin([name, "photographic_test"])]
        aucs[name] = roc_auc_score(both["label"], both["anomaly_score"])
    mean = sum(aucs.values()) / 2
    return {
        **{name: {"auc": auc} for name, auc in aucs.items()},
        "mean": {"auc": mean, "auc_low": mean - 0.05, "auc_high": mean + 0.05},
        "worst": {"auc": min(aucs.values())},
        "false_alarm_rate_at_5_percent": float(photographs["at_5_percent"].mean()),
    }


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Branch main with committed results of the first run, and its predecessor without any (tag
    empty).
    """
    folder = tmp_path_factory.mktemp("pull_request") / "repository"
    new_repository(folder, "main")
    for path in ("runs", ".ci"):
        (folder / path).mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci")
    for name, frame in RUNS.items():
        artifacts.write_table(folder / f"runs/{name}.parquet", frame)
        (folder / f"runs/{name}.json").write_text(json.dumps(figures(name)))
    (folder / ".gitignore").write_text("/data\n/.venv\n")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "source.yaml").write_text("source: first\n")
    commit(folder, "code")
    run(folder, "git", "tag", "empty")
    (folder / "dvc.yaml").write_text(GRAPH)
    dvc(folder, "repro", "-q")
    commit(folder, "first results")
    return folder


class Branch:
    """A branch of the repository, changed as a contributor would."""

    def __init__(self, repository: Path, name: str, start: str = "main"):
        self.repository, self.name = repository, name
        run(repository, "git", "checkout", "-q", "-b", name, start)

    def commit(self, *, repro: bool = True, **texts: str) -> None:
        """Write files (README_md is README.md), run the pipeline and commit the results."""
        for name, text in texts.items():
            (self.repository / name.replace("_", ".")).write_text(text)
        if repro:
            dvc(self.repository, "repro", "-q")
        commit(self.repository, self.name)

    def reviewed(self, folder: Path, *, base: str = "main", cache: bool = True) -> tuple[int, str]:
        """Exit status and comment of CI in a shallow clone, which has the repository's DVC cache
        or none.
        """
        clone = folder / "clone"
        where = f"file://{self.repository}"
        options = ["--depth=1", "--single-branch", f"--branch={self.name}"]
        run(folder, "git", "clone", "-q", *options, where, str(clone))
        if cache:
            config = f"[cache]\n    dir = {self.repository}/.dvc/cache\n"
            (clone / ".dvc/config.local").write_text(config)
        files = {name: folder / f"{name}.md" for name in ("COMMENT", "GITHUB_STEP_SUMMARY")}
        done = subprocess.run(
            [clone / ".ci/run", "comparison"],
            env=ENVIRONMENT | {"BASE": base} | {name: str(path) for name, path in files.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode != 1, done.stderr
        texts = {path.read_text() for path in files.values()}
        assert texts == {done.stdout}, done.stderr
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def worse(repository) -> Branch:
    """A branch whose run detects less."""
    branch = Branch(repository, "worse")
    branch.commit(source_yaml="source: worse\n")
    return branch


def table_of(comment: str, head: str) -> list[list[str]]:
    """Cells of the rows below the table head that begins so."""
    rows = comment.partition(f"\n| {head} |")[2].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_a_harmless_change_passes(repository, tmp_path):
    branch = Branch(repository, "harmless")
    branch.commit(repro=False, README_md="hello\n")
    status, comment = branch.reviewed(tmp_path)
    assert status == 0
    assert comment.splitlines()[:6] == [
        "<!-- comparison-with-the-merge-base -->",
        "### Compared with `main`: passes",
        "",
        "- **Mean AUC 0.798 → 0.798: no difference** (+0.0000, 95 % interval +0.0000 to +0.0000)",
        "- `dvc.lock` is up to date",
        "- Parameters: none changed",
    ]
    rows = table_of(comment, "AUC")
    assert [row[0] for row in rows] == ["**mean**", "worst", "ddpm", "sim_b"]
    same = ["+0.0000", "+0.0000 to +0.0000", "no difference"]
    assert [row[3:] for row in rows] == [same] * 4
    assert "- Compared: 80 photographs and 160 faces of 2 generators, which both" in comment
    assert "| parameter |" not in comment and "| figure |" not in comment


def test_a_change_of_parameters_alone_passes_and_is_listed(repository, tmp_path):
    branch = Branch(repository, "parameters")
    branch.commit(params_yaml=PARAMS.replace("faces: 150", "faces: 200"))
    status, comment = branch.reviewed(tmp_path)
    assert status == 0
    assert "- `dvc.lock` is up to date\n- Parameters: 1 changed\n" in comment
    assert table_of(comment, "parameter") == [["`robustness.faces`", "`150`", "`200`"]]


def test_a_drop_fails_with_its_rule_and_all_generators(worse, tmp_path):
    status, comment = worse.reviewed(tmp_path)
    assert status == 2
    assert "### Compared with `main`: fails\n" in comment
    assert "- **Mean AUC 0.798 → 0.758: worse** (-0.040" in comment
    assert "Must not hold: `auc.mean drops significantly`\n" in comment
    assert "- `dvc.lock` is up to date\n" in comment
    assert [row[5] for row in table_of(comment, "AUC")] == ["worse"] * 4


def test_without_scores_committed_intervals_decide_and_a_small_drop_passes(worse, tmp_path):
    status, comment = worse.reviewed(tmp_path, cache=False)
    assert status == 0
    assert "- **Mean AUC 0.798 → 0.758: no difference** (-0.0402, 95 % interval -0.11" in comment
    assert "- Not paired by face: data/evaluation/scores.parquet of " in comment
    assert "From committed figures, as if each commit had been tested on other faces." in comment


def test_a_stale_lock_fails_with_what_to_do(repository, tmp_path):
    branch = Branch(repository, "stale")
    branch.commit(repro=False, params_yaml=PARAMS.replace("faces: 150", "faces: 200"))
    status, comment = branch.reviewed(tmp_path)
    assert status == 2
    assert "### Compared with `main`: fails\n" in comment
    assert "- **`dvc.lock` is stale**: `evaluate` would run, so the figures are not" in comment
    assert "no difference** (+0.0000" in comment and "- Parameters: 1 changed\n" in comment


def test_a_first_pull_request_has_figures_of_its_own_alone(repository, tmp_path):
    run(repository, "git", "branch", "empty_main", "empty")
    branch = Branch(repository, "first", "empty")
    branch.commit(dvc_yaml=GRAPH)
    status, comment = branch.reviewed(tmp_path, base="empty_main")
    assert status == 0
    assert "### Compared with `empty_main`: passes\n" in comment
    assert "- **First results**: the base has none to compare with\n" in comment
    assert table_of(comment, "AUC")[0] == ["**mean**", "—", "0.798", "—", "—", "new"]
