"""Fitting the density of photographic faces in feature space: scikit-learn's GaussianMixture, in float64.

The result is a `pipeline.mixture.Mixture` of plain arrays; scikit-learn is imported for the fit only.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.mixture import Mixture, check_features

# The authors flag a face whose likelihood is below the 5th percentile of the faces that the mixture was fitted on.
PAPER_FALSE_ALARM_RATE = 0.05

# Features are stored in float32 (relative spacing 1.2e-7): spread below this share of the mean is rounding, not signal.
_ROUNDING = 1e-6

# Up to this many numbers one thread is as fast, and the bytes of the mixture do not depend on the number of cores.
_ONE_THREAD = 4_000_000


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
) -> Fit:
    """Fit a Gaussian mixture to features (n, D) by scikit-learn's EM from a k-means++ start, in float64.

    `pca_components` 0 means no PCA; `regularisation` is added to the diagonal of every covariance (squared units of the
    transformed features). Raises PipelineError where the faces cannot carry such a mixture, and says what to change.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1 if np.size(features) <= _ONE_THREAD else None):
        x, shift, scale, projection, notes = _prepare(features, standardise=standardise, pca_components=pca_components)
        _check_faces(*x.shape, components=components, covariance_type=covariance_type)
        model, converged = _expectation_maximisation(
            x,
            n_components=components,
            covariance_type=covariance_type,
            reg_covar=regularisation,
            max_iter=maximum_iterations,
            tol=tolerance,
            n_init=starts,
            init_params="k-means++",
            random_state=seed % 2**32,
        )
    if not converged:
        notes.append(
            f"not converged in {maximum_iterations} iterations: raise gmm.maximum_iterations or gmm.tolerance ({tolerance:g})"
        )
    if covariance_type == "full" and x.shape[0] <= components * x.shape[1]:
        notes.append(
            f"{x.shape[0]} faces for {components} full covariances in {x.shape[1]} dimensions: the components rest on "
            "gmm.regularisation; lower gmm.pca_components or gmm.components, or use covariance_type tied or diag"
        )
    mixture = Mixture(
        covariance_type, shift, scale, projection, model.weights_, model.means_, np.asarray(model.precisions_cholesky_)
    )
    return Fit(mixture, x.shape[0], converged, int(model.n_iter_), tuple(notes))


def generalisation(fit_scores: np.ndarray, held_out_scores: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """How anomaly scores of unseen photographs (n,) compare with those of the fitted faces (m,): figures and warnings.

    The likelihood has *collapsed* where the mean held-out log-likelihood lies more than one standard deviation of the fitted
    faces' log-likelihoods below their mean: for normal scores the authors' threshold then flags Phi(-1.645 + 1) = 26 % of
    photographs instead of 5 %. Expected gap of an honest fit: (free parameters) / (faces), in nats (Akaike 1974).
    """
    paper_threshold = np.quantile(fit_scores, 1 - PAPER_FALSE_ALARM_RATE)
    drop = float(held_out_scores.mean() - fit_scores.mean())
    spread = float(fit_scores.std())
    figures = {
        "log_likelihood_fit": float(-fit_scores.mean()),
        "log_likelihood_held_out": float(-held_out_scores.mean()),
        "log_likelihood_spread_fit": spread,
        "held_out_drop": drop,
        "paper_protocol_false_alarm_rate_held_out": float((held_out_scores > paper_threshold).mean()),
    }
    if drop <= spread:
        return figures, []
    return figures, [
        f"held-out likelihood collapses: {drop:.1f} nats below the fit, whose spread is {spread:.1f}; the mixture has learnt "
        "its faces by heart: lower gmm.pca_components or gmm.components, raise gmm.regularisation, or give more faces"
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
            f"all {x.shape[1]} features are the same for all {len(x)} fit faces: give at least 2 different faces; "
            "with more, the encoder has collapsed: train it anew with a lower pretext.learning_rate"
        )
    if constant.any() and not pca_components:
        raise PipelineError(
            f"{constant.sum()} of {x.shape[1]} features are the same for all {len(x)} fit faces (first: column "
            f"{np.flatnonzero(constant)[0]}), which has no density: set gmm.pca_components to at most {(~constant).sum()}"
        )
    if constant.any():
        notes.append(f"{constant.sum()} of {x.shape[1]} features are the same for all fit faces and are left to PCA to drop")
    shift = centre if standardise or pca_components else np.zeros_like(centre)
    scale = np.where(constant, 1.0, spread) if standardise else np.ones_like(spread)
    x = (x - shift) / scale
    projection = _principal_directions(x, pca_components)  # (d, D)
    return (x @ projection.T if pca_components else x), shift, scale, projection, notes


def _principal_directions(x: np.ndarray, count: int) -> np.ndarray:
    """The `count` leading principal directions (count, D) of centred x (n, D); the largest entry of each is positive."""
    if not count:
        return np.zeros((0, x.shape[1]))
    _, singular, rows = np.linalg.svd(x, full_matrices=False)
    rank = int((singular > _ROUNDING * singular[0]).sum())
    if count > rank:
        raise PipelineError(
            f"gmm.pca_components: {count} directions asked for, but {x.shape[0]} faces with {x.shape[1]} features span only "
            f"{rank}: set it to at most {rank} or give more faces"
        )
    rows = rows[:count]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows * np.sign(largest))


def _check_faces(n: int, d: int, *, components: int, covariance_type: str) -> None:
    if n < max(2, components):
        raise PipelineError(f"gmm.components: {components} components need as many faces and at least 2, got {n}: lower it")
    if covariance_type in ("full", "tied") and n <= d:
        raise PipelineError(
            f"{n} faces cannot carry a {covariance_type} covariance in {d} dimensions: set gmm.pca_components to at most "
            f"{n // 2}, use gmm.covariance_type diag, or add faces"
        )


def _expectation_maximisation(x: np.ndarray, **settings: Any) -> tuple[Any, bool]:
    """A fitted scikit-learn GaussianMixture, and whether EM converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(**settings)
    ill_conditioned = PipelineError(
        f"a {settings['covariance_type']} covariance is ill-conditioned at gmm.regularisation {settings['reg_covar']:g}: raise "
        "it (1e-6, then tenfold steps; the k-means++ start needs more than 0), or lower gmm.pca_components or gmm.components"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported in the metrics instead
        try:
            model.fit(x)
        except ValueError as error:
            if "ill-defined" not in str(error):  # scikit-learn's word for a covariance without a Cholesky factor
                raise
            raise ill_conditioned from error
    if not np.isfinite(model.precisions_cholesky_).all():
        raise ill_conditioned
    return model, bool(model.converged_)
