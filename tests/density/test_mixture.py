"""The mixture as an object: saved, read back, refused when malformed. The oracles of its scores are
in test_fitting.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.density.mixture import COVARIANCE_TYPES, Mixture
from tests.small_features import clusters, fit

MIXTURE = fit(clusters(), pca_components=4).mixture


@settings(max_examples=20)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_a_face_scores_alike_in_any_company(order, alone):
    x = clusters(12, seed=4)
    score = MIXTURE.anomaly_score
    np.testing.assert_allclose(score(x[list(order)]), score(x)[list(order)], rtol=1e-12)
    np.testing.assert_allclose(score(x[[alone]]), score(x)[[alone]], rtol=1e-12)


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("pca", [0, 3])
def test_arrays_come_back_the_same(kind, pca):
    mixture = fit(clusters(), covariance_type=kind, pca_components=pca).mixture
    again = Mixture.from_arrays(mixture.to_arrays())
    assert again.covariance_type == kind
    assert all(array.dtype != object for array in mixture.to_arrays().values())
    x = clusters(9)
    np.testing.assert_array_equal(again.anomaly_score(x), mixture.anomaly_score(x))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", None, "missing keys"),
        ("surprise", np.zeros(1), "unknown keys"),
        ("covariance_type", np.array("round"), "'round' is none of"),
        ("weights", np.array([0.5, 0.4]), "distribution"),
        ("weights", np.array([np.nan, 1.0]), "finite"),
        ("means", np.zeros((2, 5)), r"'means' must be .*shape \(2, 4\), got float64 \(2, 5\)"),
        ("means", np.zeros(2), r"'means' must be .*, got float64 \(2,\)"),
        ("projection", np.zeros((4, 5)), r"'projection' must be .*\(4, 6\), got float64 \(4, 5\)"),
        ("shift", np.zeros(6, dtype=np.float32), "'shift' .*float32"),
        ("scale", np.zeros(6), "scale must be positive"),
    ],
)
def test_a_malformed_mixture_is_refused_by_name(key, value, message):
    arrays = MIXTURE.to_arrays()
    arrays.pop(key, None)
    if value is not None:
        arrays[key] = value
    with pytest.raises(PipelineError, match=rf"models/gmm\.npz: .*{message}.*: run fit_gmm again"):
        Mixture.from_arrays(arrays, "models/gmm.npz")


def test_a_wrong_width_names_both_widths():
    with pytest.raises(PipelineError, match="5 features, the mixture was fitted on 6"):
        MIXTURE.anomaly_score(clusters(d=5))
