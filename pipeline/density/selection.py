"""Which mixture suits the photographs: BIC, cross-validated likelihood, and how many faces carry
each component.

All figures come from the photographs that the mixture is fitted on, never from calibration
photographs: a mixture chosen by those would have seen them, and the false alarm rate of their
threshold would no longer hold.

Likelihoods are those of the transformed features (after standardisation and PCA), in nats per face.
Between different numbers of principal components neither they nor BIC may be compared: they are
densities in different spaces."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.density import fitting as density

# Eigenvalues of a sample covariance of unit variance from n faces in d dimensions spread over (1 -+
# sqrt(d / n))^2 (Marchenko, Pastur 1967): with 10 faces per dimension over 0.47 to 1.73, with 4
# over 0.25 to 2.25. Beyond that a component is its noise.
ENOUGH_FACES = 10

NO_COMPARISON_BETWEEN_SPACES = (
    "compare rows with the same pca_components only: between different numbers of principal "
    "components neither BIC nor the "
    "likelihood says anything; compare detection instead"
)


class Judged(NamedTuple):
    """A candidate's row, and the log-likelihood of each face (n,) under the mixture that was fitted
    without its fold.
    """

    row: dict[str, Any]
    held_out: np.ndarray


class Candidate(NamedTuple):
    """A mixture to compare; `pca_components` 0 means no PCA."""

    pca_components: int
    covariance_type: str
    components: int

    def __str__(self) -> str:
        return f"{self.components} {self.covariance_type} component{'s' if self.components > 1 else ''}"


def candidates(
    components: Iterable[int],
    covariance_types: Iterable[str],
    pca_components: Iterable[int],
    current: Candidate,
) -> list[Candidate]:
    """The grid and the current mixture, each once, in a fixed order."""
    return sorted(
        {
            current,
            *(
                Candidate(*values)
                for values in product(pca_components, covariance_types, components)
            ),
        }
    )


def folds(people: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold, from 0, of each face (n,): all faces of a person in one, by keyed hash, equally
    many persons in each.
    """
    distinct, person = np.unique(people, return_inverse=True)
    if len(distinct) < count:
        raise PipelineError(
            f"selection.folds: {count} folds need as many persons, the fit photographs show "
            f"{len(distinct)}"
        )
    draw = randomness.uniforms(seed, "select_mixture", randomness.hashes(distinct.tolist()))
    return np.asarray((np.argsort(np.argsort(draw, kind="stable")) % count)[person])


def free_parameters(components: int, covariance_type: str, dimensions: int) -> int:
    """Free parameters of a mixture of k Gaussians in d dimensions: weights, means, covariances."""
    k, d = components, dimensions
    covariances = {
        "full": k * d * (d + 1) // 2,
        "tied": d * (d + 1) // 2,
        "diag": k * d,
        "spherical": k,
    }[covariance_type]
    return k - 1 + k * d + covariances


