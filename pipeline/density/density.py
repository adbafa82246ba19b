"""What scores faces: one mixture of their features, of their head scores, or one of each, combined.

With two mixtures the anomaly score is Fisher's (1932): -log p1 - log p2, where p is the chance that
a photograph is at least as anomalous for the one mixture. Levels and heads see different artefacts,
and their log-likelihoods have no common scale, but p-values have. A p-value must go on beyond the
most anomalous photograph, or all faces out there would tie, so it is that of a law: the logarithm
of the squared Mahalanobis distance is taken for normal. Its mean and deviation are those of the
*fit* photographs, each scored by a mixture of the other folds' photographs only (cross-fitting), as
distances of photographs that a mixture has seen are too small. Neither the law nor that features
and heads are dependent can break a promise: the sum is only a score, and its thresholds come from
calibration photographs like those of any other.

Too typical may be anomalous too (calibration.sides: both): some generators make faces that lie
nearer to the middle than photographs do. The anomaly score is then -log of the two-sided p-value of
the same law, 2 min(F, 1 - F), of each mixture. Turned round at this one place, it is a score like
any other: what is above its threshold lies too far out or too far in. The law rests on photographs
to fit alone, so that calibration photographs stay exchangeable with new ones, and the false alarm
rate holds for both sides together, whatever the law is worth; a poor one divides it unevenly.

Higher means more anomalous, float64 (n,), in nats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.splits import folds
from pipeline.density.fitting import Fit, fit
from pipeline.density.mixture import Mixture

SIDES = ("upper", "both")
UNUSUAL, TYPICAL = "too unusual", "too typical"
INPUTS = {"features": ("features",), "heads": ("heads",), "both": ("features", "heads")}
FOLDS = 5  # of the cross-fitting: mixtures of four fifths are near the one of all


@dataclass(frozen=True)
class Density:
    """Mixtures by what they see ("features", "heads"). With both, or for both sides, `laws` has of
    each the mean and the standard deviation (2,) of the log squared distance of unseen photographs.
    """

    mixtures: Mapping[str, Mixture]
    laws: Mapping[str, np.ndarray] = field(default_factory=dict)
    sides: str = "upper"

    @property
    def space(self) -> str:
        """In which space faces are compared with each other: "features", or "heads" alone."""
        return next(iter(self.mixtures))

    def anomaly_score(self, features: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Of faces with features (n, D) and head scores (n, 5): the negative log-likelihood; with
        laws Fisher's sum of -log p.
        """
        from scipy.special import log_ndtr  # scipy.stats takes a second to import

        if not self.laws:
            alone = features if self.space == "features" else heads
            return self.mixtures[self.space].anomaly_score(alone)
        z = self._deviations(features, heads)
        if self.sides == "upper":
            return np.asarray(-log_ndtr(-z).sum(axis=1))
        return np.asarray(-(np.log(2) + log_ndtr(-np.abs(z))).sum(axis=1))

    def side(self, features: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """On which side each face is off (n,): UNUSUAL or, of both sides, TYPICAL where the mixture
        that it deviates most from finds it so.
        """
        if self.sides == "upper":
            return np.full(len(features), UNUSUAL)
        z = self._deviations(features, heads)
        most = np.take_along_axis(z, np.abs(z).argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.where(most < 0, TYPICAL, UNUSUAL)

    def _deviations(self, features: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Of each mixture's law the normal deviate of the log squared distance, (n, mixtures)."""
        tables = {"features": features, "heads": heads}
        columns = []
        for name, (mean, deviation) in self.laws.items():
            columns.append((log_distance(self.mixtures[name], tables[name]) - mean) / deviation)
        return np.stack(columns, axis=1)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays to save with `np.savez`, named <features or heads>.<array>."""
        arrays = {
            f"{name}.{key}": array
            for name, mixture in self.mixtures.items()
            for key, array in mixture.to_arrays().items()
        }
        arrays |= {f"{name}.law": law for name, law in self.laws.items()}
        return arrays | {"sides": np.array(self.sides)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: str = "density") -> "Density":
        """The density that `to_arrays` gave; PipelineError with `source` where malformed."""
        parts: dict[str, dict[str, np.ndarray]] = {}
        sides = str(arrays.get("sides", "not said"))
        for key, array in arrays.items():
            if key == "sides":
                continue
            name, _, of = key.partition(".")
            parts.setdefault(name, {})[of] = array
        names = next((names for names in INPUTS.values() if set(names) == set(parts)), None)
        if names is None or sides not in SIDES:
            raise PipelineError(
                f"{source}: mixtures of {sorted(parts)}, expected features, heads or both, and "
                f"sides {sides}, expected one of {', '.join(SIDES)}: run fit_gmm again"
            )
        laws = {name: parts[name].pop("law") for name in names if "law" in parts[name]}
        good = [
            law.shape == (2,) and np.isfinite(law).all() and law[1] > 0 for law in laws.values()
        ]
        if not all(good) or len(laws) != (len(names) if _needs_laws(names, sides) else 0):
            raise PipelineError(
                f"{source}: each of two mixtures, and one for both sides, needs a law (a mean and "
                "a positive deviation), and one for the upper side none: run fit_gmm again"
            )
        mixtures = {n: Mixture.from_arrays(parts[n], f"{source}, {n}") for n in names}
        return cls(mixtures, laws, sides)


class Fitted(NamedTuple):
    """A density, and how the fit of each of its mixtures went."""

    density: Density
    fits: Mapping[str, Fit]

    @property
    def warnings(self) -> list[str]:
        """Sentences of all fits."""
        several = len(self.fits) > 1
        return [
            f"{name}: {warning}" if several else warning
            for name, one in self.fits.items()
            for warning in one.warnings
        ]


def fit_density(
    features: np.ndarray,
    heads: np.ndarray,
    persons: np.ndarray,
    settings: Mapping[str, Any],
    seed: int,
) -> Fitted:
    """Fit to photographs with features (n, D), head scores (n, 5) and persons (n,); the settings
    are params.yaml's `gmm`, and `sides` of `calibration`. Heads are fitted without PCA.

    Raises PipelineError where the faces cannot carry a mixture or have too few persons to cross-fit
    by."""
    names = INPUTS[settings["input"]]
    fits, laws = {}, {}
    for name in names:
        table, how = (features, heads)[name == "heads"], {**settings, "seed": seed}
        del how["input"], how["sides"]
        if name == "heads":
            how |= {"pca_components": 0, "residual": False}
        try:
            fits[name] = fit(table, **how)
            if _needs_laws(names, settings["sides"]):
                laws[name] = _law(_unseen(table, persons, how))
        except PipelineError as error:
            if names == ("features",):
                raise
            raise PipelineError(f"gmm.input {settings['input']}, {name}: {error}") from error
    density = Density({name: one.mixture for name, one in fits.items()}, laws, settings["sides"])
    return Fitted(density, fits)


def _needs_laws(names: tuple[str, ...], sides: str) -> bool:
    """Whether scores are p-values of a law."""
    return len(names) > 1 or sides == "both"


def log_distance(mixture: Mixture, table: np.ndarray) -> np.ndarray:
    """Log of the squared Mahalanobis distance of faces (n, D) from the mixture of one component, to
    (n,); of several, of what it would be for the same log-likelihood.
    """
    squared = 2 * (mixture.anomaly_score(table) + mixture.bound)
    return np.log(np.maximum(squared, np.finfo(np.float64).tiny))  # rounding may put 0 below 0


def _unseen(table: np.ndarray, persons: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Log squared distance of each face of (n, D) for a mixture of the other folds, to (n,)."""
    from threadpoolctl import threadpool_limits

    distance = np.empty(len(table))
    if (count := len(np.unique(persons))) < FOLDS:
        raise PipelineError(
            f"photographs to fit of {count} persons, {FOLDS} are needed to combine two inputs or "
            "to judge both sides: add some, or set gmm.input to features or heads and "
            "calibration.sides to upper"
        )
    fold = folds(persons, FOLDS, randomness.key(settings["seed"], "cross-fitting"))
    for i in range(FOLDS):
        others = fit(table[fold != i], **settings).mixture
        with threadpool_limits(1):  # the last bits of a product depend on the threads that share it
            distance[fold == i] = log_distance(others, table[fold == i])
    return distance


def _law(distance: np.ndarray) -> np.ndarray:
    """Mean and standard deviation (2,) of log distances (n,)."""
    law = np.array([distance.mean(), distance.std(ddof=1)])
    if not (np.isfinite(law).all() and law[1] > 0):
        raise PipelineError(
            "photographs outside of the fit are all equally likely: give different ones"
        )
    return law
