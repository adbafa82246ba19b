"""Controls on made-up scores: figures against scikit-learn and plain loops, the rules, and what cannot be computed."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from pipeline import bootstrap, controls, randomness
from pipeline.bootstrap import Sample
from pipeline.controls import QUESTIONS, RULES, Measured, attempt, compare, halves, judge, metadata, refitted
from pipeline.errors import PipelineError

DRAWS: Any = {"resamples": 200, "seed": 1}
GMM = {
    **{"components": 1, "covariance_type": "full", "standardise": False, "pca_components": 0, "regularisation": 1e-6},
    **{"maximum_iterations": 100, "tolerance": 1e-4, "starts": 1, "device": "cpu"},
}


def sample(n, mean=0.0, seed=0, groups=None):
    scores = np.random.default_rng(seed).normal(mean, size=n).round(1)  # with ties
    return Sample(scores, np.array([f"{seed}-{i % (groups or n)}" for i in range(n)]))


def auc(photographic, generated):
    labels = np.repeat([0, 1], [len(photographic), len(generated)])
    return roc_auc_score(labels, np.concatenate([photographic, generated]))


# --- figures


def test_figures_are_those_of_each_generator_and_their_mean():
    photographic, generated = sample(60, groups=30), {"a": sample(40, 0.5, 1), "b": sample(25, 1.5, 2)}
    found = compare(photographic, generated, **DRAWS, detail="as they are")
    expected = {name: auc(photographic.scores, one.scores) for name, one in generated.items()}
    assert found.generators == pytest.approx(expected) and found.auc == pytest.approx(np.mean(list(expected.values())))
    assert found.faces == 125 and found.detail == "as they are"
    each = [bootstrap.auc_replicates(photographic, one, **DRAWS) for one in generated.values()]
    assert found.replicates is not None and found.interval is not None
    np.testing.assert_allclose(found.replicates, [(a + b) / 2 for a, b in zip(*each, strict=True)])
    assert found.interval == pytest.approx(tuple(np.percentile(found.replicates, [2.5, 97.5])))
    assert found.interval[0] < found.auc < found.interval[1]


def test_two_ways_to_score_the_same_faces_share_their_resamples():
    """Scores that order the faces alike have the very same replicates, so that their difference is certain."""
    photographic, generated = sample(40), {"a": sample(30, 1, 1)}
    first = compare(photographic, generated, **DRAWS)
    photographic, *others = (one._replace(scores=one.scores * 3 + 7) for one in (photographic, *generated.values()))
    second = compare(photographic, dict(zip(generated, others, strict=True)), **DRAWS)
    assert first.replicates is not None and second.replicates is not None
    assert np.array_equal(first.replicates, second.replicates)


@given(st.integers(2, 30), st.integers(2, 30))
def test_constant_scores_are_worth_nothing(n, m):
    found = compare(Sample(np.ones(n), np.arange(n).astype(str)), {"a": Sample(np.ones(m), np.arange(m).astype(str))}, **DRAWS)
    assert found.auc == 0.5 and found.interval == (0.5, 0.5)


@pytest.mark.parametrize(("n", "m", "named"), [(20, 1, "a"), (1, 20, "photographs")])
def test_a_single_face_gives_a_figure_without_interval_and_says_why(n, m, named):
    found = compare(sample(n), {"a": sample(m, 1, 1), "b": sample(9, 1, 2)}, **DRAWS, detail="as they are")
    assert found.auc is not None and found.interval is None and found.replicates is None
    assert found.detail.startswith("as they are; the interval cannot be computed from") and found.detail.endswith(f" ({named})")


# --- photographs against photographs


def test_halves_part_persons_by_a_keyed_hash():
    photographs = sample(60, groups=20)
    found = halves(photographs.scores, photographs.groups, **DRAWS)
    second = [randomness.share(person, 1, "controls halves") >= 0.5 for person in photographs.groups.tolist()]
    rows = np.array(second)
    assert found.auc == pytest.approx(auc(photographs.scores[~rows], photographs.scores[rows]))
    assert found.generators == {} and found.faces == 60
    people = [len(set(photographs.groups[part])) for part in (~rows, rows)]
    assert found.detail.startswith(
        f"{(~rows).sum()} photographs of {people[0]} persons against {rows.sum()} of {people[1]}; by chance"
    )


@given(st.permutations(range(24)))
def test_halves_do_not_hang_on_the_order_of_the_faces(order):
    photographs, rows = sample(24, groups=12), np.array(order)
    straight, mixed = (
        halves(one.scores, one.groups, **DRAWS) for one in (photographs, Sample(*(part[rows] for part in photographs)))
    )
    assert (straight.auc, straight.interval, straight.detail) == (mixed.auc, mixed.interval, mixed.detail)


def test_halves_of_alike_photographs_are_rarely_suspicious_and_of_different_ones_always():
    detector = Measured(0.9)
    alike = [halves(*sample(80, seed=seed), **DRAWS) for seed in range(40)]
    assert sum(judge(one, detector, "half")[0] for one in alike) <= 6  # 2 of 40 expected; 7 or more: chance of 0.3 %
    photographs = sample(80)
    shift = [3 * (randomness.share(person, 1, "controls halves") >= 0.5) for person in photographs.groups.tolist()]
    assert judge(halves(photographs.scores + shift, photographs.groups, **DRAWS), detector, "half")[0]


def test_one_person_has_no_halves():
    with pytest.raises(PipelineError, match="all 9 test photographs fall into one half: photographs of more persons"):
        halves(np.arange(9.0), np.array(["anna"] * 9), **DRAWS)


# --- mixtures fitted anew


@pytest.mark.parametrize("dimensions", [1, 4])
def test_one_gaussian_is_scipys(dimensions):
    rng = np.random.default_rng(0)
    fit, other = rng.normal(2, 3, (200, dimensions)), rng.normal(size=(20, dimensions))
    scores, warnings = refitted(fit, {"a": other}, GMM, seed=1)
    covariance = np.cov(fit.T, ddof=0) + 1e-6 * np.eye(dimensions)
    np.testing.assert_allclose(scores["a"], -multivariate_normal(fit.mean(axis=0), covariance).logpdf(other), rtol=1e-6)
    assert set(scores) == {"a"} and warnings == ()


def test_a_mixture_that_the_faces_cannot_carry_is_an_error():
    with pytest.raises(PipelineError, match="components need as many faces"):
        refitted(np.random.default_rng(0).normal(size=(5, 1)), {}, GMM | {"components": 8}, seed=1)


# --- file metadata


def confounds(**changes):
    """As metrics/confounds.json has it."""
    generators = {
        "a": {"as_found": {"auc": 0.5, "low": 0.4, "high": 0.6}, "harmonised": {"auc": 0.5, "low": 0.5, "high": 0.5}},
        "b": {"as_found": {"auc": 0.9, "low": 0.8, "high": 1.0}, "harmonised": {"auc": 0.5, "low": None, "high": None}},
    }
    faces = {"faces": {"photographic_test": 30, "a": 20, "b": 10}}
    return {"metadata_classifier": {"generators": generators}, "harmonised": faces, **changes}


def test_metadata_is_the_mean_over_generators():
    found = metadata(confounds(), "as_found", ["a", "b"], "confounds.json")
    assert found.auc == pytest.approx(0.7) and found.interval == pytest.approx((0.6, 0.8)) and found.faces == 60
    assert found.generators == {"a": 0.5, "b": 0.9}
    assert judge(found, Measured(0.8), "metadata") == (True, "highest for b: 0.900")


def test_metadata_without_an_interval_of_each_generator_has_none():
    found = metadata(confounds(), "harmonised", ["a", "b"], "confounds.json")
    assert found.auc == 0.5 and found.interval is None and "no interval" in found.detail
    assert not judge(found, Measured(0.8), "metadata")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "confounds.json: no faces or no figures"),
        (confounds(harmonised={"faces": 3}), "confounds.json: no faces or no figures"),
        (confounds(metadata_classifier={"generators": {"a": {"as_found": {"auc": None, "low": None, "high": None}}}}),
         "confounds.json: no AUC of the metadata classifier for a"),
        (confounds(metadata_classifier={"generators": {"a": {"as_found": {"auc": "x", "low": 0, "high": 0}}}}),
         "confounds.json: no faces or no figures"),
    ],
)  # fmt: skip
def test_other_metadata_is_an_error_that_names_the_file(content, message):
    with pytest.raises(PipelineError, match=message):
        metadata(content, "as_found", ["a"], "confounds.json")


def test_metadata_of_a_new_generator_is_missed():
    with pytest.raises(PipelineError, match="'new'"):
        metadata(confounds(), "as_found", ["a", "new"], "confounds.json")


# --- rules


def measured(mean, spread=0.01, seed=0):
    replicates = np.random.default_rng(seed).normal(mean, spread, 1000)
    return Measured(mean, {"a": mean}, 10, replicates, bootstrap.interval(replicates), "so")


@pytest.mark.parametrize(
    ("rule", "auc", "suspicious"),
    [
        *[("half", 0.5, False), ("half", 0.51, False), ("half", 0.6, True), ("half", 0.4, True)],
        *[("below", 0.5, False), ("below", 0.77, False), ("below", 0.79, True), ("below", 0.8, True), ("below", 0.95, True)],
        *[("not above", 0.5, False), ("not above", 0.8, False), ("not above", 0.81, False), ("not above", 0.85, True)],
        *[("metadata", 0.6, False), ("metadata", 0.61, True), ("metadata", 0.1, False)],
    ],
)  # fmt: skip
def test_each_rule_beside_a_detector_of_0_8(rule, auc, suspicious):
    """The detector's standard error is 0.005, a control's 0.01: differences beyond 0.022 are seen."""
    assert judge(measured(auc, seed=1), measured(0.8, 0.005), rule)[0] == suspicious


def test_the_difference_is_judged_by_paired_replicates():
    """Both vary widely but together: 0.02 is then a certain difference."""
    detector = measured(0.8, 0.05)
    assert detector.replicates is not None
    control = Measured(0.78, {}, 10, detector.replicates - 0.02, (0.7, 0.9))
    assert judge(control, detector, "below") == (False, "detector minus control +0.020 (95 %: +0.020 to +0.020)")
    assert judge(detector, control, "not above")[0]


@pytest.mark.parametrize("rule", ["half", "below", "not above"])
def test_without_an_interval_nothing_is_suspicious(rule):
    assert not judge(Measured(0.99), measured(0.6), rule)[0] and not judge(measured(0.5), Measured(0.6), rule)[0]


def test_every_control_of_the_report_has_a_question():
    assert list(QUESTIONS) == [
        *("real_against_real", "random_weights", "exif_heads", "manipulation_head", "shuffled_exif"),
        *("metadata_as_found", "metadata_harmonised"),
    ]
    assert {question.rule for question in QUESTIONS.values()} == set(RULES)
    assert str(controls.confounds.WARNED) in RULES["metadata"]


# --- rows


def test_a_row_has_figures_texts_and_a_verdict():
    row = attempt("random_weights", lambda: measured(0.5), measured(0.8, seed=1))
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["name"], row["title"], row["auc"], row["faces"]) == ("random_weights", "Encoder with random weights", 0.5, 10)
    assert row["low"] < 0.5 < row["high"] and row["generators"] == {"a": 0.5} and row["suspicious"] is False
    assert row["detail"].startswith("so; detector minus control +0.300") and row["rule"] == RULES["below"]
    assert row["expected"] == "clearly below the detector" and row["if_high"].startswith("A network that has learnt nothing")


def test_a_control_that_fails_says_why_and_has_no_figures():
    def fail() -> Any:
        raise PipelineError("4 faces cannot carry a full covariance")

    row = attempt("exif_heads", fail, measured(0.8))
    assert (row["auc"], row["low"], row["high"], row["faces"], row["generators"]) == (None, None, None, 0, {})
    assert row["suspicious"] is False and row["detail"] == "cannot be computed: 4 faces cannot carry a full covariance"
    assert set(row) == set(attempt("exif_heads", lambda: measured(0.5), measured(0.8)))
