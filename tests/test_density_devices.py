"""EM on PyTorch's tensors against EM on NumPy's arrays, the oracle; where EM runs; what a GPU's
errors say.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import sklearn
import torch
from sklearn.mixture import GaussianMixture, _gaussian_mixture
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.base.errors import PipelineError
from pipeline.density import fitting as density
from pipeline.density.mixture import COVARIANCE_TYPES

SETTINGS = {
    "n_components": 3,
    "covariance_type": "full",
    "reg_covar": 1e-6,
    "max_iter": 200,
    "tol": 1e-6,
    "n_init": 1,
}
CPU = torch.device("cpu")


def faces(n=600, d=8, seed=0):
    """Three overlapping clusters of correlated features."""
    draw = np.random.default_rng(seed)
    return (
        draw.normal(size=(n, d)) @ draw.normal(size=(d, d))
        + 2 * draw.normal(size=(3, d))[np.arange(n) % 3]
    )


def em(x, device, **changes):
    return density._expectation_maximisation(x, device, seed=5, **{**SETTINGS, **changes})


def close(one, two):
    """The issue's bound: 1e-6 of an array's largest value."""
    for a, b in zip(one, two, strict=True):
        assert a.dtype == b.dtype == np.float64 and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max())


def fit(x, **changes):
    settings = {
        "components": 3,
        "covariance_type": "full",
        "standardise": True,
        "pca_components": 0,
        "regularisation": 1e-6,
    }
    settings |= {"maximum_iterations": 200, "tolerance": 1e-6, "starts": 1, "seed": 5}
    return density.fit(x, **{**settings, **changes})


# --- the same numbers


@pytest.mark.parametrize("starts", [1, 4])
@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_arrays_are_to_the_last_bit_those_of_scikit_learns_k_means_plus_plus(kind, starts):
    x = faces()
    arrays, converged, iterations = em(x, None, covariance_type=kind, n_init=starts)
    settings = {**SETTINGS, "covariance_type": kind, "n_init": starts}
    oracle = GaussianMixture(**settings, init_params="k-means++", random_state=5).fit(x)
    expected = oracle.weights_, oracle.means_, oracle.precisions_cholesky_
    assert all(np.array_equal(a, b) for a, b in zip(arrays, expected, strict=True))
    assert (converged, iterations) == (oracle.converged_, oracle.n_iter_)


@pytest.mark.parametrize("starts", [1, 4])
@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_tensors_give_what_numpy_gives(kind, starts):
    x = faces()
    (one, *how), (two, *oracle) = (
        em(x, device, covariance_type=kind, n_init=starts) for device in (CPU, None)
    )
    close(one, two)
    assert how == oracle and how[0]


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_a_whole_fit_on_tensors_scores_alike(kind, monkeypatch):
    x, new = faces().astype(np.float32), faces(100, seed=1)
    oracle = fit(x, covariance_type=kind, pca_components=5)
    monkeypatch.setattr(density, "_chosen_device", lambda *_, **__: CPU)
    result = fit(x, covariance_type=kind, pca_components=5)
    np.testing.assert_allclose(
        result.mixture.anomaly_score(new), oracle.mixture.anomaly_score(new), rtol=1e-6
    )
    assert (result.converged, result.iterations) == (oracle.converged, oracle.iterations)
    assert all(type(array) is np.ndarray for array in result.mixture.to_arrays().values())


def test_tensors_give_the_same_bytes_twice():
    one, two = (em(faces(), CPU)[0] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_several_starts_find_at_least_as_likely_a_mixture():
    x = faces(seed=3)
    likelihoods = [
        fit(x, covariance_type="spherical", components=6, starts=n).mixture.log_likelihood(x).mean()
        for n in (1, 8)
    ]
    assert likelihoods[1] > likelihoods[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_a_gpu_gives_what_numpy_gives(kind):
    x = faces(2000, 64)
    arrays = [
        fit(x, covariance_type=kind, starts=2, device=device).mixture.to_arrays()
        for device in ("cuda", "cpu")
    ]
    close(*([one[name] for name in ("weights", "means", "precisions_cholesky")] for one in arrays))


# --- few launches, and scikit-learn is left as it was


class Launches(TorchDispatchMode):
    """Counts the operations that PyTorch starts."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_launches_do_not_grow_with_dimensions(kind):
    counts = []
    for d in (4, 40):
        with Launches() as launches:
            em(faces(600, d), CPU, covariance_type=kind, max_iter=2, tol=0.0)
        counts.append(launches.count)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("wrong", [False, True])
def test_scikit_learn_is_left_as_it_was(wrong):
    before, config = dict(vars(_gaussian_mixture)), sklearn.get_config()
    with pytest.raises(PipelineError) if wrong else nullcontext():
        em(faces(), CPU, reg_covar=0.0 if wrong else 1e-6)
    assert vars(_gaussian_mixture) == before and sklearn.get_config() == config
    assert not torch.are_deterministic_algorithms_enabled()


def test_tensors_as_scikit_learn_alone_treats_them(monkeypatch):
    """The two quick replacements change no number beyond rounding."""
    quick = em(faces(), CPU)[0]
    x = torch.from_numpy(faces())
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        start = density._Starts(faces(), 5)
        model = GaussianMixture(**SETTINGS, init_params="random_from_data", random_state=start).fit(
            x
        )
    np.testing.assert_allclose(quick[2], model.precisions_cholesky_.numpy(), rtol=1e-9, atol=1e-9)


# --- where EM runs


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)


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
@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_taken_where_it_is_asked_for_or_worth_while(name, shape, kind, cuda):
    device = density._chosen_device(name, *shape, components=12, covariance_type=kind)
    assert getattr(device, "type", None) == ("cuda" if cuda else None)


def test_without_a_gpu_auto_is_numpy_and_cuda_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (
        density._chosen_device("auto", 25_000, 768, components=12, covariance_type="full") is None
    )
    with pytest.raises(PipelineError, match=r"gmm\.device: cuda, but .* set it to auto or cpu"):
        fit(faces(), device="cuda")


# --- errors


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_faces_without_spread_are_ill_conditioned_on_tensors_too(kind):
    with pytest.raises(
        PipelineError,
        match=f"a {kind} covariance is ill-conditioned at gmm.regularisation 0: raise it",
    ):
        em(np.zeros((20, 3)), CPU, covariance_type=kind, reg_covar=0.0)


def test_a_full_gpu_says_what_to_change(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GaussianMixture, "fit", full)
    with pytest.raises(
        PipelineError, match=r"gmm\.device: no memory for 600 faces on cpu; set it to cpu"
    ):
        em(faces(), CPU)


@pytest.mark.parametrize("device", [None, CPU])
def test_other_errors_are_not_dressed_up(device):
    with pytest.raises(ValueError, match="n_components"):
        em(faces(), device, n_components=0)
