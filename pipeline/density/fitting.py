"""Fitting the density of photographic faces in feature space: scikit-learn's GaussianMixture, in
float64.

The result is a `pipeline.density.mixture.Mixture` of plain arrays; scikit-learn is imported for the
fit only. On a GPU the same EM runs from the same start through scikit-learn's array API dispatch on
PyTorch's tensors, which are imported only there."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.checks import check_features
from pipeline.density.mixture import Mixture

# The authors flag a face whose likelihood is below the 5th percentile of the faces that the mixture
# was fitted on.
PAPER_FALSE_ALARM_RATE = 0.05

# Features are stored in float32 (relative spacing 1.2e-7): spread below this share of the mean is
# rounding, not signal.
_ROUNDING = 1e-6

# Up to this many numbers one thread is as fast, and the bytes of the mixture do not depend on the
# number of cores.
_ONE_THREAD = 4_000_000

# Operations of one EM iteration (0.1 s on two cores) from which starting CUDA, some seconds, is
# soon won back.
_WORTH_A_GPU = 1e10


@dataclass(frozen=True)
class Fit:
    """A mixture and how its fitting went; `warnings` are sentences for the metrics."""

    mixture: Mixture
    faces: int
    converged: bool
    iterations: int
    warnings: tuple[str, ...]


def fit(
    features: np.ndarray,
    *,
    components: int,
    covariance_type: str,
    standardise: bool,
    pca_components: int,
    regularisation: float,
    maximum_iterations: int,
    tolerance: float,
    starts: int,
    seed: int,
    device: str = "cpu",
) -> Fit:
    """Fit a Gaussian mixture to features (n, D) by scikit-learn's EM from a k-means++ start, in
    float64.

    `pca_components` 0 means no PCA; `regularisation` is added to the diagonal of every covariance
    (squared units of the transformed features); `device` is cpu, cuda, or auto = cuda where there
    is one and the fit is large. Raises PipelineError where the faces cannot carry such a mixture or
    there is no such device, and says what to change."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1 if np.size(features) <= _ONE_THREAD else None):
        x, shift, scale, projection, notes = _prepare(
            features, standardise=standardise, pca_components=pca_components
        )
        _check_faces(*x.shape, components=components, covariance_type=covariance_type)
        arrays, converged, iterations = _expectation_maximisation(
            x,
            _chosen_device(
                device, *x.shape, components=components, covariance_type=covariance_type
            ),
            seed=seed % 2**32,
            n_components=components,
            covariance_type=covariance_type,
            reg_covar=regularisation,
            max_iter=maximum_iterations,
            tol=tolerance,
            n_init=starts,
        )
    if not converged:
        notes.append(
            f"not converged in {maximum_iterations} iterations: raise gmm.maximum_iterations or "
            f"gmm.tolerance ({tolerance:g})"
        )
    if covariance_type == "full" and x.shape[0] <= components * x.shape[1]:
        notes.append(
            f"{x.shape[0]} faces for {components} full covariances in {x.shape[1]} dimensions: the "
            "components rest on "
            "gmm.regularisation; lower gmm.pca_components or gmm.components, or use "
            "covariance_type tied or diag"
        )
    return Fit(
        Mixture(covariance_type, shift, scale, projection, *arrays),
        x.shape[0],
        converged,
        iterations,
        tuple(notes),
    )


def generalisation(
    fit_scores: np.ndarray, held_out_scores: np.ndarray
) -> tuple[dict[str, float], list[str]]:
    """How anomaly scores of unseen photographs (n,) compare with those of the fitted faces (m,):
    figures and warnings.

    The likelihood has *collapsed* where the mean held-out log-likelihood lies more than one
    standard deviation of the fitted faces' log-likelihoods below their mean: for normal scores the
    authors' threshold then flags Phi(-1.645 + 1) = 26 % of photographs instead of 5 %. Expected gap
    of an honest fit: (free parameters) / (faces), in nats (Akaike 1974)."""
    paper_threshold = np.quantile(fit_scores, 1 - PAPER_FALSE_ALARM_RATE)
    drop = float(held_out_scores.mean() - fit_scores.mean())
    spread = float(fit_scores.std())
    figures = {
        "log_likelihood_fit": float(-fit_scores.mean()),
        "log_likelihood_held_out": float(-held_out_scores.mean()),
        "log_likelihood_spread_fit": spread,
        "held_out_drop": drop,
        "paper_protocol_false_alarm_rate_held_out": float(
            (held_out_scores > paper_threshold).mean()
        ),
    }
    if drop <= spread:
        return figures, []
    return figures, [
        f"held-out likelihood collapses: {drop:.1f} nats below the fit, whose spread is "
        f"{spread:.1f}; the mixture has learnt "
        "its faces by heart: lower gmm.pca_components or gmm.components, raise gmm.regularisation, "
        "or give more faces"
    ]


