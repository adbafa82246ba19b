"""Oracles: scikit-learn's own scoring, and scipy's normal density summed naively."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.base.errors import PipelineError
from pipeline.density import fitting as density
from pipeline.density.mixture import COVARIANCE_TYPES

SETTINGS = {
    "components": 2,
    "covariance_type": "full",
    "standardise": True,
    "pca_components": 0,
    "regularisation": 1e-6,
    "maximum_iterations": 100,
    "tolerance": 1e-3,
    "starts": 1,
    "seed": 7,
}


def faces(n=300, d=6, seed=0):
    """Two clusters of correlated features with unequal scales."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, d)) @ draw.normal(size=(d, d)) + 3 * np.repeat(
        [[0.0], [2.0]], [n // 2, n - n // 2], axis=0
    )
    return (x * np.geomspace(0.1, 30, d) + 5).astype(np.float32)


def fit(x, **changes):
    return density.fit(x, **{**SETTINGS, **changes})


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("pca", [0, 4])
def test_log_likelihood_equals_scikit_learns(kind, standardise, pca):
    x, new = faces(), faces(50, seed=1)
    mixture = fit(x, covariance_type=kind, standardise=standardise, pca_components=pca).mixture
    steps = [StandardScaler()] if standardise else []
    steps += [PCA(pca, svd_solver="full")] if pca else []
    a, b = x.astype(np.float64), new.astype(np.float64)
    for step in steps:
        a = step.fit_transform(a)
        b = step.transform(b)
    if (
        pca
    ):  # the same directions up to sign; then the same coordinates are given to scikit-learn's EM
        np.testing.assert_allclose(np.abs(mixture.transform(new)), np.abs(b), rtol=1e-6, atol=1e-6)
    a, b = mixture.transform(x), mixture.transform(new)
    oracle = GaussianMixture(
        2, covariance_type=kind, init_params="k-means++", random_state=7, max_iter=100
    ).fit(a)
    np.testing.assert_allclose(
        mixture.log_likelihood(new), oracle.score_samples(b), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_array_equal(mixture.anomaly_score(new), -mixture.log_likelihood(new))


def test_log_likelihood_is_the_published_formula():
    mixture = fit(faces(), components=3, standardise=False).mixture
    new = faces(20, seed=3).astype(np.float64)
    naive = np.empty(20)
    for i, face in enumerate(new):
        terms = []
        for weight, mean, chol in zip(
            mixture.weights, mixture.means, mixture.precisions_cholesky, strict=True
        ):
            covariance = np.linalg.inv(chol @ chol.T)
            terms.append(
                np.log(weight)
                + multivariate_normal(mean, covariance, allow_singular=True).logpdf(face)
            )
        naive[i] = logsumexp(terms)
    np.testing.assert_allclose(mixture.log_likelihood(new), naive, rtol=1e-6)


def test_one_component_is_the_sample_mean_and_covariance():
    x = faces().astype(np.float64)
    mixture = fit(x, components=1, standardise=False, regularisation=1e-9).mixture
    expected = multivariate_normal(
        x.mean(axis=0), np.cov(x.T, bias=True), allow_singular=True
    ).logpdf(x)
    np.testing.assert_allclose(mixture.log_likelihood(x), expected, rtol=1e-5)


def test_same_seed_same_arrays_and_other_seed_another_start():
    x = np.random.default_rng(0).normal(size=(200, 3))
    one, two, other = (fit(x, components=5, seed=seed).mixture.to_arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["means"], other["means"])


def test_the_number_of_cores_does_not_matter():
    x = np.random.default_rng(0).normal(size=(600, 64))
    arrays = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            arrays.append(fit(x, pca_components=16).mixture.to_arrays())
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def test_seeds_of_64_bits_are_accepted():
    assert fit(faces(), seed=2**64 - 1).faces == 300


def test_pca_directions_are_orthonormal_and_have_a_fixed_sign():
    projection = fit(faces(), pca_components=3).mixture.projection
    np.testing.assert_allclose(projection @ projection.T, np.eye(3), atol=1e-12)
    assert (projection[np.arange(3), np.abs(projection).argmax(axis=1)] > 0).all()


MIXTURE = fit(faces(), pca_components=4).mixture


def test_far_faces_are_more_anomalous():
    centre = faces().mean(axis=0)
    scores = MIXTURE.anomaly_score(np.stack([centre, centre + 50, centre + 500]))
    assert scores[0] < scores[1] < scores[2]


def test_standardising_makes_units_irrelevant():
    x, units = faces(), np.array([1, 10, 100, 0.1, 0.01, 7])
    one, two = fit(x.astype(np.float64)).mixture, fit(x * units).mixture
    np.testing.assert_allclose(one.anomaly_score(x), two.anomaly_score(x * units), rtol=1e-6)


def with_nan(x):
    x[3, 2] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "changes", "message"),
    [
        (faces(1), {}, "give at least 2 different faces"),
        (faces(3), {"components": 4, "covariance_type": "diag"}, "need as many faces"),
        (
            faces(6),
            {},
            "cannot carry a full covariance in 6 dimensions: set gmm.pca_components to at most 3",
        ),
        (faces(6), {"covariance_type": "tied"}, "cannot carry a tied"),
        (faces(20), {"pca_components": 7}, "gmm.pca_components: 7 .* at most 6"),
        (faces(4), {"pca_components": 5}, "at most 3"),
        (with_nan(faces(20)), {}, "1 of 20 faces have NaN or infinite features .first: row 3"),
        (np.zeros((20, 3)), {}, "all 3 features are the same"),
        (np.full((20, 3), 0.1, dtype=np.float32), {}, "all 3 features are the same"),
        (np.c_[faces(20), np.ones(20)], {}, "1 of 7 features .*first: column 6.* at most 6"),
        (np.zeros((0, 3)), {}, r"shape \(0, 3\)"),
        (np.zeros(3), {}, r"shape \(3,\)"),
        (
            np.repeat(faces(20), 2, axis=1),
            {"regularisation": 1e-18},
            "ill-conditioned at gmm.regularisation 1e-18: raise it",
        ),
        (faces(20), {"regularisation": 0.0}, "needs more than 0"),
    ],
)
def test_faces_that_carry_no_mixture_say_what_to_change(x, changes, message):
    with pytest.raises(PipelineError, match=message):
        fit(x, **changes)


