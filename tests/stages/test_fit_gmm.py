"""The stage end to end on small feature files."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.density.density import Density
from pipeline.stages import fit_gmm
from tests.closure import ROOT
from tests.small_features import write_set

PARAMS = """
seed: 3
gmm: {components: 2, covariance_type: full, standardise: true, pca_components: %d,
      regularisation: 1e-6, maximum_iterations: 100, tolerance: 1e-3, starts: 1, device: %s,
      shrinkage: none, residual: false, input: features}
calibration: {false_alarm_rates: [0.05], review_rate: 0.05, flag_rate: 0.05, sides: upper,
              histories: [none]}
"""


def stage(gmm="gmm.npz"):
    fit_gmm.main(f"--fit fit.npz --unseen unseen.npz --gmm {gmm} --metrics gmm.json".split())


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(n=300, pca=4, device="auto"):
        (tmp_path / "params.yaml").write_text(PARAMS % (pca, device))
        for name, size, seed in (("fit", n, 1), ("unseen", 200, 2)):
            x = np.random.default_rng(seed).normal(size=(size, 12))
            write_set(tmp_path / f"{name}.npz", x)
        stage()
        return json.loads((tmp_path / "gmm.json").read_text())

    return run


def test_writes_a_mixture_that_reproduces_its_figures(run, capsys):
    content = run()
    assert content["warnings"] == []
    content = content["mixtures"]["features"]
    mixture = Density.from_arrays(artifacts.read_npz("gmm.npz")).mixtures["features"]
    unseen = mixture.log_likelihood(artifacts.read_npz("unseen.npz")["features"])
    assert content["log_likelihood_unseen"] == pytest.approx(unseen.mean())
    assert (content["components"], content["dimensions"], content["features"]) == (2, 4, 12)
    assert (content["faces"], content["unseen_faces"]) == (300, 200)
    assert content["n_over_k_d"] == 300 / 8
    assert content["converged"] and content["covariance_type"] == "full"
    assert "log_likelihood_unseen" in capsys.readouterr().out


def test_features_and_heads_have_figures_each_and_one_density(run, tmp_path, capsys):
    run()
    text = (tmp_path / "params.yaml").read_text()
    for old, new in {"input: features": "input: both", "sides: upper": "sides: both"}.items():
        text = text.replace(old, new)
    (tmp_path / "params.yaml").write_text(text)
    stage()
    content = json.loads((tmp_path / "gmm.json").read_text())
    density = Density.from_arrays(artifacts.read_npz("gmm.npz"))
    assert density.sides == "both" and list(density.laws) == ["features", "heads"]
    for name, dimensions in {"features": 4, "heads": 5}.items():
        unseen = density.mixtures[name].log_likelihood(artifacts.read_npz("unseen.npz")[name])
        figures = content["mixtures"][name]
        assert figures["log_likelihood_unseen"] == pytest.approx(unseen.mean())
        assert figures["dimensions"] == dimensions
    assert "photographic faces, heads" in capsys.readouterr().out


def test_a_small_mixture_has_the_same_bytes_again_and_does_not_load_torch(run, tmp_path):
    run(device="cpu")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pipeline.stages import fit_gmm
fit_gmm.main("--fit fit.npz --unseen unseen.npz --gmm auto.npz --metrics gmm.json".split())
assert "sklearn.mixture" in sys.modules and "torch" not in sys.modules
"""
    (tmp_path / "params.yaml").write_text(PARAMS % (4, "auto"))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "gmm.npz").read_bytes() == (tmp_path / "auto.npz").read_bytes()


def test_a_mixture_that_memorises_is_warned_of_in_the_file_and_on_screen(run, capsys):
    content = run(n=24, pca=10)
    assert any("collapses" in warning for warning in content["warnings"])
    assert content["mixtures"]["features"]["paper_protocol_false_alarm_rate_unseen"] > 0.3
    assert "warning: the likelihood of unseen photographs collapses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"device": "cuda"}, r"gmm\.device: cuda"), ({"n": 10, "pca": 11}, r"gmm\.pca_components")],
)
def test_what_cannot_be_fitted_writes_nothing(run, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PipelineError, match=message):
        run(**changes)
    assert not (tmp_path / "gmm.npz").exists() and not (tmp_path / "gmm.json").exists()
