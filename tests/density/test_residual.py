"""What principal components leave out. Oracle: scikit-learn's probabilistic PCA under scipy's
normal density.
"""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from pipeline.base.errors import PipelineError
from pipeline.density.mixture import Mixture
from pipeline.explanation.neighbours import nearest
from tests.small_features import clusters, fit

X, NEW = clusters(d=8).astype(np.float64), clusters(50, d=8, seed=1).astype(np.float64)
LEFT = {"pca_components": 3, "residual": True}


def test_one_component_is_probabilistic_pca():
    """Its covariance by maximum likelihood, where scikit-learn divides by n - 1."""
    mixture = fit(X, components=1, standardise=False, **LEFT, regularisation=1e-12).mixture
    covariance = PCA(3, svd_solver="full").fit(X).get_covariance() * (len(X) - 1) / len(X)
    expected = multivariate_normal(X.mean(axis=0), covariance).logpdf(NEW)
    np.testing.assert_allclose(mixture.log_likelihood(NEW), expected, rtol=1e-6)


def test_of_several_components_it_is_a_factor_of_its_own():
    """Distances and variance outside of the directions, one face after the other."""
    mixture, without = (fit(X, pca_components=3, residual=flag).mixture for flag in (True, False))

    def outside(features):
        standard = (features - mixture.shift) / mixture.scale
        return [row - sum(axis * (axis @ row) for axis in mixture.projection) for row in standard]

    variance = np.mean([row @ row for row in outside(X)]) / 5
    law = [-2.5 * np.log(2 * np.pi * variance) - row @ row / 2 / variance for row in outside(NEW)]
    expected = without.log_likelihood(NEW) + law
    np.testing.assert_allclose(mixture.log_likelihood(NEW), expected, rtol=1e-9)
    np.testing.assert_array_equal(mixture.transform(NEW), without.transform(NEW))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_nothing_exceeds_the_bound_and_one_component_reaches_it(kind):
    several = fit(X, covariance_type=kind, **LEFT).mixture
    assert (several.log_likelihood(np.concatenate([X, NEW])) <= several.bound).all()
    one = fit(X, components=1, covariance_type=kind, **LEFT).mixture
    centre = one.means @ one.projection * one.scale + one.shift
    assert one.log_likelihood(centre)[0] == pytest.approx(one.bound)


def test_twice_the_score_above_the_bound_is_the_squared_distance():
    one = fit(X, components=1, standardise=False, **LEFT, regularisation=1e-12).mixture
    covariance = PCA(3, svd_solver="full").fit(X).get_covariance() * (len(X) - 1) / len(X)
    metric = {"metric": "mahalanobis", "VI": np.linalg.inv(covariance)}
    squared = cdist(NEW, X.mean(axis=0)[None], **metric)[:, 0] ** 2
    np.testing.assert_allclose(2 * (one.anomaly_score(NEW) + one.bound), squared, rtol=1e-6)
    rows, distances = nearest(one, NEW, X, 2)
    expected = cdist(NEW, X, **metric)
    np.testing.assert_array_equal(rows, np.argsort(expected, axis=1)[:, :2])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :2], rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "directions", "message"),
    [
        (X, 0, "gmm.pca_components is 0: set gmm.residual to false"),
        (X, 8, "no direction outside of gmm.pca_components 8"),
        (np.c_[X, 2 * X], 8, "no direction outside of gmm.pca_components 8"),
    ],
)
def test_nothing_left_over_says_what_to_change(x, directions, message):
    with pytest.raises(PipelineError, match=message):
        fit(x, pca_components=directions, residual=True)


@pytest.mark.parametrize("value", [np.zeros(1), np.ones(2), -np.ones(1), np.full(1, np.nan)])
def test_a_malformed_residual_is_refused(value):
    mixture = fit(X, **LEFT).mixture
    again = Mixture.from_arrays(mixture.to_arrays())
    np.testing.assert_array_equal(again.anomaly_score(NEW), mixture.anomaly_score(NEW))
    with pytest.raises(PipelineError, match="residual_variance"):
        Mixture.from_arrays({**mixture.to_arrays(), "residual_variance": value})
    plain = fit(X).mixture.to_arrays()
    with pytest.raises(PipelineError, match="projection leave directions"):
        Mixture.from_arrays({**plain, "residual_variance": np.ones(1)})
