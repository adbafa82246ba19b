"""Figures with intervals against scipy, NumPy and scikit-learn; what cannot be computed is None with a reason."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline import bootstrap, estimates
from pipeline.bootstrap import Sample

DRAWS: Any = {"resamples": 300, "seed": 1}


def sample(n, *, shift=0.0, per_group=1, seed=0):
    scores = np.random.default_rng(seed).normal(shift, 1, n)
    return Sample(scores, np.array([f"{i // per_group:03}" for i in range(n)]))


PHOTOGRAPHS, FACES = sample(80, per_group=2), sample(50, shift=1, seed=1)


def test_values_are_those_of_scikit_learn_and_numpy():
    found = estimates.estimate(PHOTOGRAPHS, {"a": FACES}, {"low": 0.2, "high": 1.5}, **DRAWS)
    pooled, labels = np.concatenate([PHOTOGRAPHS.scores, FACES.scores]), np.repeat([0, 1], [80, 50])
    assert found.aucs["a"]["value"] == pytest.approx(roc_auc_score(labels, pooled))
    for key, threshold in (("low", 0.2), ("high", 1.5)):
        assert found.false_alarm_rates[key]["value"] == np.mean(PHOTOGRAPHS.scores > threshold)
        assert found.detection_rates["a"][key]["value"] == np.mean(FACES.scores > threshold)
    assert found.not_computed == {}


def test_detection_has_the_exact_binomial_interval():
    for threshold in (-9, 0.5, 9):
        found = estimates.detection_rate(FACES.scores, threshold)
        expected = binomtest(int((FACES.scores > threshold).sum()), 50).proportion_ci(0.95, method="exact")
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))


def test_photographs_and_auc_have_the_percentiles_of_their_group_bootstrap():
    alarms = estimates.false_alarm_rate(PHOTOGRAPHS, 0.5, **DRAWS)
    expected = np.quantile(bootstrap.rate_replicates(PHOTOGRAPHS, 0.5, **DRAWS), [0.025, 0.975])
    assert [alarms["low"], alarms["high"]] == pytest.approx(expected)
    auc = estimates.auc(PHOTOGRAPHS, FACES, **DRAWS)
    expected = np.quantile(bootstrap.auc_replicates(PHOTOGRAPHS, FACES, **DRAWS), [0.025, 0.975])
    assert [auc["low"], auc["high"]] == pytest.approx(expected)


def test_photographs_of_one_person_have_values_and_no_interval():
    alone = Sample(PHOTOGRAPHS.scores, np.repeat("one", 80))
    found = estimates.estimate(alone, {"a": FACES}, {"low": 0.2}, **DRAWS)
    for one in (found.false_alarm_rates["low"], found.aucs["a"]):
        assert one["value"] is not None and one["low"] is one["high"] is None
    assert found.detection_rates["a"]["low"]["low"] is not None
    assert found.not_computed == {
        "intervals of the false alarm rate and of every AUC": f"photographs: {bootstrap.obstacle(alone)}"
    }


def test_a_generator_with_one_face_has_no_interval_of_its_auc():
    found = estimates.estimate(PHOTOGRAPHS, {"a": FACES, "b": sample(1)}, {"low": 0.2}, **DRAWS)
    assert found.aucs["b"]["low"] is None and found.aucs["a"]["low"] is not None
    assert list(found.not_computed) == ["b: interval of the AUC"]
    assert found.detection_rates["b"]["low"]["high"] in (1.0, pytest.approx(0.975))


def test_constant_scores_are_worth_nothing():
    constant = Sample(np.zeros(80), PHOTOGRAPHS.groups)
    assert estimates.auc(constant, Sample(np.zeros(50), FACES.groups), **DRAWS) == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_the_mean_needs_every_value():
    values = {name: estimates.detection_rate(FACES.scores, threshold) for name, threshold in (("a", 0), ("b", 1))}
    assert estimates.mean(values) == pytest.approx(np.mean([np.mean(FACES.scores > t) for t in (0, 1)]))
    assert estimates.mean({**values, "c": {"value": None, "low": None, "high": None}}) is None
