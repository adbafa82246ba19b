"""EM on PyTorch's tensors against EM on NumPy's arrays, the oracle; where EM runs; what a GPU's
errors say.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import sklearn
import torch
from sklearn.mixture import GaussianMixture

from pipeline.base.errors import PipelineError
from pipeline.density.expectation_maximisation import chosen_device, maximise
from pipeline.density.mixture import COVARIANCE_TYPES
from tests.small_features import clusters, fit

SETTINGS = {
    "n_components": 3,
    "covariance_type": "full",
    "reg_covar": 1e-6,
    "max_iter": 200,
    "tol": 1e-6,
    "n_init": 1,
}
CPU = torch.device("cpu")


def faces(n=600, d=8):
    """Three overlapping clusters of correlated features."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, d)) @ draw.normal(size=(d, d))
    return x + 2 * draw.normal(size=(3, d))[np.arange(n) % 3]


def em(x, device, **changes):
    return maximise(x, device, seed=5, **{**SETTINGS, **changes})


def close(some, others):
    """To 1e-6 of an array's largest value."""
    for a, b in zip(some, others, strict=True):
        assert a.dtype == b.dtype == np.float64 and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max())


# --- the same numbers


@pytest.mark.parametrize("starts", [1, 4])
@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_numpy_gives_the_bits_of_scikit_learns_k_means_plus_plus_and_tensors_the_same(kind, starts):
    x = faces()
    arrays, *how = em(x, None, covariance_type=kind, n_init=starts)
    settings = {**SETTINGS, "covariance_type": kind, "n_init": starts}
    oracle = GaussianMixture(**settings, init_params="k-means++", random_state=5).fit(x)
    expected = oracle.weights_, oracle.means_, oracle.precisions_cholesky_
    assert all(np.array_equal(a, b) for a, b in zip(arrays, expected, strict=True))
    assert how == [oracle.converged_, oracle.n_iter_] and how[0]
    on_tensors, *as_well = em(x, CPU, covariance_type=kind, n_init=starts)
    close(on_tensors, arrays)
    assert as_well == how


# --- scikit-learn is left as it was


@pytest.mark.parametrize("wrong", [False, True])
def test_scikit_learn_is_left_as_it_was(wrong):
    config = sklearn.get_config()
    with pytest.raises(PipelineError) if wrong else nullcontext():
        em(faces(), CPU, reg_covar=0.0 if wrong else 1e-6)
    assert sklearn.get_config() == config
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_no_tensor_is_made_an_array_on_the_way_as_none_of_a_gpu_can_be(kind, monkeypatch):
    real = GaussianMixture.fit

    def fit_without_arrays(model, data):
        with monkeypatch.context() as patch:
            for name in ("__array__", "numpy"):
                patch.setattr(torch.Tensor, name, lambda *_, **__: pytest.fail("an array"))
            return real(model, data)

    monkeypatch.setattr(GaussianMixture, "fit", fit_without_arrays)
    assert em(faces(), CPU, covariance_type=kind, n_init=2).converged


# --- where EM runs


@pytest.mark.parametrize(
    ("name", "shape", "kind", "cuda"),
    [
        ("cpu", (25_000, 768), "full", False),
        ("auto", (25_000, 768), "full", True),
        ("auto", (25_000, 768), "tied", True),
        ("auto", (25_000, 768), "diag", False),
        ("auto", (500, 6), "full", False),
        ("cuda", (500, 6), "full", True),
    ],
)
def test_a_gpu_is_taken_where_it_is_asked_for_or_worth_while(name, shape, kind, cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    device = chosen_device(name, *shape, components=12, covariance_type=kind)
    assert getattr(device, "type", None) == ("cuda" if cuda else None)


def test_without_a_gpu_auto_is_numpy_and_cuda_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto", 25_000, 768, components=12, covariance_type="full") is None
    with pytest.raises(PipelineError, match=r"gmm\.device: cuda, but .* set it to auto or cpu"):
        fit(clusters(), device="cuda")


# --- errors


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_faces_without_spread_are_ill_conditioned_on_tensors_too(kind):
    message = f"a {kind} covariance is ill-conditioned at gmm.regularisation 0: raise it"
    with pytest.raises(PipelineError, match=message):
        em(np.zeros((20, 3)), CPU, covariance_type=kind, reg_covar=0.0)


def test_a_full_gpu_says_what_to_change(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GaussianMixture, "fit", full)
    with pytest.raises(PipelineError, match=r"gmm\.device: no memory for 600 faces on cpu"):
        em(faces(), CPU)
