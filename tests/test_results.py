"""Reading results back: what must be there, and what must agree."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.report import results
from pipeline.stages.report import _options
from tests.fake_results import build


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        artifacts.write_json(tmp_path / "generators" / f"{name}.json", {"auc": 0.5})
    return tmp_path / "generators"


def test_files_come_in_the_order_of_the_parameters(folder):
    (folder / ".gitignore").write_text("")
    assert list(results.per_set((folder, ".json", ["b", "a"]))[0]) == ["b", "a"]


def test_missing_results_are_named_with_the_remedy_and_others_left_aside(folder):
    with pytest.raises(PipelineError) as error:
        results.per_set((folder, ".json", ["a", "c"]), (folder.parent / "roc", ".csv", ["a"]))
    assert f"missing: {folder}/c.json, {folder.parent}/roc/a.csv. Make them: dvc repro" in str(
        error.value
    )
    assert results.per_set((folder, ".json", ["a"])) == [{"a": folder / "a.json"}]


def test_a_folder_that_is_absent_lacks_everything(tmp_path):
    with pytest.raises(PipelineError, match=r"missing: .*roc/a\.csv"):
        results.per_set((tmp_path / "roc", ".csv", ["a"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected rows with the columns fpr"),
        ("fpr\n", "expected rows"),
        ("tpr\n1\n", "expected rows"),
        ("fpr,tpr\n0,x\n", "not all cells"),
        ("fpr,tpr\n0\n", None),
    ],
)
def test_broken_curves_are_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    if message:
        with pytest.raises(PipelineError, match=rf"a\.csv: {message}"):
            results._numbers(path, "fpr")
    else:  # a short line: the cell is empty
        assert np.isnan(results._numbers(path, "fpr")["tpr"][0])


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"a\.csv: no such file"):
        results._numbers(tmp_path / "a.csv")


GENERATORS, PERTURBATIONS = ["sim_b", "sim_a"], ["jpeg_75", "blur_1"]


@pytest.fixture
def built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = _options(
        build(tmp_path, {"sim_b": 30, "sim_a": 5}, faces=60, perturbations=PERTURBATIONS)
    )
    return results.Sources(
        **{field.name: getattr(options, field.name) for field in fields(results.Sources)}
    )


def test_everything_comes_in_the_order_of_the_parameters(built):
    found = results.read(built, GENERATORS, PERTURBATIONS)
    assert (
        found.generators
        == found.simulated
        == list(found.roc)
        == list(found.explanations)
        == GENERATORS
    )
    assert list(found.robustness) == PERTURBATIONS and found.headline == "at_5_percent"
    assert list(found.rates) == ["at_1_percent", "at_5_percent"]
    assert [len(found.projection[name]["x"]) for name in ("photographic_test", *GENERATORS)] == [
        60,
        60,
        60,
    ]


def test_mixtures_that_could_not_be_fitted_have_no_numbers(built):
    rows = results.read(built, GENERATORS, PERTURBATIONS).mixtures
    last = rows[19]
    assert (last["components"], last["covariance_type"], last["pca_components"]) == (8, "full", 64)
    assert last["bic"] is None and last["held_out_log_likelihood"] is None and len(rows) == 24
    built.selection_table.write_text(
        "components,covariance_type,pca_components,bic,held_out_log_likelihood\n"
    )
    assert results.read(built, GENERATORS, PERTURBATIONS).mixtures == []


def test_results_that_are_not_asked_for_are_left_aside_and_named(built):
    with pytest.raises(
        PipelineError, match=r"robustness\.json: lacks noise_2 of `perturbations`: run `dvc repro`"
    ):
        results.read(built, GENERATORS, ["jpeg_75", "noise_2"])
    assert results.left_aside(built, GENERATORS, PERTURBATIONS) == ""
    (built.roc / "sdxl.csv").touch()
    (built.features / ".gitignore").touch()
    assert list(results.read(built, GENERATORS, ["jpeg_75"]).robustness) == ["jpeg_75"]
    artifacts.write_json(built.perturbed / "blur_0.5.json", {})
    assert "does not have them: blur_0.5, sdxl. To" in results.left_aside(
        built, GENERATORS, PERTURBATIONS
    )
    assert "does not have them: sdxl, sim_a. To" in results.left_aside(
        built, ["sim_b"], ["blur_0.5"]
    )
    assert results.read(built, GENERATORS, []).robustness == {}


@pytest.mark.parametrize(
    "name", ["metrics/evaluation.json", "metrics/robustness.json", "data/explanations/faces.json"]
)
def test_results_of_other_generators_within_a_file_are_refused(built, name):
    content = artifacts.read_json(name)
    part = content["blur_1"]["generators"] if "robustness" in name else content
    part["old"] = part.pop("sim_a")
    artifacts.write_json(name, content)
    with pytest.raises(
        PipelineError,
        match=rf"{name}: is about old, sim_b, but `generators` in params.yaml says sim_a, sim_b",
    ):
        results.read(built, GENERATORS, PERTURBATIONS)


def test_an_absent_sheet_of_explained_faces_is_named(built):
    Path("data/explanations/sim_a.png").unlink()
    with pytest.raises(
        PipelineError, match=r"explanations/sim_a\.png: no such file; run `dvc repro`"
    ):
        results.read(built, GENERATORS, PERTURBATIONS)
