"""The map of the feature space."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.density.mixture import Mixture
from pipeline.explanation.feature_map import feature_map
from tests import small_features


def test_near_faces_are_near_on_the_map():
    faces = small_features.clusters(120)
    mixture = small_features.fit(faces).mixture
    places, reason = feature_map(mixture, faces, seed=0)
    assert places is not None and reason == "" and places.shape == (120, 2)
    assert trustworthiness(mixture.transform(faces), places, n_neighbors=5) > 0.9


def test_the_map_does_not_depend_on_threads(monkeypatch):
    """A product's bits differ with its threads only where it is large, so their number is looked at
    too.
    """
    transform, threads = Mixture.transform, []

    def spy(self, features):
        threads.append({pool["num_threads"] for pool in threadpool_info()})
        return transform(self, features)

    monkeypatch.setattr(Mixture, "transform", spy)
    maps = []
    for limit in (1, 3):
        with threadpool_limits(limit):
            maps.append(
                feature_map(small_features.normal(6), small_features.clusters(40), seed=5)[0]
            )
    assert threads == [{1}, {1}] and maps[0] is not None
    np.testing.assert_array_equal(maps[0], maps[1])


@pytest.mark.parametrize(("n", "d"), [(5, 3), (6, 1), (40, 2)])
def test_few_faces_and_few_dimensions_have_a_map(n, d):
    places, reason = feature_map(
        small_features.normal(d), np.random.default_rng(n).normal(size=(n, d)), seed=1
    )
    assert places is not None and reason == ""
    assert places.shape == (n, 2) and len(np.unique(places, axis=0)) == n


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (np.eye(4, 3), "4 faces, it needs at least 5"),
        (np.zeros((0, 3)), "0 faces"),
        (np.ones((30, 3)), "those of all 30 faces are equal"),
        (np.full((30, 3), 7e5) + np.arange(30)[:, None] * 1e-3, "are equal"),
    ],
)
def test_why_there_is_no_map(features, reason):
    places, said = feature_map(small_features.normal(3), features, seed=0)
    assert places is None and said.startswith("no map of the features") and reason in said
