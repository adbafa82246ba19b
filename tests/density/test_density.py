"""Features and heads together, against scikit-learn's parts and Fisher's formula."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.common.splits import folds
from pipeline.density.density import FOLDS, Density, fit_density
from tests.small_features import SETTINGS, clusters, fit

PERSONS = np.array([f"p{i // 2}" for i in range(240)])
FEATURES, HEADS = clusters(240, d=12), clusters(240, d=5, seed=1)
NEW = clusters(60, d=12, seed=2) * 1.3, clusters(60, d=5, seed=3) * 0.7
SHRUNK = {"components": 1, "shrinkage": "ledoit_wolf"}


@cache
def made(seen, **changes):
    settings = {**SETTINGS, **SHRUNK, "input": seen, "sides": "upper", **changes}
    return fit_density(FEATURES, HEADS, PERSONS, settings, settings.pop("seed"))


@pytest.mark.parametrize("seen", ["features", "heads"])
def test_one_mixture_is_scored_as_it_is(seen):
    """The heads without principal components, whatever the features have."""
    settings = {"components": 2, "shrinkage": "none", "pca_components": 7, "residual": True}
    density = made(seen, **settings).density
    of_heads = {} if seen == "features" else {"pca_components": 0, "residual": False}
    alone = fit((FEATURES, HEADS)[seen == "heads"], **{**settings, **of_heads}).mixture
    expected = alone.anomaly_score(NEW[seen == "heads"])
    np.testing.assert_array_equal(density.anomaly_score(*NEW), expected)
    assert density.space == seen


def log_distance(x, new):
    """Of the Ledoit-Wolf Gaussian of x, by scikit-learn; x and new (n, D)."""
    x, new = x.astype(np.float64), new.astype(np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    return np.log(LedoitWolf().fit((x - mean) / spread).mahalanobis((new - mean) / spread))


def test_both_are_fishers_sum_of_tail_probabilities():
    fold = folds(PERSONS, FOLDS, key(SETTINGS["seed"], "cross-fitting"))
    total = np.zeros(60)
    for table, new in zip((FEATURES, HEADS), NEW, strict=True):
        unseen = np.concatenate(
            [log_distance(table[fold != i], table[fold == i]) for i in range(FOLDS)]
        )
        law = stats.norm(unseen.mean(), unseen.std(ddof=1))
        total -= np.log(law.sf(log_distance(table, new)))
    np.testing.assert_allclose(made("both").density.anomaly_score(*NEW), total, rtol=1e-6)


def test_both_sides_are_fishers_sum_of_two_sided_probabilities():
    """By their laws, which are those of one side; the side is that of the larger deviation."""
    density = made("both", sides="both").density
    total, deviations = np.zeros(60), []
    middle, farther = FEATURES.mean(axis=0), np.linspace(0.6, 1.4, 60)[:, None]
    faces = middle + farther * (FEATURES[:60] - middle), HEADS[60:120]
    for name, table, new in zip(("features", "heads"), (FEATURES, HEADS), faces, strict=True):
        np.testing.assert_array_equal(density.laws[name], made("both").density.laws[name])
        below = stats.norm(*density.laws[name]).cdf(log_distance(table, new))
        total -= np.log(2 * np.minimum(below, 1 - below))
        deviations.append(below - 0.5)
    np.testing.assert_allclose(density.anomaly_score(*faces), total, rtol=1e-5)
    larger = [max(pair, key=abs) for pair in zip(*deviations, strict=True)]
    expected = ["too typical" if one < 0 else "too unusual" for one in larger]
    assert density.side(*faces).tolist() == expected and len(set(expected)) == 2
    assert set(made("both").density.side(*NEW)) == {"too unusual"}


def test_the_false_alarm_rate_of_both_sides_holds_though_the_law_is_wrong():
    """Squared distances of uniform faces are no log-normal ones; of 39 calibration photographs the
    threshold for 10 % is the 36th, so that a new one exceeds it with a chance of exactly 4 / 40.
    """
    draw = np.random.default_rng(3)
    settings = {**SETTINGS, **SHRUNK, "input": "features", "sides": "both"}
    del settings["seed"]
    density = fit_density(draw.uniform(size=(200, 3)), HEADS[:200], PERSONS[:200], settings, 7)
    x = draw.uniform(size=(2000 * 40, 3))
    scores = density.density.anomaly_score(x, x).reshape(2000, 40)
    thresholds = np.array([conformal_threshold(row[:39], 0.1) for row in scores])
    alarms = scores[:, 39] > thresholds
    assert alarms.mean() == pytest.approx(0.1, abs=3 * np.sqrt(0.1 * 0.9 / 2000))
    sides = density.density.side(x, x).reshape(2000, 40)[:, 39]
    assert set(sides[alarms]) == {"too typical", "too unusual"}


@given(st.integers(0, 11), st.floats(1, 1e4), st.floats(1.01, 100))
def test_farther_out_is_always_more_anomalous(row, far, times):
    """Beyond all photographs too, where counted p-values would be equal."""
    density = made("both").density
    means = [table.mean(axis=0, dtype=np.float64) for table in (FEATURES, HEADS)]
    step = np.abs(NEW[0][[row]] - means[0]) + 1
    near, out = (means[0] + k * step for k in (far, far * times))
    scores = density.anomaly_score(np.concatenate([near, out]), np.repeat(means[1][None], 2, 0))
    assert np.isfinite(scores).all() and scores[1] > scores[0]


@pytest.mark.parametrize("sides", ["upper", "both"])
@pytest.mark.parametrize("seen", ["features", "heads", "both"])
def test_arrays_come_back_the_same(seen, sides, tmp_path):
    density = made(seen, sides=sides).density
    artifacts.write_npz(tmp_path / "gmm.npz", **density.to_arrays())
    again = Density.from_arrays(artifacts.read_npz(tmp_path / "gmm.npz"))
    np.testing.assert_array_equal(again.anomaly_score(*NEW), density.anomaly_score(*NEW))


def test_the_same_photographs_give_the_same_arrays_on_any_number_of_cores():
    wide = np.random.default_rng(0).normal(size=(240, 200))
    settings = {**SETTINGS, **SHRUNK, "input": "both", "sides": "both"}
    seed, found = settings.pop("seed"), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(fit_density(wide, HEADS, PERSONS, settings, seed).density.to_arrays())
    one, two = found
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads.law": None}, "each of two mixtures, and one for both sides, needs"),
        (
            {"heads.law": np.array([1.0, 0.0])},
            "each of two mixtures, and one for both sides, needs",
        ),
        (
            {"heads.law": np.array([1.0, np.inf])},
            "each of two mixtures, and one for both sides, needs",
        ),
        ({"features.weights": None}, r"features: missing keys \['weights'\]"),
        ({"surprise.weights": np.ones(1)}, r"mixtures of \['features', 'heads', 'surprise'\]"),
        ({"sides": np.array("lower")}, "sides lower, expected one of upper, both"),
        ({"sides": None}, "sides not said"),
    ],
)
def test_a_malformed_density_is_refused_by_name(changes, message):
    arrays = {**made("both").density.to_arrays(), **changes}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(PipelineError, match=rf"models/gmm\.npz.*{message}.*: run fit_gmm again"):
        Density.from_arrays(arrays, "models/gmm.npz")


def test_a_mixture_alone_has_no_law():
    arrays = {**made("features").density.to_arrays(), "features.law": np.ones(2)}
    with pytest.raises(PipelineError, match="and one for the upper side none"):
        Density.from_arrays(arrays)


def test_what_cannot_be_fitted_says_of_which_mixture():
    settings = {**SETTINGS, **SHRUNK, "input": "both", "sides": "upper"}
    seed = settings.pop("seed")
    with pytest.raises(
        PipelineError, match=r"gmm\.input both, heads: 5 of 5 features are the same"
    ):
        fit_density(FEATURES, np.ones((240, 5)), PERSONS, settings, seed)
    with pytest.raises(PipelineError, match="photographs to fit of 3 persons, 5 are needed"):
        fit_density(FEATURES, HEADS, np.repeat(["a", "b", "c"], 80), settings, seed)
