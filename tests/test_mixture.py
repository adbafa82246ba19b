"""The mixture as an object: saved, read back, refused when malformed. Its scores' oracles are in
test_density.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.density import fitting as density
from pipeline.density.mixture import COVARIANCE_TYPES, Mixture, feature_set


def faces(n=300, d=6, seed=0):
    return (
        np.random.default_rng(seed)
        .normal(5, np.geomspace(0.1, 30, d), size=(n, d))
        .astype(np.float32)
    )


def fit(kind="full", pca=4):
    return density.fit(
        faces(),
        components=2,
        covariance_type=kind,
        standardise=True,
        pca_components=pca,
        regularisation=1e-6,
        maximum_iterations=100,
        tolerance=1e-3,
        starts=1,
        seed=7,
    ).mixture


MIXTURE = fit()


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_a_face_scores_alike_in_any_company(order, alone):
    x = faces(12, seed=4)
    scores = MIXTURE.anomaly_score(x)
    np.testing.assert_allclose(
        MIXTURE.anomaly_score(x[list(order)]), scores[list(order)], rtol=1e-12
    )
    np.testing.assert_allclose(MIXTURE.anomaly_score(x[[alone]]), scores[[alone]], rtol=1e-12)


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("pca", [0, 3])
def test_arrays_come_back_the_same(kind, pca):
    mixture = fit(kind, pca)
    again = Mixture.from_arrays(mixture.to_arrays())
    assert again.covariance_type == kind
    assert all(array.dtype != object for array in mixture.to_arrays().values())
    np.testing.assert_array_equal(again.anomaly_score(faces(9)), mixture.anomaly_score(faces(9)))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", None, "missing keys"),
        ("surprise", np.zeros(1), "unknown keys"),
        ("covariance_type", np.array("round"), "'round' is none of"),
        ("weights", np.array([0.5, 0.4]), "distribution"),
        ("weights", np.array([np.nan, 1.0]), "finite"),
        ("means", np.zeros((2, 5)), r"projection.*shape \(5, 6\)"),
        ("means", np.zeros(2), "'means' must be a table"),
        ("shift", np.zeros(6, dtype=np.float32), "shift.*float32"),
        ("scale", np.zeros(6), "scale must be positive"),
    ],
)
def test_a_malformed_mixture_is_refused_by_name(key, value, message):
    arrays = MIXTURE.to_arrays()
    arrays.pop(key, None)
    if value is not None:
        arrays[key] = value
    with pytest.raises(PipelineError, match=message) as caught:
        Mixture.from_arrays(arrays, "models/gmm.npz")
    assert "models/gmm.npz" in str(caught.value)


def test_a_wrong_width_names_both_widths():
    with pytest.raises(PipelineError, match="5 features, the mixture was fitted on 6"):
        MIXTURE.anomaly_score(faces(d=5))


def test_feature_set_gives_names_and_float64():
    names, features = feature_set(
        {"names": np.array(["a", "b"]), "features": np.ones((2, 3), np.float32)}, "x.npz"
    )
    assert list(names) == ["a", "b"] and features.dtype == np.float64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array(["a"])}, r"x\.npz: missing keys \['features'\]"),
        ({"names": np.array(["a"]), "features": np.ones((2, 3))}, "1 names for 2 faces"),
        ({"names": np.array(["a", "a"]), "features": np.ones((2, 3))}, "a name twice"),
        (
            {"names": np.array(["a"]), "features": np.array([[np.inf]])},
            r"x\.npz: 1 of 1 faces have NaN or infinite",
        ),
    ],
)
def test_a_malformed_feature_set_is_refused(arrays, message):
    with pytest.raises(PipelineError, match=message):
        feature_set(arrays, "x.npz")
