"""Figures in two states: clean and perturbed, as found and harmonised."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from pipeline.audit import harmonised, robustness
from pipeline.audit.scoring import by_state
from pipeline.density.mixture import Mixture
from pipeline.face_sets.feature_sets import FeatureSet

DRAWS: Any = {"resamples": 100, "seed": 1}
GMM: Any = {
    **{"components": 1, "covariance_type": "full", "standardise": False, "pca_components": 0},
    **{"regularisation": 1e-6, "maximum_iterations": 100, "tolerance": 1e-4, "starts": 1},
    "device": "cpu",
}
ONE, ZERO = np.ones(1), np.zeros(1)
NORMAL = Mixture("spherical", ZERO, ONE, np.zeros((0, 1)), ONE, np.zeros((1, 1)), ONE)


def faces(name, count, spread=1.0, shift=0.0):
    """Features (n, 1) from a normal law."""
    rng = np.random.default_rng(len(name) + count)
    names = np.array([f"{name}/{i}" for i in range(count)])
    features = rng.normal(shift, spread, (count, 1))
    return FeatureSet(name, names, names, features, np.zeros((count, 5)), names)


def sets(**spreads):
    counts = {"photographic_fit": 90, "photographic_calibration": 40, "photographic_test": 30}
    chosen = {name: faces(name, count) for name, count in counts.items()}
    return chosen | {name: faces(name, 20, spread) for name, spread in spreads.items()}


def auc(photographic, generated):
    """Of the distance from the photographs' mean, as which one Gaussian orders the faces."""
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    return roc_auc_score(labels, np.abs(np.concatenate([photographic, generated]))[:, 0])


def test_trees_of_figures_become_one():
    interval = {"value": 1, "low": 0, "high": 2}
    trees = {"a": {"x": {"y": 1}, "z": interval}, "b": {"x": {"y": 2}, "z": None}}
    assert by_state(trees) == {"x": {"y": {"a": 1, "b": 2}}, "z": {"a": interval, "b": None}}


def test_robustness_keeps_the_mixture_and_the_threshold_of_clean_faces():
    clean = {
        name: one for name, one in sets(sim_a=3.0, sim_b=1.5).items() if name != "photographic_fit"
    }
    blurred = {name: replace(one, features=1.5 * one.features) for name, one in clean.items()}
    threshold = -norm.logpdf(1.96)
    found = robustness.compare(
        {"blur_1": (clean, blurred), "crop_1": (clean, clean)},
        NORMAL,
        {"at_5_percent": threshold},
        **DRAWS,
    )
    content = found["blur_1"]
    for state, of in (("clean", clean), ("perturbed", blurred)):
        test, a, b = (of[name].features for name in ("photographic_test", "sim_a", "sim_b"))
        assert content["generators"]["sim_a"]["auc"][state]["value"] == pytest.approx(auc(test, a))
        alarms = content["photographs"]["at_5_percent"][state]
        share = np.mean(np.abs(test) > 1.96)
        exact = binomtest(round(30 * share), 30).proportion_ci(0.95, method="exact")
        assert list(alarms.values()) == pytest.approx([share, exact.low, exact.high])
        detected = [np.mean(np.abs(x) > 1.96) for x in (a, b)]
        rate = content["generators"]["sim_b"]["at_5_percent"][state]["detection_rate"]
        assert rate == detected[1]
        assert content["mean"]["at_5_percent"][state] == pytest.approx(np.mean(detected))
    assert content["photographs"]["faces"] == 30 and content["not_computed"] == {}
    assert content["generators"]["sim_a"]["faces"] == 20
    same = found["crop_1"]["generators"]["sim_a"]
    assert (
        same["auc"]["clean"]
        == same["auc"]["perturbed"]
        == content["generators"]["sim_a"]["auc"]["clean"]
    )


def test_harmonised_faces_get_a_mixture_and_a_threshold_of_their_own():
    as_found = sets(sim_a=3.0)
    moved = {name: replace(one, features=50 + 7 * one.features) for name, one in as_found.items()}
    content, absent = harmonised.figures(
        {"as_found": as_found, "harmonised": moved}, GMM, 0.05, **DRAWS
    )
    assert absent == {} and content["warnings"] == []
    assert (content["fit_faces"], content["calibration_faces"]) == (90, 40)
    assert content["faces"] == {"photographic_test": 30, "sim_a": 20}
    centre = as_found["photographic_fit"].features.mean()
    away = {name: np.abs(one.features - centre) for name, one in as_found.items()}
    threshold = np.sort(away["photographic_calibration"], axis=0)[38]  # rank ceil(41 x 0.95)
    for state in ("as_found", "harmonised"):
        figures = content["generators"]["sim_a"]
        expected = auc(away["photographic_test"], away["sim_a"])
        assert figures["auc"][state]["value"] == pytest.approx(expected)
        rates = (figures["detection_rate"][state], content["false_alarm_rate"][state])
        for rate, name in zip(rates, ("sim_a", "photographic_test"), strict=True):
            assert rate["value"] == np.mean(away[name] > threshold)
        assert content["mean"]["auc"][state] == figures["auc"][state]["value"]


def test_a_state_that_cannot_be_fitted_has_no_figures():
    as_found = sets(sim_a=3.0)
    few = as_found | {"photographic_calibration": faces("photographic_calibration", 5)}
    content, absent = harmonised.figures(
        {"as_found": as_found, "harmonised": few}, GMM, 0.05, **DRAWS
    )
    nothing = {"value": None, "low": None, "high": None}
    assert content["generators"]["sim_a"]["auc"]["harmonised"] == nothing
    assert content["mean"]["detection_rate"]["harmonised"] is None
    assert content["mean"]["auc"]["as_found"] is not None
    (reason,) = absent.values()
    assert "calibration" in reason and "(90 faces to fit, 5 to calibrate with" in reason
