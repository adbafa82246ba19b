"""The graph that dvc.yaml makes of every profile."""

import shutil

import pytest

from pipeline.base import params
from tests.closure import ROOT
from tests.test_graph import stages


@pytest.mark.parametrize(
    "profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_graph_resolves_with_every_profile(tmp_path, profile):
    from dvc.repo import Repo

    Repo.init(str(tmp_path), no_scm=True).close()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(profile, tmp_path / "params.yaml")
    theirs, ours = (
        params.load("generators", "perturbations", path=path)
        for path in (profile, ROOT / "params.yaml")
    )
    names = {stage.name for stage in stages(tmp_path)}
    assert {
        f"{verb}@{g}" for verb in ("extract_features", "evaluate") for g in theirs.generators
    } <= names
    assert {f"extract_perturbed@{perturbation}" for perturbation in theirs.perturbations} <= names
    more = (
        2 * (len(theirs.generators) - len(ours.generators))
        + len(theirs.perturbations)
        - len(ours.perturbations)
    )
    assert len(names) == len(stages()) + more