def test_a_constant_feature_is_left_to_pca_with_a_warning():
    x = np.c_[faces(), np.ones(300)]
    result = fit(x, pca_components=4)
    assert any("1 of 7 features" in warning for warning in result.warnings)
    np.testing.assert_allclose(
        result.mixture.anomaly_score(x), MIXTURE.anomaly_score(faces()), rtol=1e-6
    )


def test_no_convergence_is_a_warning():
    x = np.random.default_rng(0).normal(size=(300, 4))
    result = fit(x, components=6, maximum_iterations=1, tolerance=1e-9)
    assert not result.converged and result.iterations == 1
    assert any("not converged in 1 iterations" in warning for warning in result.warnings)


def test_fewer_faces_than_one_covariance_each_needs_is_a_warning():
    assert any(
        "rest on gmm.regularisation" in w for w in fit(faces(12), regularisation=1e-3).warnings
    )
    assert fit(faces()).warnings == ()


def test_generalisation_figures_against_a_naive_count():
    draw = np.random.default_rng(2)
    seen, unseen = draw.normal(size=1000), draw.normal(0.1, 1, size=500)
    figures, warnings = density.generalisation(seen, unseen)
    assert figures["log_likelihood_fit"] == pytest.approx(-sum(seen) / 1000)
    assert figures["held_out_drop"] == pytest.approx(unseen.mean() - seen.mean())
    threshold = -np.percentile(-seen, 5)  # the authors' words: the 5th percentile of the likelihood
    assert figures["paper_protocol_false_alarm_rate_held_out"] == pytest.approx(
        sum(unseen > threshold) / 500
    )
    assert warnings == []


def test_the_expected_gap_is_parameters_over_faces():
    d, n = 20, 200
    draw = np.random.default_rng(5)
    gaps = []
    for _ in range(20):
        seen, unseen = draw.normal(size=(n, d)), draw.normal(size=(2000, d))
        mixture = fit(seen, components=1, standardise=False).mixture
        gaps.append(
            density.generalisation(mixture.anomaly_score(seen), mixture.anomaly_score(unseen))[0][
                "held_out_drop"
            ]
        )
    assert np.mean(gaps) == pytest.approx((d + d * (d + 1) / 2) / n, rel=0.2)


def test_a_memorised_fit_is_called_a_collapse():
    x = np.random.default_rng(6).normal(size=(300, 40))
    mixture = fit(x[:80], components=2).mixture
    figures, warnings = density.generalisation(
        mixture.anomaly_score(x[:80]), mixture.anomaly_score(x[80:])
    )
    assert "collapses" in warnings[0]
    assert figures["paper_protocol_false_alarm_rate_held_out"] > 0.5
