"""The photographs that a face resembles, in the metric of the anomaly score."""

from dataclasses import replace

import numpy as np

from pipeline.density.mixture import Mixture


def nearest(
    mixture: Mixture, faces: np.ndarray, photographs: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The photographs (m, D) nearest to each face (n, D): rows and distances, both (n, min(count,
    m)), equal ones by row.

    Mahalanobis distance with the covariance of the face's most probable component, in standard
    deviations, and beside it the residual's: the anomaly score of one component is a constant plus
    half the squared distance from its mean. In the plain distance the first principal components,
    which vary most among photographs, would decide alone."""
    from scipy.spatial.distance import cdist

    x, y = mixture.transform(faces), mixture.transform(photographs)  # (n, d), (m, d)
    left, beside = mixture.residual(faces), mixture.residual(photographs)  # (n, D or 0), (m, ...)
    component = _most_probable(mixture, faces)
    distances = np.empty((len(x), len(y)))
    for k in np.unique(component):
        own, precision = component == k, _precision(mixture, k)
        full = precision.ndim == 2
        white = [part @ precision if full else part * precision for part in (x[own], y)]
        distances[own] = cdist(np.hstack([white[0], left[own]]), np.hstack([white[1], beside]))
    rows = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(distances, rows, axis=1)


def _most_probable(mixture: Mixture, features: np.ndarray) -> np.ndarray:
    """The component with the largest share of each face's density, int (n,)."""
    shares = []
    for k, weight in enumerate(mixture.weights):
        tied = mixture.covariance_type == "tied"
        precision = _precision(mixture, k) if tied else _precision(mixture, k)[None]
        alone = replace(
            mixture, weights=np.ones(1), means=mixture.means[[k]], precisions_cholesky=precision
        )
        shares.append(alone.log_likelihood(features) + (np.log(weight) if weight else -np.inf))
    return np.argmax(shares, axis=0)


def _precision(mixture: Mixture, k: int) -> np.ndarray:
    """Cholesky factor of component k's precision: (d, d), (d,) or ()."""
    every = mixture.precisions_cholesky
    return np.asarray(every if mixture.covariance_type == "tied" else every[k])
