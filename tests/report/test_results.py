"""Reading back what the stages wrote."""

import json

import pytest

from pipeline.base.errors import PipelineError
from pipeline.report.results import read
from tests.report import world


@pytest.fixture
def folder(tmp_path):
    world.write(tmp_path)
    return tmp_path


def again(folder, generators=world.GENERATORS, perturbations=world.PERTURBATIONS):
    return read(folder / "data", folder / "metrics", generators, perturbations)


def test_everything_comes_in_the_order_of_the_parameters(folder):
    results = again(folder, world.GENERATORS[::-1], world.PERTURBATIONS[::-1])
    for mapping in (results.generators, results.explained, results.faces, results.explanations):
        assert list(mapping) == world.GENERATORS[::-1]
    assert list(results.robustness) == ["blur_1", "jpeg_75"]
    assert [rate["chosen"] for rate in results.rates.values()] == [0.05, 0.1]
    assert results.headline == world.REVIEW and results.simulated == world.GENERATORS[::-1]


def test_results_of_another_list_do_not_stand_in(folder):
    with pytest.raises(PipelineError, match=r"generators\.json: no entry for sdxl of `generators`"):
        again(folder, ["sim_latent", "sdxl"])
    with pytest.raises(PipelineError, match=r"robustness\.json: no entry for jpeg_9 of `perturb"):
        again(folder, perturbations=["jpeg_9"])


@pytest.mark.parametrize(
    "path", ["data/gmm.json", "metrics/roc.csv", "data/explanations/sim_latent.png"]
)
def test_an_absent_file_is_named(folder, path):
    (folder / path).unlink()
    with pytest.raises((PipelineError, FileNotFoundError), match=path):
        again(folder)


def test_a_broken_table_is_named_with_the_remedy(folder):
    (folder / "metrics/roc.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(PipelineError, match=r"roc\.csv: .*; remove it and run `dvc repro`"):
        again(folder)


def test_the_sample_is_shown_of_simulated_generators_alone(folder):
    assert again(folder).sample is not None
    for path in ("data/evaluation/generators.json", "data/explanations/faces.json"):
        content = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps({"sdxl": content["sim_latent"]}))
    for part in ("evaluation/faces", "explanations"):
        (folder / f"data/{part}/sim_latent.png").rename(folder / f"data/{part}/sdxl.png")
    results = again(folder, ["sdxl"])
    assert results.sample is None and results.simulated == []
    (folder / "metrics/sample.png").unlink()
    assert again(folder, ["sdxl"]).sample is None
