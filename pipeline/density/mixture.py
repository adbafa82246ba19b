"""A Gaussian mixture of photographic faces as plain arrays: scored by NumPy, saved without pickle.

Everything is float64: in float32 the covariances of a few hundred dimensions are ill-conditioned.
The anomaly score is the negative log-likelihood, so **higher means more anomalous**.

The log-likelihood is that of the transformed features (after standardisation and PCA): a constant,
the log-determinant of the transform, is missing from every score and every threshold alike."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common.checks import check_features

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


@dataclass(frozen=True)
class Mixture:
    """A fitted Gaussian mixture as plain arrays: k components in d dimensions over D features.

    `shift` (D,) and `scale` (D,) standardise; `projection` (d, D) holds orthonormal PCA directions,
    (0, D) without PCA; `weights` (k,), `means` (k, d); `precisions_cholesky` as in scikit-learn:
    (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical. All float64."""

    covariance_type: str
    shift: np.ndarray
    scale: np.ndarray
    projection: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    precisions_cholesky: np.ndarray

    @property
    def features(self) -> int:
        """Number of features D that a face must have."""
        return int(self.shift.shape[0])

    @property
    def dimensions(self) -> int:
        """Number of dimensions d of the mixture, after PCA."""
        return int(self.means.shape[1])

    def transform(self, features: np.ndarray) -> np.ndarray:
        """Standardised and projected features, (n, D) to float64 (n, d). Refuses NaN."""
        x = check_features(features, "features")
        if x.shape[1] != self.features:
            raise PipelineError(
                f"the faces have {x.shape[1]} features, the mixture was fitted on {self.features}: "
                "extract both with the same encoder, then run fit_gmm again"
            )
        x = (x - self.shift) / self.scale
        return x @ self.projection.T if len(self.projection) else x

    def log_likelihood(self, features: np.ndarray) -> np.ndarray:
        """Natural log of the mixture's density at each face, (n, D) to float64 (n,)."""
        from scipy.special import logsumexp

        x = self.transform(features)  # (n, d)
        with np.errstate(divide="ignore"):  # a component of weight 0 adds exp(-inf) = 0
            log_weights = np.log(self.weights)
        terms = [log_weights[k] + self._log_normal(x, k) for k in range(len(self.weights))]
        return np.asarray(logsumexp(np.stack(terms, axis=1), axis=1))

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
    for name, array in values.items():
        empty = name == "projection" and array.shape == (0, width)
        good = array.dtype == np.float64 and (empty or array.shape == shapes[name])
        if not good or not np.isfinite(array).all():
            got = f"{array.dtype} {array.shape}"
            return f"key {name!r} must be finite float64 of shape {shapes[name]}, got {got}"
    weights = values["weights"]
    if (values["scale"] <= 0).any() or (weights < 0).any() or not np.isclose(weights.sum(), 1):
        return "scale must be positive and weights a distribution"
    return ""
