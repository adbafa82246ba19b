"""A Gaussian mixture of photographic faces as plain arrays: scored by NumPy, saved without pickle.

Everything is float64: in float32 the covariances of a few hundred dimensions are ill-conditioned.
The anomaly score is the negative log-likelihood, so **higher means more anomalous**.

The log-likelihood is that of the transformed features (after standardisation and PCA): a constant,
the log-determinant of the transform, is missing from every score and every threshold alike. With a
residual it is that of all standardised features: the directions that PCA leaves out count with one
variance, as in probabilistic PCA (Tipping, Bishop 1999)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.checks import check_features

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


@dataclass(frozen=True)
class Mixture:
    """A fitted Gaussian mixture as plain arrays: k components in d dimensions over D features.

    `shift` (D,) and `scale` (D,) standardise; `projection` (d, D) holds orthonormal PCA directions,
    (0, D) without PCA; `weights` (k,), `means` (k, d); `precisions_cholesky` as in scikit-learn:
    (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical. `residual_variance` (1,) is that of
    each of the D - d directions outside of `projection`, (0,) where they do not count. All float64.
    """

    covariance_type: str
    shift: np.ndarray
    scale: np.ndarray
    projection: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    precisions_cholesky: np.ndarray
    residual_variance: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def features(self) -> int:
        """Number of features D that a face must have."""
        return int(self.shift.shape[0])

    @property
    def dimensions(self) -> int:
        """Number of dimensions d of the mixture, after PCA."""
        return int(self.means.shape[1])

    @property
    def bound(self) -> float:
        """What no face's log-likelihood exceeds: the sum of the components' highest densities; of
        one component its highest itself, so that 2 * (anomaly score + bound) is the squared
        Mahalanobis distance.
        """
        peaks = [self._log_normal(mean[None], k)[0] for k, mean in enumerate(self.means)]
        nothing = self._log_residual(np.zeros((1, self.features)))[0]
        return float(self._sum(np.array([peaks]))[0] + nothing)

    def transform(self, features: np.ndarray) -> np.ndarray:
        """Standardised and projected features, (n, D) to float64 (n, d). Refuses NaN."""
        return self._project(self._standardise(features))

    def residual(self, features: np.ndarray) -> np.ndarray:
        """What `transform` leaves out of the standardised features, in its standard deviations:
        (n, D) to float64 (n, D), or (n, 0) without a residual.
        """
        return self._residual(self._standardise(features))

    def log_likelihood(self, features: np.ndarray) -> np.ndarray:
        """Natural log of the mixture's density at each face, (n, D) to float64 (n,). In one thread:
        the bits of a matrix product depend on their number.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            standard = self._standardise(features)
            x = self._project(standard)  # (n, d)
            terms = [self._log_normal(x, k) for k in range(len(self.weights))]
            return self._sum(np.stack(terms, axis=1)) + self._log_residual(self._residual(standard))

    def anomaly_score(self, features: np.ndarray) -> np.ndarray:
        """Negative log-likelihood, (n, D) to float64 (n,): higher means more anomalous."""
        return -self.log_likelihood(features)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays to save with `np.savez`; none needs pickle."""
        return {field.name: np.atleast_1d(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: str = "mixture") -> "Mixture":
        """The mixture that `to_arrays` gave; PipelineError with `source` where malformed."""
        names = {field.name for field in fields(cls)}
        if set(arrays) != names:
            missing, unknown = sorted(names - set(arrays)), sorted(set(arrays) - names)
            raise PipelineError(
                f"{source}: missing keys {missing}, unknown keys {unknown}: run fit_gmm again"
            )
        kind = ",".join(map(str, np.ravel(arrays["covariance_type"])))
        values = {name: np.asarray(arrays[name]) for name in sorted(names - {"covariance_type"})}
        if fault := _fault(kind, values):
            raise PipelineError(f"{source}: {fault}: run fit_gmm again")
        return cls(covariance_type=kind, **values)

    def _standardise(self, features: np.ndarray) -> np.ndarray:
        """Standardised features, (n, D) to float64 (n, D)."""
        x = check_features(features, "features")
        if x.shape[1] != self.features:
            raise PipelineError(
                f"the faces have {x.shape[1]} features, the mixture was fitted on {self.features}: "
                "extract both with the same encoder, then run fit_gmm again"
            )
        return np.asarray((x - self.shift) / self.scale)

    def _project(self, x: np.ndarray) -> np.ndarray:
        """Standardised features (n, D) in the mixture's space, (n, d)."""
        return np.asarray(x @ self.projection.T) if len(self.projection) else x

    def _residual(self, x: np.ndarray) -> np.ndarray:
        """Of standardised features (n, D) what `residual` says."""
        if not len(self.residual_variance):
            return np.zeros((len(x), 0))
        return np.asarray((x - self._project(x) @ self.projection) / self.residual_variance**0.5)

    def _log_residual(self, residual: np.ndarray) -> np.ndarray:
        """Log-density (n,) of residuals (n, D) in their standard deviations; 0 without."""
        outside = (self.features - self.dimensions) * len(self.residual_variance)
        constant = outside * np.log(2 * np.pi * self.residual_variance).sum()
        return np.asarray(-0.5 * (np.square(residual).sum(axis=1) + constant))

    def _sum(self, terms: np.ndarray) -> np.ndarray:
        """Log of the weighted sum of the components' densities, from their logs (n, k)."""
        from scipy.special import logsumexp

        with np.errstate(divide="ignore"):  # a component of weight 0 adds exp(-inf) = 0
            return np.asarray(logsumexp(terms + np.log(self.weights), axis=1))

    def _log_normal(self, x: np.ndarray, k: int) -> np.ndarray:
        """Log-density of component k at x (n, d), to (n,)."""
        d = x.shape[1]
        tied = self.covariance_type == "tied"
        chol = self.precisions_cholesky if tied else self.precisions_cholesky[k]
        if chol.ndim == 2:
            white = (x - self.means[k]) @ chol  # (n, d), standard normal under the component
            log_determinant = np.log(np.diag(chol)).sum()
        else:
            white = (x - self.means[k]) * chol
            log_determinant = np.log(np.broadcast_to(chol, d)).sum()
        return np.asarray(
            log_determinant - 0.5 * (d * np.log(2 * np.pi) + np.square(white).sum(axis=1))
        )


def _fault(kind: str, values: Mapping[str, np.ndarray]) -> str:
    """What is malformed about a mixture's arrays, or ""."""
    if kind not in COVARIANCE_TYPES:
        return f"covariance_type {kind!r} is none of {', '.join(COVARIANCE_TYPES)}"
    k, width = values["weights"].size, values["shift"].size
    d = len(np.atleast_1d(values["projection"])) or width  # none: no PCA
    precisions = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    shapes = {"weights": (k,), "means": (k, d), "precisions_cholesky": precisions[kind]}
    shapes |= {"shift": (width,), "scale": (width,), "projection": (d, width)}
    shapes["residual_variance"] = (1,)
    empty = {"projection": (0, width), "residual_variance": (0,)}
    for name, array in values.items():
        good = array.dtype == np.float64 and array.shape in (shapes[name], empty.get(name))
        if not good or not np.isfinite(array).all():
            got = f"{array.dtype} {array.shape}"
            return f"key {name!r} must be finite float64 of shape {shapes[name]}, got {got}"
    weights = values["weights"]
    residual = values["residual_variance"]
    if len(residual) and (residual[0] <= 0 or not 0 < len(values["projection"]) < width):
        return "residual_variance must be positive, and projection leave directions for it"
    if (values["scale"] <= 0).any() or (weights < 0).any() or not np.isclose(weights.sum(), 1):
        return "scale must be positive and weights a distribution"
    return ""
