"""Fit the density of photographic faces in feature space, and see how it carries over."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.base.schema import residual_fault, shrinkage_fault
from pipeline.common.checks import check_features
from pipeline.density.expectation_maximisation import Result, chosen_device, maximise
from pipeline.density.mixture import Mixture
from pipeline.density.shrinkage import shrunk

PAPER_FALSE_ALARM_RATE = 0.05  # of the fitted faces, by the authors' threshold

# Features are stored in float32 (relative spacing 1.2e-7): spread below this share of the mean is
# rounding, not signal.
_ROUNDING = 1e-6

_ESTIMATED = ("weights", "means", "precisions_cholesky")  # what `Result.arrays` holds

_NORMAL = 1.4826  # standard deviation of a normal law over its median absolute deviation
_NARROW = 0.01  # a component's width over that of the widest; below, it sits on copies of a face

# Up to this many numbers one thread is as fast, and the result does not depend on the cores.
_ONE_THREAD = 4_000_000


@dataclass(frozen=True)
class Fit:
    """A mixture and how its fitting went; `warnings` are sentences for the metrics."""

    mixture: Mixture
    converged: bool
    iterations: int
    warnings: tuple[str, ...]


def fit(
    features: np.ndarray,
    *,
    seed: int,
    standardise: bool,
    pca_components: int,
    residual: bool = False,
    **model: Any,
) -> Fit:
    """Fit a Gaussian mixture to features (n, D) in float64; the arguments are params.yaml's `gmm`,
    `model` those of `_estimate`.

    Raises PipelineError where the faces cannot carry such a mixture or there is no such device, and
    says what to change."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if np.size(features) <= _ONE_THREAD else None):
        x, transform, notes = _prepare(
            features,
            standardise=standardise,
            pca_components=pca_components,
            residual=residual,
            shrinkage=model.get("shrinkage", "none"),
        )
        found, warnings = _estimate(x, seed=seed, **model)
    arrays = {**transform._asdict(), **dict(zip(_ESTIMATED, found.arrays, strict=True))}
    mixture = Mixture(model["covariance_type"], **arrays)
    return Fit(mixture, found.converged, found.iterations, (*notes, *warnings))


def _estimate(
    x: np.ndarray,
    *,
    components: int,
    covariance_type: str,
    regularisation: float,
    maximum_iterations: int,
    tolerance: float,
    starts: int,
    seed: int,
    device: str = "cpu",
    shrinkage: str = "none",
) -> tuple[Result, list[str]]:
    """The mixture of transformed features (n, d), and warnings."""
    n, d = x.shape
    if fault := shrinkage_fault(shrinkage, components, covariance_type):
        raise PipelineError(fault)
    if shrinkage != "none":
        return shrunk(x, shrinkage), []
    _check_faces(n, d, components=components, covariance_type=covariance_type)
    found = maximise(
        x,
        chosen_device(device, n, d, components=components, covariance_type=covariance_type),
        seed=seed % 2**32,
        n_components=components,
        covariance_type=covariance_type,
        reg_covar=regularisation,
        max_iter=maximum_iterations,
        tol=tolerance,
        n_init=starts,
    )
    notes = []
    if not found.converged:
        notes.append(
            f"not converged in {maximum_iterations} iterations: raise gmm.maximum_iterations or "
            f"gmm.tolerance ({tolerance:g})"
        )
    if covariance_type == "full" and n <= components * d:
        notes.append(
            f"{n} faces for {components} full covariances in {d} dimensions: the components rest "
            "on gmm.regularisation; lower gmm.pca_components or gmm.components, or use "
            "covariance_type tied or diag, or one component with gmm.shrinkage"
        )
    return found, notes + _narrow_components(found.arrays[2], covariance_type)


def _narrow_components(precisions: np.ndarray, covariance_type: str) -> list[str]:
    """A warning of components that are far narrower than the widest, from Cholesky factors of
    precisions (k, ...). The width is the geometric mean of the deviations in all directions.
    """
    if covariance_type == "tied":
        return []
    diagonals = np.diagonal(precisions, axis1=-2, axis2=-1) if precisions.ndim == 3 else precisions
    widths = np.exp(-np.log(diagonals.reshape(len(precisions), -1)).mean(axis=1))  # (k,)
    narrow = widths < _NARROW * widths.max()
    if not narrow.any():
        return []
    return [
        f"{narrow.sum()} of {len(widths)} components are narrower than {_NARROW:g} of the widest "
        f"({widths.min():.2g} of {widths.max():.2g}): they sit on near copies of a face; take them "
        "out of the list, lower gmm.components, or raise gmm.regularisation"
    ]


