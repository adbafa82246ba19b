"""Oracles: scikit-learn's own scoring, and scipy's normal density summed naively."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from pipeline.base.errors import PipelineError
from pipeline.density.fitting import generalisation
from pipeline.density.mixture import COVARIANCE_TYPES
from tests.small_features import clusters, fit


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("pca", [0, 4])
def test_log_likelihood_equals_scikit_learns(kind, standardise, pca):
    x, new = clusters(), clusters(50, seed=1)
    mixture = fit(x, covariance_type=kind, standardise=standardise, pca_components=pca).mixture
    steps = [StandardScaler()] if standardise else []
    steps += [PCA(pca, svd_solver="full")] if pca else []
    a, b = x.astype(np.float64), new.astype(np.float64)
    for step in steps:
        a = step.fit_transform(a)
        b = step.transform(b)
    if pca:  # the same directions up to sign; then EM of scikit-learn gets the same coordinates
        np.testing.assert_allclose(np.abs(mixture.transform(new)), np.abs(b), rtol=1e-6, atol=1e-6)
    a, b = mixture.transform(x), mixture.transform(new)
    settings = {"covariance_type": kind, "init_params": "k-means++", "max_iter": 200}
    oracle = GaussianMixture(2, **settings, random_state=7).fit(a)
    expected = oracle.score_samples(b)
    np.testing.assert_allclose(mixture.log_likelihood(new), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(mixture.anomaly_score(new), -mixture.log_likelihood(new))


def test_same_seed_same_arrays_and_other_seed_another_start():
    x = np.random.default_rng(0).normal(size=(200, 3))
    seeds = (1, 1, 2**64 - 1)
    one, two, other = (fit(x, components=5, seed=seed).mixture.to_arrays() for seed in seeds)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["means"], other["means"])


def test_pca_directions_are_orthonormal_and_have_a_fixed_sign():
    projection = fit(clusters(), pca_components=3).mixture.projection
    np.testing.assert_allclose(projection @ projection.T, np.eye(3), atol=1e-12)
    assert (projection[np.arange(3), np.abs(projection).argmax(axis=1)] > 0).all()


def with_nan(x):
    x[3, 2] = np.nan
    return x


TWINS = np.repeat(clusters(20), 2, axis=1)  # every feature twice
CONSTANT = np.full((20, 3), 0.1, dtype=np.float32)


@pytest.mark.parametrize(
    ("x", "changes", "message"),
    [
        (clusters(1), {}, "give at least 2 different faces"),
        (clusters(3), {"components": 4, "covariance_type": "diag"}, "need as many faces"),
        (clusters(6), {}, "a full covariance in 6 dimensions: set gmm.pca_components to at most 3"),
        (clusters(6), {"covariance_type": "tied"}, "cannot carry a tied"),
        (clusters(20), {"pca_components": 7}, "gmm.pca_components: 7 .* at most 6"),
        (clusters(4), {"pca_components": 5}, "at most 3"),
        (with_nan(clusters(20)), {}, "1 of 20 faces have NaN or infinite features .first: row 3"),
        (CONSTANT, {}, "3 of 3 features are the same .* the encoder has collapsed"),
        (np.c_[clusters(20), np.ones(20)], {}, "1 of 7 features .*first: column 6.* at most 6"),
        (np.zeros((0, 3)), {}, r"shape \(0, 3\)"),
        (TWINS, {"regularisation": 1e-18}, "ill-conditioned at gmm.regularisation 1e-18: raise it"),
        (clusters(20), {"regularisation": 0.0}, "needs more than 0"),
    ],
)
def test_faces_that_carry_no_mixture_say_what_to_change(x, changes, message):
    with pytest.raises(PipelineError, match=message):
        fit(x, **changes)


def test_a_constant_feature_is_left_to_pca_with_a_warning():
    x = np.c_[clusters(), np.ones(300)]
    result = fit(x, pca_components=4)
    assert "1 of 7 features are the same" in result.warnings[0]
    expected = fit(clusters(), pca_components=4).mixture.anomaly_score(clusters())
    np.testing.assert_allclose(result.mixture.anomaly_score(x), expected, rtol=1e-6)


def test_a_constant_feature_has_the_variance_of_the_shrinkage():
    x = np.c_[clusters(), np.ones(300)]
    result = fit(x, components=1, shrinkage="ledoit_wolf")
    assert "1 of 7 features are the same" in result.warnings[0]
    odd = x[:1] + np.eye(7)[6]  # differs in that feature alone
    assert result.mixture.anomaly_score(odd) > result.mixture.anomaly_score(x[:1])


def test_what_a_fit_is_warned_of():
    x = np.random.default_rng(0).normal(size=(300, 4))
    result = fit(x, components=6, maximum_iterations=1, tolerance=1e-9)
    assert not result.converged and result.iterations == 1
    assert "not converged in 1 iterations" in result.warnings[0]
    assert "rest on gmm.regularisation" in fit(clusters(12), regularisation=1e-3).warnings[0]
    assert fit(clusters()).warnings == ()


def test_generalisation_figures_against_a_naive_count():
    draw = np.random.default_rng(2)
    seen, unseen = draw.normal(size=1000), draw.normal(0.1, 1, size=500)
    figures, warnings = generalisation(seen, unseen)
    assert figures["log_likelihood_fit"] == pytest.approx(-sum(seen) / 1000)
    assert figures["unseen_drop"] == pytest.approx(unseen.mean() - seen.mean())
    threshold = -np.percentile(-seen, 5)  # the authors' words: the 5th percentile of the likelihood
    expected = sum(unseen > threshold) / 500
    assert figures["paper_protocol_false_alarm_rate_unseen"] == pytest.approx(expected)
    assert warnings == []


def test_a_memorised_fit_is_called_a_collapse():
    x = np.random.default_rng(6).normal(size=(300, 40))
    score = fit(x[:80]).mixture.anomaly_score
    figures, warnings = generalisation(score(x[:80]), score(x[80:]))
    assert "collapses" in warnings[0]
    assert generalisation(score(x[:80]), score(x[80:]), shrunk=True) == (figures, [])
    assert figures["paper_protocol_false_alarm_rate_unseen"] > 0.5


@pytest.mark.parametrize("copies", [20, 60])
@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_copies_of_one_face_do_not_hide_what_they_do(copies, kind):
    """Exact copies are left out by list_faces; these were stored anew."""
    draw = np.random.default_rng(7)
    x, unseen = draw.normal(size=(78, 3)), draw.normal(size=(300, 3))
    x[:copies] = 4 + 1e-3 * draw.normal(size=(copies, 3))
    result = fit(x, components=2, covariance_type=kind)
    assert "1 of 2 components are narrower" in result.warnings[-1]
    score = result.mixture.anomaly_score
    _, warnings = generalisation(score(x), score(unseen))
    assert len(warnings) == (copies == 60)  # what they do to most of the faces
