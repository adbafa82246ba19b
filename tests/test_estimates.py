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
    found = estimates.estimate(PHOTOGRAPHS, {"a": FACES}, {"low": 0.2, "high": 1.5}, **DRAWS)
    pooled, labels = np.concatenate([PHOTOGRAPHS.scores, FACES.scores]), np.repeat([0, 1], [80, 50])
    assert found.aucs["a"]["value"] == pytest.approx(roc_auc_score(labels, pooled))
    for key, threshold in (("low", 0.2), ("high", 1.5)):
        assert found.false_alarm_rates[key]["value"] == np.mean(PHOTOGRAPHS.scores > threshold)
        assert found.detection_rates["a"][key]["value"] == np.mean(FACES.scores > threshold)
    assert found.not_computed == {}


@pytest.mark.parametrize("faces", [PHOTOGRAPHS, FACES])
def test_rates_have_the_exact_binomial_interval(faces):
    for threshold in (-9, 0.5, 9):
        found = estimates.rate(faces.scores, threshold)
        n = len(faces.scores)
        expected = binomtest(int((faces.scores > threshold).sum()), n).proportion_ci(
            0.95, method="exact"
        )
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["value"] == found["low"] == 0 and found["high"] == pytest.approx(
        1 - 0.025 ** (1 / n)
    )


def test_false_alarms_have_it_whoever_is_on_the_photographs():
    alone = PHOTOGRAPHS._replace(groups=np.repeat("one", 80))
    for photographs in (PHOTOGRAPHS, alone):
        found = estimates.estimate(photographs, {"a": FACES}, {"low": 0.2}, **DRAWS)
        assert found.false_alarm_rates["low"] == estimates.rate(PHOTOGRAPHS.scores, 0.2)


def test_auc_has_the_percentiles_of_its_group_bootstrap():
    auc, reason = estimates.auc(PHOTOGRAPHS, FACES, **DRAWS)
    expected = np.quantile(bootstrap.auc_replicates(PHOTOGRAPHS, FACES, **DRAWS), [0.025, 0.975])
    assert [auc["low"], auc["high"]] == pytest.approx(expected) and reason == ""


def test_photographs_of_one_person_give_no_interval_of_the_auc():
    alone = Sample(PHOTOGRAPHS.scores, np.repeat("one", 80))
    found = estimates.estimate(alone, {"a": FACES}, {"low": 0.2}, **DRAWS)
    assert (
        found.aucs["a"]["value"] is not None
        and found.aucs["a"]["low"] is found.aucs["a"]["high"] is None
    )
    assert found.detection_rates["a"]["low"]["low"] is not None
    assert found.not_computed == {
        "a: interval of the AUC": f"photographs: {bootstrap.obstacle(alone)}"
    }


def test_a_generator_with_one_face_has_no_interval_of_its_auc():
    found = estimates.estimate(PHOTOGRAPHS, {"a": FACES, "b": sample(1)}, {"low": 0.2}, **DRAWS)
    assert found.aucs["b"]["low"] is None and found.aucs["a"]["low"] is not None
    assert found.not_computed == {"b: interval of the AUC": bootstrap.obstacle(sample(1))}
    assert found.detection_rates["b"]["low"]["high"] in (1.0, pytest.approx(0.975))


@pytest.mark.parametrize(("shift", "expected"), [(0, 0.5), (1, 1), (-1, 0)])
def test_where_all_resamples_agree_there_is_no_interval(shift, expected):
    """Percentiles would say that the AUC is exactly that."""
    photographs, faces = (
        Sample(np.zeros(80), PHOTOGRAPHS.groups),
        Sample(np.full(50, shift), FACES.groups),
    )
    found = estimates.estimate(photographs, {"a": faces}, {"low": 0.5}, **DRAWS)
    assert found.aucs["a"] == {"value": expected, "low": None, "high": None}
    (reason,) = found.not_computed.values()
    assert (
        reason
        == f"cannot be computed: all resamples give {expected:g}, so they do not show how sure it is"
    )


def test_one_face_that_is_in_another_place_makes_an_interval():
    scores = np.zeros(80)
    scores[7] = 2
    auc, reason = estimates.auc(
        Sample(scores, PHOTOGRAPHS.groups), Sample(np.ones(50), FACES.groups), **DRAWS
    )
    low, value, high = (auc[key] or 0 for key in ("low", "value", "high"))
    assert reason == "" and 0.9 < low < value < high == 1


def test_what_is_missing_in_all_states_is_said_once():
    lack = {"a: interval": "one face"}
    assert estimates.missing({"clean": lack, "as_found": lack}) == lack
    found = estimates.missing(
        {
            "clean": lack,
            "as_found": lack | {"b: interval": "all agree"},
            "third": {"a: interval": "gone"},
        }
    )
    assert found == {
        "a: interval, clean": "one face",
        "a: interval, as found": "one face",
        "b: interval, as found": "all agree",
        "a: interval, third": "gone",
    }
    assert estimates.missing({"clean": {}, "as_found": {}}) == {}


def test_the_mean_needs_every_value():
    values = {
        name: estimates.rate(FACES.scores, threshold) for name, threshold in (("a", 0), ("b", 1))
    }
    assert estimates.mean(values) == pytest.approx(
        np.mean([np.mean(FACES.scores > t) for t in (0, 1)])
    )
    assert estimates.mean({**values, "c": {"value": None, "low": None, "high": None}}) is None
