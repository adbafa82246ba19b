"""The stage end to end on small feature files."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.density.mixture import Mixture
from pipeline.stages import fit_gmm
from tests.closure import ROOT

PARAMS = """
seed: 3
gmm: {components: 2, covariance_type: full, standardise: true, pca_components: %d, regularisation: 1e-6,
      maximum_iterations: 100, tolerance: 1e-3, starts: 1, device: %s}
"""


def write_faces(path, n, seed, d=12):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    artifacts.write_npz(
        path, names=np.array([f"data/{path.stem}/{i:04d}.png" for i in range(n)]), features=x
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(n=300, pca=4, gmm="gmm.npz", device="auto"):
        (tmp_path / "params.yaml").write_text(PARAMS % (pca, device))
        write_faces(tmp_path / "fit.npz", n, seed=1)
        write_faces(tmp_path / "held_out.npz", 200, seed=2)
        fit_gmm.main(
            [
                "--fit",
                "fit.npz",
                "--held-out",
                "held_out.npz",
                "--gmm",
                gmm,
                "--metrics",
                "gmm.json",
            ]
        )
        return json.loads((tmp_path / "gmm.json").read_text())

    return run


def test_writes_a_mixture_that_reproduces_its_metrics(run, capsys):
    metrics = run()
    mixture = Mixture.from_arrays(artifacts.read_npz("gmm.npz"))
    held_out = mixture.log_likelihood(artifacts.read_npz("held_out.npz")["features"])
    assert metrics["log_likelihood_held_out"] == pytest.approx(held_out.mean())
    assert (metrics["components"], metrics["dimensions"], metrics["features"]) == (2, 4, 12)
    assert (metrics["faces"], metrics["held_out_faces"], metrics["n_over_k_d"]) == (
        300,
        200,
        300 / 8,
    )
    assert (
        metrics["converged"] and metrics["warnings"] == [] and metrics["covariance_type"] == "full"
    )
    assert "log_likelihood_held_out" in capsys.readouterr().out


def test_same_bytes_twice(run, tmp_path):
    run()
    run(gmm="again.npz")
    assert (tmp_path / "gmm.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_small_mixture_is_fitted_on_the_cpu_without_loading_torch(run, tmp_path):
    run(device="cpu")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pipeline.stages import fit_gmm
fit_gmm.main("--fit fit.npz --held-out held_out.npz --gmm auto.npz --metrics gmm.json".split())
assert "sklearn.mixture" in sys.modules and "torch" not in sys.modules
"""
    (tmp_path / "params.yaml").write_text(PARAMS % (4, "auto"))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "gmm.npz").read_bytes() == (tmp_path / "auto.npz").read_bytes()


def test_cuda_where_there_is_none_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"gmm\.device: cuda"):
        run(device="cuda")
    assert not (tmp_path / "gmm.npz").exists()


def test_a_mixture_that_memorises_is_warned_of_in_metrics_and_on_screen(run, capsys):
    metrics = run(n=24, pca=10)
    assert any("collapses" in warning for warning in metrics["warnings"])
    assert metrics["paper_protocol_false_alarm_rate_held_out"] > 0.3
    assert "warning: held-out likelihood collapses" in capsys.readouterr().out


def test_too_few_faces_write_nothing(run, tmp_path):
    with pytest.raises(PipelineError, match=r"gmm\.pca_components"):
        run(n=10, pca=11)
    assert not (tmp_path / "gmm.npz").exists() and not (tmp_path / "gmm.json").exists()


def test_nan_features_name_the_file(run, tmp_path):
    run()
    artifacts.write_npz("fit.npz", names=np.array(["a"]), features=np.array([[np.nan]]))
    with pytest.raises(PipelineError, match=r"fit\.npz: 1 of 1 faces have NaN"):
        fit_gmm.main(
            [
                "--fit",
                "fit.npz",
                "--held-out",
                "held_out.npz",
                "--gmm",
                "g.npz",
                "--metrics",
                "m.json",
            ]
        )