def _prepare(
    features: np.ndarray, *, standardise: bool, pca_components: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Transformed features, shift, scale, projection, and warnings."""
    x = check_features(features, "features of the fit photographs")
    centre, spread = x.mean(axis=0), x.std(axis=0)
    constant = spread <= _ROUNDING * np.abs(centre)
    notes: list[str] = []
    if constant.all():
        raise PipelineError(
            f"all {x.shape[1]} features are the same for all {len(x)} fit faces: give at least 2 "
            "different faces; "
            "with more, the encoder has collapsed: train it anew with a lower pretext.learning_rate"
        )
    if constant.any() and not pca_components:
        raise PipelineError(
            f"{constant.sum()} of {x.shape[1]} features are the same for all {len(x)} fit faces "
            "(first: column "
            f"{np.flatnonzero(constant)[0]}), which has no density: set gmm.pca_components to at "
            f"most {(~constant).sum()}"
        )
    if constant.any():
        notes.append(
            f"{constant.sum()} of {x.shape[1]} features are the same for all fit faces and are "
            "left to PCA to drop"
        )
    shift = centre if standardise or pca_components else np.zeros_like(centre)
    scale = np.where(constant, 1.0, spread) if standardise else np.ones_like(spread)
    x = (x - shift) / scale
    projection = _principal_directions(x, pca_components)  # (d, D)
    return (x @ projection.T if pca_components else x), shift, scale, projection, notes


def _principal_directions(x: np.ndarray, count: int) -> np.ndarray:
    """The `count` leading principal directions (count, D) of centred x (n, D); the largest entry of
    each is positive.
    """
    if not count:
        return np.zeros((0, x.shape[1]))
    triangle = np.linalg.qr(
        x, mode="r"
    )  # has the directions of x, and spares the left vectors (n, D) of its decomposition
    _, singular, rows = np.linalg.svd(triangle, full_matrices=False)
    rank = int((singular > _ROUNDING * singular[0]).sum())
    if count > rank:
        raise PipelineError(
            f"gmm.pca_components: {count} directions asked for, but {x.shape[0]} faces with "
            f"{x.shape[1]} features span only "
            f"{rank}: set it to at most {rank} or give more faces"
        )
    rows = rows[:count]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows * np.sign(largest))


def _check_faces(n: int, d: int, *, components: int, covariance_type: str) -> None:
    if n < max(2, components):
        raise PipelineError(
            f"gmm.components: {components} components need as many faces and at least 2, got {n}: "
            "lower it"
        )
    if covariance_type in ("full", "tied") and n <= d:
        raise PipelineError(
            f"{n} faces cannot carry a {covariance_type} covariance in {d} dimensions: set "
            "gmm.pca_components to at most "
            f"{n // 2}, use gmm.covariance_type diag, or add faces"
        )


def _chosen_device(name: str, n: int, d: int, *, components: int, covariance_type: str) -> Any:
    """A CUDA device, or None for NumPy: then torch is not imported unless a GPU would have been
    worth while.
    """
    products = d if covariance_type in ("full", "tied") else 1
    if name == "cpu" or (name == "auto" and 4.0 * n * d * products * components < _WORTH_A_GPU):
        return None
    from pipeline.common.devices import select_device

    device = select_device(name, key="gmm.device")
    return device if device.type == "cuda" else None


class _Starts(np.random.RandomState):
    """Gives scikit-learn k-means++'s rows where it draws random ones: on tensors it knows that
    start only.
    """

    def __init__(self, x: np.ndarray, seed: int):
        super().__init__(seed)
        self.x, self.draw = x, np.random.RandomState(seed)

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Any:
        """Row numbers (size,) of x."""
        from sklearn.cluster import kmeans_plusplus

        return kmeans_plusplus(self.x, size, random_state=self.draw)[1]


def _expectation_maximisation(
    x: np.ndarray, device: Any, *, seed: int, **settings: Any
) -> tuple[list[np.ndarray], bool, int]:
    """Weights, means and Cholesky factors of precisions; whether EM converged; its iterations.
    `device` None means NumPy.
    """
    ill_conditioned = PipelineError(
        f"a {settings['covariance_type']} covariance is ill-conditioned at gmm.regularisation "
        f"{settings['reg_covar']:g}: raise "
        "it (1e-6, then tenfold steps; the k-means++ start needs more than 0), or lower "
        "gmm.pca_components or gmm.components"
    )
    try:
        with (
            nullcontext(x) if device is None else _on(device, x) as data,
            warnings.catch_warnings(),
        ):
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.mixture import GaussianMixture

            warnings.simplefilter("ignore", ConvergenceWarning)  # reported in the metrics instead
            model = GaussianMixture(
                **settings, init_params="random_from_data", random_state=_Starts(x, seed)
            ).fit(data)
    except (ValueError, RuntimeError) as error:
        kind = type(error).__name__
        if kind == "OutOfMemoryError":
            raise PipelineError(
                f"gmm.device: no memory for {len(x)} faces on {device}; set it to cpu"
            ) from error
        if kind == "_LinAlgError" or "ill-defined" in str(
            error
        ):  # PyTorch's and scikit-learn's word for no Cholesky factor
            raise ill_conditioned from error
        raise
    fitted = (model.weights_, model.means_, model.precisions_cholesky_)
    arrays = [np.asarray(array if device is None else array.cpu()) for array in fitted]
    if not np.isfinite(arrays[-1]).all():
        raise ill_conditioned
    return arrays, bool(model.converged_), int(model.n_iter_)


@contextmanager
def _on(device: Any, x: np.ndarray) -> Iterator[Any]:
    """x as a tensor on the device, with which scikit-learn computes, inside.

    For tensors scikit-learn 1.9 adds to a diagonal one element at a time, which is 9,000 launches
    an iteration for twelve components in 768 dimensions, and solves triangular systems as if they
    were general ones. Both are one call here."""
    os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it
    import sklearn
    import torch
    from sklearn.mixture import _gaussian_mixture

    from pipeline.common.devices import deterministic

    quick = {
        "_add_to_diagonal": lambda matrix, value, xp: matrix.diagonal().add_(value),
        "_linalg_solve": lambda lower, right, xp: torch.linalg.solve_triangular(
            lower, right, upper=False
        ),
    }
    module = vars(_gaussian_mixture)
    before = {name: module[name] for name in quick}
    try:
        module.update(quick)
        with sklearn.config_context(array_api_dispatch=True), deterministic():
            yield torch.from_numpy(x).to(device)
    finally:
        module.update(before)
