"""What explains a face, against scikit-learn and SciPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.manifold import trustworthiness
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from pipeline.density.fitting import fit
from pipeline.density.mixture import COVARIANCE_TYPES, Mixture
from pipeline.explanation import neighbours as explanation

PLAIN = Mixture(
    "spherical", np.zeros(3), np.ones(3), np.zeros((0, 3)), np.ones(1), np.zeros((1, 3)), np.ones(1)
)


def faces(seed, n=60, d=5):
    """Two groups of different shape."""
    rng = np.random.default_rng(seed)
    one, other = (
        rng.normal(size=(n, d)) @ rng.normal(size=(d, d)),
        rng.normal(size=(n, d)) * 0.3 + 4,
    )
    return np.concatenate([one, other])[rng.permutation(2 * n)]


def fitted(kind, pca=0):
    settings: dict[str, Any] = {
        "regularisation": 1e-6,
        "maximum_iterations": 50,
        "tolerance": 1e-3,
        "starts": 1,
        "seed": 1,
    }
    return fit(
        faces(0),
        components=2,
        covariance_type=kind,
        standardise=True,
        pca_components=pca,
        **settings,
    ).mixture


def sklearns(mixture):
    model = GaussianMixture(len(mixture.weights), covariance_type=mixture.covariance_type)
    model.weights_, model.means_, model.precisions_cholesky_ = (
        mixture.weights,
        mixture.means,
        mixture.precisions_cholesky,
    )
    return model


def precision(mixture, k):
    """Inverse covariance (d, d) of a component."""
    d = mixture.dimensions
    match mixture.covariance_type:
        case "full":
            return mixture.precisions_cholesky[k] @ mixture.precisions_cholesky[k].T
        case "tied":
            return mixture.precisions_cholesky @ mixture.precisions_cholesky.T
    return np.eye(d) * mixture.precisions_cholesky[k] ** 2


# --- nearest photographs


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("pca", [0, 3])
def test_nearest_are_scikit_learns_in_the_metric_of_the_most_probable_component(kind, pca):
    mixture, asked, photographs = fitted(kind, pca), faces(1, 10), faces(2, 40)
    rows, distances = explanation.nearest(mixture, asked, photographs, 4)
    x, y = mixture.transform(asked), mixture.transform(photographs)
    components = sklearns(mixture).predict(x)
    assert set(components) == {0, 1}
    for i, k in enumerate(components):
        inverse = precision(mixture, k)
        search = NearestNeighbors(
            n_neighbors=4, algorithm="brute", metric="mahalanobis", metric_params={"VI": inverse}
        ).fit(y)
        expected = search.kneighbors(x[[i]])
        assert rows[i].tolist() == expected[1][0].tolist()
        np.testing.assert_allclose(distances[i], expected[0][0])
        assert distances[i, 0] == pytest.approx(mahalanobis(x[i], y[rows[i, 0]], inverse))


def test_a_component_that_makes_no_face_is_never_the_metric():
    both = Mixture(
        "diag",
        np.zeros(2),
        np.ones(2),
        np.zeros((0, 2)),
        np.array([0.0, 1]),
        np.zeros((2, 2)),
        np.array([[9, 9], [1, 2]]),
    )
    assert explanation.nearest(both, np.zeros((1, 2)), np.array([[3.0, 0]]), 1)[1] == pytest.approx(
        3
    )


@given(st.integers(0, 1000), st.integers(1, 30))
def test_a_photograph_is_its_own_nearest_whatever_the_order(seed, n):
    photographs = np.random.default_rng(seed).normal(size=(n, 3))
    order = np.random.default_rng(seed + 1).permutation(n)
    rows, distances = explanation.nearest(PLAIN, photographs, photographs[order], 40)
    assert rows.shape == distances.shape == (n, n) and (np.sort(rows) == np.arange(n)).all()
    np.testing.assert_array_equal(order[rows[:, 0]], np.arange(n))
    assert (distances[:, 0] == 0).all() and (np.diff(distances) >= 0).all()


def test_equally_near_photographs_come_by_row():
    rows, distances = explanation.nearest(
        PLAIN, np.zeros((1, 3)), np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, -1], [1, 0, 0]]), 3
    )
    assert rows.tolist() == [[1, 2, 3]] and distances.tolist() == [[1, 1, 1]]


# --- the map


def test_near_faces_are_near_on_the_map():
    x = faces(3)
    places, reason = explanation.projection(fitted("full"), x, seed=0)
    assert (
        reason == ""
        and places is not None
        and places.shape == (120, 2)
        and np.isfinite(places).all()
    )
    assert trustworthiness(fitted("full").transform(x), places, n_neighbors=5) > 0.9


def test_the_map_does_not_depend_on_threads(monkeypatch):
    """A product's bits differ with its threads only where it is large, so how many there are is
    looked at too.
    """
    real, threads = Mixture.transform, []

    def transform(self, features):
        threads.append({pool["num_threads"] for pool in threadpool_info()})
        return real(self, features)

    monkeypatch.setattr(Mixture, "transform", transform)
    maps = []
    for limit in (1, 3):
        with threadpool_limits(limit):
            assert limit in {pool["num_threads"] for pool in threadpool_info()}
            maps.append(explanation.projection(fitted("full"), faces(3), seed=5)[0])
    assert threads == [{1}, {1}] and maps[0] is not None and maps[1] is not None
    np.testing.assert_array_equal(maps[0], maps[1])


@pytest.mark.parametrize(("n", "d"), [(5, 3), (6, 1), (40, 2)])
def test_few_faces_and_few_dimensions_have_a_map(n, d):
    mixture = Mixture(
        "spherical",
        np.zeros(d),
        np.ones(d),
        np.zeros((0, d)),
        np.ones(1),
        np.zeros((1, d)),
        np.ones(1),
    )
    places, reason = explanation.projection(
        mixture, np.random.default_rng(n).normal(size=(n, d)), seed=1
    )
    assert reason == "" and places is not None
    assert places.shape == (n, 2) and len(np.unique(places, axis=0)) == n


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (np.random.default_rng(0).normal(size=(4, 3)), "4 faces, it needs at least 5"),
        (np.zeros((0, 3)), "0 faces"),
        (np.ones((30, 3)), "features of all 30 faces are equal"),
        (np.full((30, 3), 7e5) + np.arange(30)[:, None] * 1e-3, "are equal"),
    ],
)
def test_why_there_is_no_map(features, reason):
    places, said = explanation.projection(PLAIN, features, seed=0)
    assert places is None and "cannot be computed" in said and reason in said


# --- entries

Z = {"iso": 1.23456, "f_number": -5.25, "manipulation": float("nan")}


def an_entry(**changes):
    given: dict[str, Any] = {
        "name": "a.png",
        "score": 30.123456,
        "p_value": 0.002,
        "verdict": "flag",
        "z": Z,
    }
    given |= {"neighbours": [("b.png", 1.23456)], "covered": (2.34567, "upper left")}
    return explanation.entry(**given | changes)


def test_an_entry_names_the_head_that_deviates_most():
    assert an_entry() == {
        "name": "a.png",
        "anomaly_score": 30.123456,
        "p_value": 0.002,
        "verdict": "flag",
        "head_z": {"iso": 1.235, "f_number": -5.25, "manipulation": None},
        "deviating_head": "f_number",
        "nearest": [{"name": "b.png", "distance": 1.235}],
        "covered": {"largest_drop": 2.346, "where": "upper left"},
    }
    assert an_entry(z={"iso": np.nan})["deviating_head"] is None


def test_row_titles_are_short_lines():
    assert (
        explanation.row_title(an_entry())
        == "flag\np = 0.002\nf-number: -5.2 sd\nupper left: -2.3 nats"
    )
    nothing = an_entry(z={"iso": np.nan}, covered=(-0.5, "nowhere"), p_value=0.4321, verdict="pass")
    assert explanation.row_title(nothing) == "pass\np = 0.43\nno head varies\nno part"
