"""The nearest photographs, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from pipeline.density.mixture import COVARIANCE_TYPES, Mixture
from pipeline.explanation.neighbours import nearest
from tests import small_features

PLAIN = small_features.normal(3)


def precision(mixture, k):
    """Inverse covariance (d, d) of a component."""
    chol = mixture.precisions_cholesky
    match mixture.covariance_type:
        case "full":
            return chol[k] @ chol[k].T
        case "tied":
            return chol @ chol.T
    return np.eye(mixture.dimensions) * chol[k] ** 2


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("pca", [0, 3])
def test_nearest_are_scikit_learns_in_the_metric_of_the_most_probable_component(kind, pca):
    known, faces, photographs = np.split(small_features.clusters(170), [120, 130])
    mixture = small_features.fit(known, covariance_type=kind, pca_components=pca).mixture
    rows, distances = nearest(mixture, faces, photographs, 4)
    x, y = mixture.transform(faces), mixture.transform(photographs)
    model = GaussianMixture(2, covariance_type=kind)
    model.weights_, model.means_ = mixture.weights, mixture.means
    model.precisions_cholesky_ = mixture.precisions_cholesky
    components = model.predict(x)
    assert set(components) == {0, 1}
    for i, k in enumerate(components):
        metric = {"metric": "mahalanobis", "metric_params": {"VI": precision(mixture, k)}}
        search = NearestNeighbors(n_neighbors=4, algorithm="brute", **metric).fit(y)
        expected = search.kneighbors(x[[i]])
        assert rows[i].tolist() == expected[1][0].tolist()
        np.testing.assert_allclose(distances[i], expected[0][0])


def test_a_component_of_weight_zero_is_never_the_metric():
    precisions = np.array([[9.0, 9], [1, 2]])
    mixture = Mixture(
        "diag", np.zeros(2), np.ones(2), np.zeros((0, 2)), np.array([0.0, 1]), np.zeros((2, 2)),
        precisions,
    )  # fmt: skip
    assert nearest(mixture, np.zeros((1, 2)), np.array([[3.0, 0]]), 1)[1] == pytest.approx(3)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_a_photograph_is_its_own_nearest_whatever_the_order(seed, n):
    photographs = np.random.default_rng(seed).normal(size=(n, 3))
    order = np.random.default_rng(seed + 1).permutation(n)
    rows, distances = nearest(PLAIN, photographs, photographs[order], 40)
    assert rows.shape == distances.shape == (n, n) and (np.sort(rows) == np.arange(n)).all()
    np.testing.assert_array_equal(order[rows[:, 0]], np.arange(n))
    assert (distances[:, 0] == 0).all() and (np.diff(distances) >= 0).all()


def test_equally_near_photographs_come_by_row():
    photographs = np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, -1], [1, 0, 0]])
    rows, distances = nearest(PLAIN, np.zeros((1, 3)), photographs, 3)
    assert rows.tolist() == [[1, 2, 3]] and distances.tolist() == [[1, 1, 1]]
