"""Which mixture suits the photographs: BIC and cross-validated likelihood of several mixtures.

    python -m pipeline.density.selection --features data/features/photographic_fit.npz

A command beside the graph: it advises, params.yaml decides. It sees only the photographs that the
mixture is fitted on: chosen by calibration photographs, a mixture would have seen them, and the
false alarm rates of their thresholds would no longer hold. Likelihoods are those of the transformed
features, in nats per face. Between different numbers of principal components neither they nor BIC
may be compared: they are densities in different spaces. Compare detection instead.

Whatever gmm.input is, it compares mixtures of the features alone."""

import argparse
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.base import command_line, params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, randomness
from pipeline.common.splits import folds
from pipeline.density.fitting import fit
from pipeline.density.mixture import COVARIANCE_TYPES

TITLES = ("pca", "covariance", "k", "n/(kd)", "BIC", "likelihood", "error", "gain", "its error")
NOTES = """Compare rows with the same pca only. BIC: lower is better. n/(kd), faces per
component and dimension: below 10 a component is largely noise (eigenvalues of a sample
covariance of unit variance spread over (1 -+ sqrt(d / n))^2; Marchenko, Pastur 1967)."""


class Candidate(NamedTuple):
    """A mixture to compare; `pca_components` 0 means no PCA."""

    pca_components: int
    covariance_type: str
    components: int

    def __str__(self) -> str:
        return f"{self.components} {self.covariance_type}"


def mean_by_person(values: np.ndarray, persons: np.ndarray) -> tuple[float, float]:
    """Mean over faces (n,), and its standard error where the faces of a person vary together: that
    of a ratio of sums over persons (Cochran 1977, section 6.4).
    """
    _, person = np.unique(persons, return_inverse=True)
    sums = np.bincount(person, weights=values - values.mean())  # of each person's residuals
    k = len(sums)
    return float(values.mean()), float(np.sqrt((sums**2).sum() * k / (k - 1)) / len(values))


def judge(
    features: np.ndarray, fold: np.ndarray, candidate: Candidate, **settings: Any
) -> tuple[dict[str, float | None], np.ndarray]:
    """Faces per component and dimension and BIC (Schwarz 1978; lower is better) of a mixture of
    features (n, D), and each face's log-likelihood (n,) under the mixture fitted without its fold.

    `settings` are `fit`'s others. Raises PipelineError where the faces cannot carry the candidate.
    """
    settings |= candidate._asdict()
    if (candidate.components, candidate.covariance_type) != (1, "full"):
        settings["shrinkage"] = "none"  # there is none for others
    mixture, n = fit(features, **settings).mixture, len(features)
    k, d = mixture.means.shape
    symmetric = (d + 1) / (2 * d) if candidate.covariance_type in ("full", "tied") else 1
    parameters = k - 1 + k * d + symmetric * mixture.precisions_cholesky.size
    bic = float(parameters * np.log(n) - 2 * mixture.log_likelihood(features).sum())
    shrunk = settings.get("shrinkage", "none") != "none"  # with fewer parameters, unknown how many
    unseen = np.empty(n)
    for i in np.unique(fold):
        others = fit(features[fold != i], **settings).mixture
        unseen[fold == i] = others.log_likelihood(features[fold == i])
    return {"n_over_k_d": n / (k * d), "bic": None if shrunk else bic}, unseen


def compare(
    features: np.ndarray,
    persons: np.ndarray,
    candidates: Iterable[Candidate],
    current: Candidate,
    *,
    fold: np.ndarray,
    settings: Mapping[str, Any],
) -> dict[Candidate, dict[str, Any]]:
    """The figures of each candidate that can be fitted; what cannot is printed, with the reason.

    `gain` is how far its likelihood of unseen faces is above the current mixture's, None where they
    may not be compared. It is paired by face: what makes a face improbable for both cancels out."""
    figures, unseen = {}, {}
    for candidate in terminal.progress(candidates, what="mixtures", unit="mixture"):
        try:
            figures[candidate], unseen[candidate] = judge(features, fold, candidate, **settings)
        except PipelineError as error:
            print(f"not fitted: {candidate} in {candidate.pca_components} dimensions: {error}")
    rows = {}
    for one, each in unseen.items():
        mean, spread = mean_by_person(each, persons)
        row = {**one._asdict(), **figures[one], "log_likelihood": mean, "standard_error": spread}
        gain: tuple[float | None, float | None] = None, None
        if current in unseen and one.pca_components == current.pca_components:
            gain = mean_by_person(each - unseen[current], persons)
        rows[one] = {**row, "gain": gain[0], "gain_standard_error": gain[1]}
    return rows


def advice(rows: Mapping[Candidate, Mapping[str, Any]], current: Candidate) -> str:
    """A sentence on the current mixture, from what `compare` gives."""
    if current not in rows:
        return f"the current mixture, {current}, cannot be fitted on all faces and in all folds"
    peers = [one for one in rows if one.pca_components == current.pca_components]
    best = max(peers, key=lambda one: float(rows[one]["gain"]))
    gain, error = rows[best]["gain"], rows[best]["gain_standard_error"]
    if gain > error:
        return (
            f"{best} is more likely than the current mixture, {current}, by {gain:.3f} nats per "
            f"unseen face (standard error {error:.3f}): try it and compare detection"
        )
    return (
        f"of {len(peers)} comparable mixtures none is more likely than the current one, {current}, "
        "by more than one standard error: no reason to change"
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    options = _options(argv)
    p = params.load("seed", "gmm")
    # The seed of fit_gmm, so that the current mixture is the very one of the pipeline.
    settings = {**p.gmm.model_dump(), "seed": randomness.key(p.seed, "fit_gmm")}
    if (seen := settings.pop("input")) != "features":
        print(f"gmm.input is {seen}: this compares mixtures of the features alone")
    current = Candidate(*(settings[name] for name in Candidate._fields))
    arrays = artifacts.read_npz(options.features)
    if missing := {"features", "persons"} - set(arrays):
        raise PipelineError(f"{options.features}: missing {missing}: run extract_features again")
    features, persons = arrays["features"], arrays["persons"]
    fold = folds(persons, options.folds, p.seed)
    grid = product(
        options.pca_components or [current.pca_components],
        options.covariance_types,
        options.components,
    )
    candidates = sorted({current, *map(Candidate._make, grid)})
    rows = compare(features, persons, candidates, current, fold=fold, settings=settings)

    shown = [
        {**row, "bic": None if row["bic"] is None else round(row["bic"])}.values()
        for row in rows.values()
    ]
    title = f"Mixtures of {len(features):,} photographic faces"
    terminal.table([dict(zip(TITLES, row, strict=True)) for row in shown], title)
    print(f"{NOTES}\nadvice: {advice(rows, current)}")
    if options.output:
        names = next(iter(rows.values()), ())
        columns = {name: [row[name] for row in rows.values()] for name in names}
        artifacts.write_csv(options.output, columns)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    add = parser.add_argument
    add("--features", type=Path, required=True, help="features of the fit photographs, .npz")
    add("--components", type=int, nargs="+", default=[1, 2, 4, 8])
    add("--covariance-types", nargs="+", default=["full", "diag"], choices=COVARIANCE_TYPES)
    add("--pca-components", type=int, nargs="+", help="0 = no PCA; default: those of params.yaml")
    add("--folds", type=int, default=3, help="of the cross-validation")
    add("--output", type=Path, help="table to write, .csv")
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
