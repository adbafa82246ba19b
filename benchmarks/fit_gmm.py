"""Fitting the mixture, EM iterations per second: `python -m benchmarks fit_gmm`.

At the paper's size, on a GPU: `python -m benchmarks.gpu`.

- ours: `fitting.fit`, whole;
- baseline: scikit-learn's GaussianMixture on NumPy's float64 arrays, with all cores, from the same
k-means++ start;
- ceiling: square float64 matrix products of as many operations, on the same device.

A fit ends with one more E-step, so m iterations count as m + 1/2. An iteration of k full
covariances in d dimensions over n faces is 4 n d d k operations."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import harness
from pipeline.density import fitting


@dataclass(frozen=True)
class Problem:
    """A mixture of standard normal faces, fitted for a fixed number of iterations."""

    faces: int
    dimensions: int
    components: int
    iterations: int

    @property
    def operations(self) -> float:
        """Multiplications and additions of one EM iteration."""
        return 4.0 * self.faces * self.dimensions**2 * self.components

    def __str__(self) -> str:
        return f"{self.faces:,} x {self.dimensions}, {self.components} full covariances"


# The paper's dimensions, with so few faces and components that two cores finish in a minute.
SMALL = Problem(6_000, 768, 4, 2)
QUICK = Problem(300, 16, 2, 2)
PAPER = Problem(25_000, 768, 12, 1)  # seconds an iteration on a CPU
# As many iterations as a fit takes, so that its start on the CPU counts as it does there.
PAPER_ON_GPU = Problem(25_000, 768, 12, 100)


def measure(quick: bool = False) -> list[harness.Row]:
    """The row of the CPU; `quick` takes tiny sizes."""
    return [_on_cpu(QUICK if quick else SMALL, rounds=1 if quick else 3)]


def _on_cpu(problem: Problem, rounds: int) -> harness.Row:
    x = _features(problem)
    ours = _way(problem, lambda: _ours(x, problem, "cpu"))
    ours()
    memory = harness.peak_memory_mb()
    ways = {
        "ours": ours,
        "baseline": _way(problem, lambda: _baseline(x, problem)),
        "ceiling": lambda: _numpy_product(problem),
    }
    return harness.row(
        "fit_gmm",
        "EM iterations/s",
        **harness.interleaved(ways, rounds),
        peak_memory_mb=memory,
        note=str(problem),
    )


def on_gpu() -> harness.Row:
    """The paper's size on a GPU, beside scikit-learn on the CPU."""
    import torch

    x = _features(PAPER)
    ways = {
        "ours": _way(PAPER_ON_GPU, lambda: _ours(x, PAPER_ON_GPU, "cuda")),
        "baseline": _way(PAPER, lambda: _baseline(x, PAPER)),
        "ceiling": lambda: _cuda_product(torch, PAPER),
    }
    rates = harness.interleaved(ways, rounds=3)
    memory = torch.cuda.max_memory_allocated() / 1e6
    note = (
        f"{PAPER} on {torch.cuda.get_device_name()}, the baseline on the CPU; memory is the GPU's"
    )
    return harness.row("fit_gmm_cuda", "EM iterations/s", **rates, peak_memory_mb=memory, note=note)


def _features(problem: Problem) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(problem.faces, problem.dimensions))


def _way(problem: Problem, fit: Callable[[], None]) -> Callable[[], float]:
    """Iterations per second of a fit that ends on the CPU."""

    def once() -> float:
        start = time.perf_counter()
        fit()
        return (problem.iterations + 0.5) / (time.perf_counter() - start)

    return once


def _ours(x: np.ndarray, problem: Problem, device: str) -> None:
    fitted = fitting.fit(
        x,
        components=problem.components,
        covariance_type="full",
        standardise=False,
        pca_components=0,
        regularisation=1e-6,
        maximum_iterations=problem.iterations,
        tolerance=0.0,
        starts=1,
        seed=0,
        device=device,
    )
    assert fitted.iterations == problem.iterations


def _baseline(x: np.ndarray, problem: Problem) -> None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        GaussianMixture(
            problem.components,
            init_params="k-means++",
            max_iter=problem.iterations,
            tol=0.0,
            random_state=0,
        ).fit(x)


def _numpy_product(problem: Problem, side: int = 2048) -> float:
    side = min(side, problem.faces)
    square = np.random.default_rng(1).normal(size=(side, side))
    start = time.perf_counter()
    for _ in range(4):
        square @ square
    return 4 * 2 * side**3 / (time.perf_counter() - start) / problem.operations


def _cuda_product(torch: Any, problem: Problem, side: int = 8192) -> float:
    square = torch.randn(side, side, dtype=torch.float64, device="cuda")
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(4):
        square @ square
    torch.cuda.synchronize()
    return float(4 * 2 * side**3 / (time.perf_counter() - start) / problem.operations)
