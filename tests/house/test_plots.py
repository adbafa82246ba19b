"""`dvc plots`: the page holds its renderer and draws every curve of every revision, offline.

Chromium draws a page of made-up curves of two revisions with the project's own dvc.yaml and
templates; each line that it has drawn counts."""

import csv
import hashlib
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.browser import BROWSER
from tests.small_repository import ROOT, commit, dvc, new_repository

PAGE = (ROOT / ".dvc/plots/page.html").read_text(encoding="utf-8")
GENERATORS = ("sim_latent", "sim_rolloff")
LOSSES = ("train_loss_total", "validation_loss_total")
MEASURES = ("ranking_accuracy_mean", "manipulation_auc")
STEPS = [("jpeg", "clean"), ("jpeg", "75"), ("jpeg", "60"), ("blur", "clean"), ("blur", "1")]
RATES = ("auc", "detection_rate", "false_alarm_rate")


def test_the_page_holds_the_renderer_as_published_and_loads_nothing():
    scripts = re.findall(r"<script>(.*?)</script>", PAGE, re.DOTALL)
    named = re.findall(r"^  vega\S*@\S+  sha256 (\w{64})$", PAGE, re.MULTILINE)
    assert [hashlib.sha256(text.encode()).hexdigest() for text in scripts[:3]] == named
    assert len(named) == 3
    config = (ROOT / ".dvc/config").read_text(encoding="utf-8")
    assert "html_template = plots/page.html" in config
    own = re.sub(r"<script>.*?</script>", "", PAGE, flags=re.DOTALL)
    assert not re.search(r"<script|<link|<img|@import|url\(|://", own)


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_curves(metrics: Path, shift: float) -> None:
    """Two points of each ROC curve, three epochs, two kinds of perturbation."""
    ends = ((0, 0), (0.2, 0.6 + shift), (1, 1))
    write(
        metrics / "roc.csv",
        [{"generator": name, "fpr": x, "tpr": y} for name in GENERATORS for x, y in ends],
    )
    for name in ("pretext", "shuffled"):
        epochs = [
            {"epoch": epoch, **dict.fromkeys((*LOSSES, *MEASURES), 0.5 + shift / epoch)}
            for epoch in (1, 2, 3)
        ]
        write(metrics / f"{name}_history.csv", epochs)
    steps = [{"kind": kind, "strength": s, **dict.fromkeys(RATES, shift)} for kind, s in STEPS]
    write(metrics / "robustness.csv", steps)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
@pytest.mark.skipif(BROWSER is None, reason="no chromium installed")
def test_every_curve_of_both_revisions_is_drawn_without_a_network(tmp_path):
    folder = tmp_path / "repository"
    new_repository(folder, "main")
    for name in ("dvc.yaml", "data/dvc.yaml", "params.yaml", ".dvc/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    write_curves(folder / "metrics", 0.1)
    commit(folder, "first")
    write_curves(folder / "metrics", 0.2)
    curves = [f"metrics/{path.name}" for path in sorted((folder / "metrics").iterdir())]
    dvc(folder, "plots", "diff", "HEAD", "--targets", *curves, "-o", str(tmp_path / "out"))

    assert BROWSER
    page = tmp_path / "out/index.html"
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    drawn: Counter[str] = Counter()
    for part in re.split(r'<div id="metrics_', shown)[1:]:
        drawn[part.split("_csv", 1)[0]] += part.count('aria-roledescription="line mark"')
    chance = len(GENERATORS)
    assert drawn == {
        "pretext_history": 2 * len(LOSSES + MEASURES),
        "shuffled_history": 2 * len(LOSSES + MEASURES),
        "roc": 2 * len(GENERATORS) + chance,
        "robustness": 2 * len(RATES) * len({kind for kind, _ in STEPS}),
    }
    assert all(name in shown for name in (*GENERATORS, "jpeg", "blur", "false alarm rate"))
