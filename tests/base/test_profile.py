"""Profiles: they hold differences only, and applying one keeps all else of params.yaml."""

import difflib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import params, profile
from pipeline.base.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
EVERY_PROFILE = pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)


def leaves(tree: Any, path: tuple = ()) -> dict[tuple, Any]:
    """Every parameter with its value; a list is one parameter."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {k: v for name, part in tree.items() for k, v in leaves(part, (*path, name)).items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@EVERY_PROFILE
def test_a_profile_holds_differences_only_and_gives_valid_parameters(folder, path, capsys):
    before, changes = leaves(params.read_yaml("params.yaml")), leaves(params.read_yaml(path))
    assert [key for key, value in changes.items() if before[key] == value] == []
    profile.main([path.stem])
    assert leaves(params.read_yaml("params.yaml")) == before | changes
    params.load_all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [".".join(key) for key in changes]


@EVERY_PROFILE
def test_comments_order_and_all_other_lines_stay(folder, path):
    def comments(text: str) -> list[str]:
        return re.findall(r"#.*", text)

    before = Path("params.yaml").read_text()
    profile.main([path.stem])
    after = Path("params.yaml").read_text()
    assert comments(after) == comments(before)
    differing = [s for s in difflib.ndiff(before.splitlines(), after.splitlines()) if s[0] in "+-"]
    names = {key[-1] for key in leaves(params.read_yaml(path))}
    assert all(
        re.match(r"[-+]\s+(- \S+$|(\w+):)", line)
        and (": " not in line or line.split()[1][:-1] in names)
        for line in differing
    ), differing
    assert "0.00001" not in after and "1e-05" not in after


def test_each_change_is_a_line_and_a_second_time_there_is_none(folder, capsys):
    Path("profiles/mine.yaml").write_text("gmm: {tolerance: 1e-4}\ngenerators: [a, b]\n")
    profile.main(["mine"])
    assert capsys.readouterr().out.splitlines() == [
        "gmm.tolerance: 0.001 -> 0.0001",
        'generators: ["sim_upsampling", "sim_vector_quantised", "sim_latent", "sim_denoised", "'
        'sim_a… -> ["a", "b"]',
    ]
    text = Path("params.yaml").read_text()
    assert "tolerance: 1e-4           # EM stops" in text
    assert "generators:\n  - a\n  - b\n\n# kind_strength" in text
    profile.main(["mine"])
    assert capsys.readouterr().out == "params.yaml has these values already\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gmm: {componets: 1}", r"profiles/mine\.yaml: gmm\.componets: unknown key"),
        ("gnm: {components: 1}", r"profiles/mine\.yaml: gnm: unknown key"),
        (
            "gmm: {components: 0}",
            r"params\.yaml with profiles/mine\.yaml: .*\n  gmm\.components = 0",
        ),
        ("gmm: 3", r"gmm = 3"),
        ("seed: {a: 1}", r"seed = \{'a': 1\}"),
        ("- seed", r"profiles/mine\.yaml: expected a mapping"),
    ],
)
def test_a_wrong_profile_is_named_and_nothing_is_written(folder, content, message):
    Path("profiles/mine.yaml").write_text(content)
    before = Path("params.yaml").read_bytes()
    with pytest.raises(PipelineError, match=message):
        profile.main(["mine"])
    assert Path("params.yaml").read_bytes() == before


def test_an_unknown_profile_is_answered_with_the_known_ones(folder):
    with pytest.raises(
        PipelineError, match="no profile 'papers'; there are ci, paper, photos, small"
    ):
        profile.main(["papers"])


def test_the_paper_profile_is_the_papers_recipe(folder):
    profile.main(["paper"])
    p = params.load_all()
    assert (p.pretext.architecture, p.pretext.feature_dim, p.pretext.input_size) == (
        "resnet50",
        768,
        224,
    )
    assert (p.pretext.batch_size, p.pretext.epochs, p.pretext.schedule_epochs) == (256, 100, 10)
    assert (p.pretext.learning_rate, p.pretext.minimum_learning_rate) == (1e-5, 1e-7)
    assert (p.pretext.betas, p.pretext.epsilon, p.pretext.weight_decay) == ((0.9, 0.98), 1e-6, 1e-4)
    assert (p.pretext.optimiser, p.pretext.schedule, p.pretext.dropout) == ("adam", "cosine", 0)
    assert p.pretext.augmentation.model_dump() == {"flip": False, "crop": 1, "histories": 0}
    assert set(p.pretext.loss_weights.values()) == {1}
    assert (p.gmm.components, p.gmm.standardise, p.gmm.pca_components) == (12, False, 0)
    assert len(p.generators) == 9 and p.calibration.review_rate == 0.05