def mean_by_person(values: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """Mean of values over faces (n,), and its standard error, for which the faces of a person vary
    together.

    The standard error of a ratio of sums over persons (Cochran 1977, section 6.4): with one face of
    each, that of a mean."""
    _, person = np.unique(people, return_inverse=True)
    mean = float(values.mean())
    residuals = np.bincount(
        person, weights=values - mean
    )  # sums over the faces of each person, (p,)
    return mean, float(
        np.sqrt((residuals**2).sum() * len(residuals) / (len(residuals) - 1)) / len(values)
    )


def judge(
    features: np.ndarray,
    people: np.ndarray,
    fold: np.ndarray,
    candidate: Candidate,
    *,
    settings: Mapping[str, Any],
    seed: int,
) -> Judged:
    """A candidate's figures on features (n, D) of `people` (n,), cross-validated over the folds
    (n,).

    BIC (Schwarz 1978; as scikit-learn's, lower is better) is of the mixture fitted on all faces.
    The held-out log-likelihood is the mean over all faces, each standardised, projected and judged
    by what was fitted without its fold; its standard error is by person. `settings` are
    `density.fit`'s others. Raises PipelineError where the faces cannot carry the candidate."""

    def fitted(x: np.ndarray) -> density.Fit:
        return density.fit(x, **candidate._asdict(), **settings, seed=seed)

    n, mixture = len(features), fitted(features).mixture
    held_out = np.empty(n)
    for i in range(int(fold.max()) + 1):
        held_out[fold == i] = fitted(features[fold != i]).mixture.log_likelihood(
            features[fold == i]
        )
    mean, error = mean_by_person(held_out, people)
    parameters = free_parameters(
        candidate.components, candidate.covariance_type, mixture.dimensions
    )
    row = {
        **candidate._asdict(),
        "parameters": parameters,
        "n_over_k_d": n / (candidate.components * mixture.dimensions),
        "bic": float(parameters * np.log(n) - 2 * mixture.log_likelihood(features).sum()),
        "held_out_log_likelihood": mean,
        "held_out_standard_error": error,
    }
    return Judged(row, held_out)


def beside_the_best(
    judged: Sequence[Judged], current: Candidate, people: np.ndarray
) -> dict[str, Any] | None:
    """The current mixture's row with `difference`, how far the best one's held-out log-likelihood
    is above its own.

    `difference_standard_error`: of the mean over the faces of the difference on each face, by
    person. What makes a face improbable for both mixtures cancels out, as it does not in the two
    likelihoods' own errors. None: it was not fitted."""
    rows = [one.row for one in judged]
    here, leader = row_of(rows, current), best(rows, current.pca_components)
    if here is None or leader is None:
        return None
    held_out = {_candidate(one.row): one.held_out for one in judged}
    difference, error = mean_by_person(held_out[_candidate(leader)] - held_out[current], people)
    return {**here, "difference": difference, "difference_standard_error": error}


def row_of(rows: Sequence[Mapping[str, Any]], candidate: Candidate) -> Mapping[str, Any] | None:
    """The candidate's row, or None where it could not be fitted."""
    return next((row for row in rows if _candidate(row) == candidate), None)


def best(rows: Sequence[Mapping[str, Any]], pca_components: int) -> Mapping[str, Any] | None:
    """The row with the highest held-out log-likelihood among those with so many principal
    components.
    """
    comparable = [row for row in rows if row["pca_components"] == pca_components]
    return max(comparable, key=lambda row: row["held_out_log_likelihood"], default=None)


def advice(
    rows: Sequence[Mapping[str, Any]],
    here: Mapping[str, Any] | None,
    current: Candidate,
    faces: int,
) -> list[str]:
    """Sentences on the current mixture, from the rows of those that could be fitted and from
    `beside_the_best`.
    """
    if here is None:
        return [
            f"the current mixture, {current}, cannot be fitted on all faces and in all folds",
            NO_COMPARISON_BETWEEN_SPACES,
        ]
    return [_on_faces(here, faces), _on_likelihood(rows, here), NO_COMPARISON_BETWEEN_SPACES]


def _on_faces(row: Mapping[str, Any], faces: int) -> str:
    ratio, k = row["n_over_k_d"], row["components"]
    d = round(faces / (ratio * k))
    said = f"{faces:,} faces for {k} components in {d} dimensions are {ratio:.1f} per component and dimension"
    if ratio >= ENOUGH_FACES:
        return f"{said}, at least the {ENOUGH_FACES} of a rule of thumb"
    ways = [
        f"set gmm.{key} to at most {faces // (ENOUGH_FACES * other)}"
        for key, own, other in (("components", k, d), ("pca_components", d, k))
        if own > 1 and faces >= ENOUGH_FACES * other
    ]
    return f"{said}, fewer than the {ENOUGH_FACES} of a rule of thumb: {', or '.join([*ways, 'give more faces'])}"


def _on_likelihood(rows: Sequence[Mapping[str, Any]], here: Mapping[str, Any]) -> str:
    peers = [row for row in rows if row["pca_components"] == here["pca_components"]]
    if len(peers) == 1:
        return "no other mixture with the current gmm.pca_components was compared: add it to selection.pca_components"
    leader, current = best(rows, here["pca_components"]), _candidate(here)
    by_bic = _candidate(min(peers, key=lambda row: row["bic"]))
    bic = f"; BIC prefers {by_bic}" if by_bic != current else "; BIC prefers the current mixture"
    if leader is None or _candidate(leader) == current:
        return (
            f"the current mixture, {current}, has the highest held-out likelihood of its peers{bic}"
        )
    gap, error = here["difference"], here["difference_standard_error"]
    distance, remedy = (
        ("within", "no reason to change")
        if gap <= error
        else ("more than", "try that and compare detection")
    )
    return (
        f"the current mixture's held-out likelihood is {gap:.3f} nats per face below that of the "
        f"best, {_candidate(leader)}, "
        f"{distance} one standard error of this difference ({error:.3f}): {remedy}{bic}"
    )


def _candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(*(row[name] for name in Candidate._fields))
