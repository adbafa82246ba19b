"""Figures with intervals against scipy, NumPy and scikit-learn; what cannot be computed is None
with a reason.
"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import bootstrap, estimates
from pipeline.evaluation.bootstrap import Sample

DRAWS: Any = {"resamples": 300, "seed": 1}


def sample(n, *, shift=0.0, per_group=1, seed=0):
    scores = np.random.default_rng(seed).normal(shift, 1, n)
    return Sample(scores, np.array([f"{i // per_group:03}" for i in range(n)]))


PHOTOGRAPHS, FACES = sample(80, per_group=2), sample(50, shift=1, seed=1)


def test_values_are_those_of_scikit_learn_and_numpy():
    got = estimates.estimate(PHOTOGRAPHS, {"a": FACES}, {"low": 0.2, "high": 1.5}, **DRAWS)
    pooled, labels = np.concatenate([PHOTOGRAPHS.scores, FACES.scores]), np.repeat([0, 1], [80, 50])
    assert got.aucs["a"]["value"] == pytest.approx(roc_auc_score(labels, pooled))
    for key, threshold in (("low", 0.2), ("high", 1.5)):
        assert got.false_alarm_rates[key]["value"] == np.mean(PHOTOGRAPHS.scores > threshold)
        assert got.detection_rates["a"][key]["value"] == np.mean(FACES.scores > threshold)
    assert got.not_computed == {}


@pytest.mark.parametrize("threshold", [-9, 0.5, 9])
def test_rates_have_the_exact_binomial_interval(threshold):
    got = estimates.rate(FACES.scores, threshold)
    above = int((FACES.scores > threshold).sum())
    expected = binomtest(above, 50).proportion_ci(0.95, method="exact")
    assert (got["low"], got["high"]) == pytest.approx((expected.low, expected.high))


def test_auc_has_the_percentiles_of_its_group_bootstrap():
    auc, reason = estimates.auc(PHOTOGRAPHS, FACES, **DRAWS)
    expected = np.quantile(bootstrap.auc_replicates(PHOTOGRAPHS, FACES, **DRAWS), [0.025, 0.975])
    assert [auc["low"], auc["high"]] == pytest.approx(expected) and reason == ""


def test_a_single_person_gives_no_interval_of_the_auc_but_of_the_rates():
    alone = Sample(PHOTOGRAPHS.scores, np.repeat("one", 80))
    for photographs, faces, reason in (
        (alone, FACES, f"photographs: {bootstrap.obstacle(alone)}"),
        (PHOTOGRAPHS, sample(1), bootstrap.obstacle(sample(1))),
    ):
        got = estimates.estimate(photographs, {"a": faces}, {"low": 0.2}, **DRAWS)
        assert got.aucs["a"]["value"] is not None
        assert got.aucs["a"]["low"] is got.aucs["a"]["high"] is None
        assert got.detection_rates["a"]["low"]["high"] is not None
        assert got.false_alarm_rates["low"] == estimates.rate(PHOTOGRAPHS.scores, 0.2)
        assert got.not_computed == {"a: interval of the AUC": reason}


def test_where_all_scores_tie_the_auc_has_no_interval():
    """Percentiles would say that it is exactly one half."""
    photographs = PHOTOGRAPHS._replace(scores=np.zeros(80))
    faces = FACES._replace(scores=np.zeros(50))
    got = estimates.estimate(photographs, {"a": faces}, {"low": 0.5}, **DRAWS)
    assert got.aucs["a"] == {"value": 0.5, "low": None, "high": None}
    (reason,) = got.not_computed.values()
    assert reason.startswith("cannot be computed: all resamples give 0.5, so they")


@pytest.mark.parametrize(("shift", "auc"), [(99, 1), (-99, 0)])
def test_separated_classes_have_the_exact_interval_of_pairs_of_strangers(shift, auc):
    """80 photographs of 40 persons beside 50 faces: 40 pairs without a common person."""
    faces = FACES._replace(scores=FACES.scores + shift)
    got = estimates.estimate(PHOTOGRAPHS, {"a": faces}, {"low": 0.5}, **DRAWS)
    expected = binomtest(40 * auc, 40).proportion_ci(0.95, method="exact")
    assert got.aucs["a"]["value"] == auc and got.not_computed == {}
    assert (got.aucs["a"]["low"], got.aucs["a"]["high"]) == pytest.approx(tuple(expected))


def test_what_is_missing_in_all_states_is_said_once():
    lack = {"a: interval": "one face"}
    assert estimates.missing({"clean": lack, "as_found": lack}) == lack
    more = lack | {"b: interval": "all agree"}
    got = estimates.missing({"clean": lack, "as_found": more, "third": {"a: interval": "gone"}})
    assert got == {
        "a: interval, clean": "one face",
        "a: interval, as found": "one face",
        "b: interval, as found": "all agree",
        "a: interval, third": "gone",
    }
    assert estimates.missing({"clean": {}, "as_found": {}}) == {}


def test_the_mean_needs_every_value():
    values = {name: estimates.rate(FACES.scores, at) for name, at in (("a", 0), ("b", 1))}
    expected = np.mean([np.mean(FACES.scores > at) for at in (0, 1)])
    assert estimates.mean(values) == pytest.approx(expected)
    assert estimates.mean({**values, "c": {"value": None, "low": None, "high": None}}) is None