def generalisation(
    fit_scores: np.ndarray, unseen_scores: np.ndarray, *, shrunk: bool = False
) -> tuple[dict[str, float], list[str]]:
    """How anomaly scores of unseen photographs (m,) compare with those of the fitted faces (n,):
    figures and warnings.

    The likelihood has *collapsed* where the median log-likelihood of unseen photographs lies more
    than one deviation of the fitted faces' below theirs: for normal scores the authors' threshold
    then flags Phi(-1.645 + 1) = 26 % of photographs instead of 5 %. Medians, and the median
    deviation, as a component that sits on a few faces widens the standard deviation that it should
    be told by. Expected gap
    of an honest fit: (free parameters) / (faces), in nats (Akaike 1974). A shrunk covariance is
    meant for faces so few that this gap is wide however well it does: not warned of."""
    paper_threshold = np.quantile(fit_scores, 1 - PAPER_FALSE_ALARM_RATE)
    drop = float(unseen_scores.mean() - fit_scores.mean())
    spread = float(fit_scores.std())
    figures = {
        "log_likelihood_fit": float(-fit_scores.mean()),
        "log_likelihood_unseen": float(-unseen_scores.mean()),
        "log_likelihood_spread_fit": spread,
        "unseen_drop": drop,
        "paper_protocol_false_alarm_rate_unseen": float((unseen_scores > paper_threshold).mean()),
    }
    middle = float(np.median(fit_scores))
    typical_drop = float(np.median(unseen_scores)) - middle
    typical_spread = _NORMAL * float(np.median(np.abs(fit_scores - middle)))
    if shrunk or typical_drop <= typical_spread:
        return figures, []
    return figures, [
        f"the likelihood of unseen photographs collapses: {typical_drop:.1f} nats below the fit, "
        f"whose spread is {typical_spread:.1f}; the mixture has learnt its faces by heart: lower "
        "gmm.pca_components or gmm.components, raise gmm.regularisation, or give more faces"
    ]


class _Transform(NamedTuple):
    """As in `Mixture`."""

    shift: np.ndarray
    scale: np.ndarray
    projection: np.ndarray
    residual_variance: np.ndarray


def _prepare(
    features: np.ndarray,
    *,
    standardise: bool,
    pca_components: int,
    residual: bool,
    shrinkage: str = "none",
) -> tuple[np.ndarray, _Transform, list[str]]:
    """Transformed features (n, d), the transform, and warnings."""
    if fault := residual_fault(residual, pca_components):
        raise PipelineError(fault)
    x = check_features(features, "features of the fit photographs")
    centre, spread = x.mean(axis=0), x.std(axis=0)
    constant = spread <= _ROUNDING * np.abs(centre)
    same = f"{constant.sum()} of {x.shape[1]} features are the same for all {len(x)} fit faces"
    if constant.all():
        raise PipelineError(
            f"{same}: give at least 2 different faces; with more, the encoder has collapsed: train "
            "it anew with a lower pretext.learning_rate"
        )
    if constant.any() and not pca_components and shrinkage == "none":
        raise PipelineError(
            f"{same} (first: column {np.flatnonzero(constant)[0]}), which has no density: set "
            f"gmm.pca_components to at most {(~constant).sum()}, or use gmm.shrinkage"
        )
    shift = centre if standardise or pca_components else np.zeros_like(centre)
    scale = np.where(constant, 1.0, spread) if standardise else np.ones_like(spread)
    x = (x - shift) / scale
    projection = _principal_directions(x, pca_components)  # (d, D)
    left = (
        "are left to PCA to drop" if pca_components else "count with the variance of the shrinkage"
    )
    notes = [f"{same} and {left}"] if constant.any() else []
    variance = _residual_variance(x, projection) if residual else np.zeros(0)
    projected = x @ projection.T if pca_components else x
    return projected, _Transform(shift, scale, projection, variance), notes


def _principal_directions(x: np.ndarray, count: int) -> np.ndarray:
    """The leading principal directions (count, D) of centred x (n, D), largest entries positive."""
    if not count:
        return np.zeros((0, x.shape[1]))
    # The triangle has the directions of x and spares the left singular vectors (n, D).
    triangle = np.linalg.qr(x, mode="r")
    _, singular, rows = np.linalg.svd(triangle, full_matrices=False)
    rank = int((singular > _ROUNDING * singular[0]).sum())
    if count > rank:
        raise PipelineError(
            f"gmm.pca_components: {count} directions asked for, but {x.shape[0]} faces with "
            f"{x.shape[1]} features span only {rank}: set it to at most {rank} or give more faces"
        )
    rows = rows[:count]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows * np.sign(largest))


def _residual_variance(x: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Mean variance (1,) of centred x (n, D) in the directions outside of projection (d, D), the
    maximum likelihood of probabilistic PCA (Tipping, Bishop 1999).
    """
    d, width = projection.shape
    outside = x - (x @ projection.T) @ projection
    if d == width or np.square(outside).mean() <= _ROUNDING**2 * np.square(x).mean():
        raise PipelineError(
            f"gmm.residual: the faces vary in no direction outside of gmm.pca_components {d}: set "
            "gmm.residual to false or lower gmm.pca_components"
        )
    return np.array([np.square(outside).sum() / (len(x) * (width - d))])


def _check_faces(n: int, d: int, *, components: int, covariance_type: str) -> None:
    if n < max(2, components):
        raise PipelineError(
            f"gmm.components: {components} components need as many faces and at least 2, got {n}: "
            "lower it"
        )
    if covariance_type in ("full", "tied") and n <= d:
        raise PipelineError(
            f"{n} faces cannot carry a {covariance_type} covariance in {d} dimensions: set "
            f"gmm.pca_components to at most {n // 2}, use gmm.shrinkage or gmm.covariance_type "
            "diag, or add faces"
        )
