"""Controls on made-up scores: figures against scikit-learn and plain loops, and what cannot be
computed.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from pipeline.audit.controls import Measured, compare, halves, judge, refitted
from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample

DRAWS: Any = {"resamples": 200, "seed": 1}
GMM = {
    **{
        "components": 1,
        "covariance_type": "full",
        "standardise": False,
        "pca_components": 0,
        "regularisation": 1e-6,
    },
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
    photographic, generated = (
        sample(60, groups=30),
        {"a": sample(40, 0.5, 1), "b": sample(25, 1.5, 2)},
    )
    found = compare(photographic, generated, **DRAWS, detail="as they are")
    expected = {name: auc(photographic.scores, one.scores) for name, one in generated.items()}
    assert found.generators == pytest.approx(expected) and found.auc == pytest.approx(
        np.mean(list(expected.values()))
    )
    assert found.faces == 125 and found.detail == "as they are"
    each = [bootstrap.auc_replicates(photographic, one, **DRAWS) for one in generated.values()]
    assert found.replicates is not None and found.interval is not None
    np.testing.assert_allclose(found.replicates, [(a + b) / 2 for a, b in zip(*each, strict=True)])
    assert found.interval == pytest.approx(tuple(np.percentile(found.replicates, [2.5, 97.5])))
    assert found.interval[0] < found.auc < found.interval[1]


def test_two_ways_to_score_the_same_faces_share_their_resamples():
    """Scores that order the faces alike have the very same replicates, so that their difference is
    certain.
    """
    photographic, generated = sample(40), {"a": sample(30, 1, 1)}
    first = compare(photographic, generated, **DRAWS)
    photographic, *others = (
        one._replace(scores=one.scores * 3 + 7) for one in (photographic, *generated.values())
    )
    second = compare(photographic, dict(zip(generated, others, strict=True)), **DRAWS)
    assert first.replicates is not None and second.replicates is not None
    assert np.array_equal(first.replicates, second.replicates)


@given(st.integers(4, 30), st.integers(4, 30))
def test_constant_scores_are_worth_nothing_and_have_no_interval(n, m):
    found = compare(
        Sample(np.ones(n), np.arange(n).astype(str)),
        {"a": Sample(np.ones(m), np.arange(m).astype(str))},
        **DRAWS,
    )
    assert found.auc == 0.5 and found.interval is None and "all resamples give 0.5" in found.detail


def test_all_resamples_alike_are_still_compared_with_the_detector():
    """A control that is always right has no interval, but is as good as any detector."""
    always = compare(sample(9), {"a": sample(9, 100, 1)}, **DRAWS)
    assert always.auc == 1 and always.interval is None
    half = compare(sample(9), {"a": sample(9, 0.5, 1)}, **DRAWS)
    assert judge(always, half, "below")[0] is True and judge(half, always, "below")[0] is False


@pytest.mark.parametrize(
    ("n", "said"), [(1, "only 1 face"), (3, "only 3 faces"), (8, "only 8 faces of 2 groups")]
)
def test_a_generator_with_few_groups_is_left_out_and_the_rest_judged(n, said):
    photographic, enough = sample(20), {"a": sample(9, 1, 1), "b": sample(9, 2, 2)}
    found = compare(
        photographic, {**enough, "tiny": sample(n, 1, 3, groups=2 if n == 8 else None)}, **DRAWS
    )
    without = compare(photographic, enough, **DRAWS)
    assert found.left_out == {"tiny": f"{said}, at least 4 are needed"} and without.left_out == {}
    assert (found.auc, found.generators, found.interval) == (
        without.auc,
        without.generators,
        without.interval,
    )
    assert found.faces == without.faces == 38 and judge(found, without, "below")[0] is True


def test_four_groups_are_enough():
    assert compare(sample(20), {"a": sample(4, 1, 1)}, **DRAWS).left_out == {}


def test_with_all_generators_left_out_there_is_no_figure():
    with pytest.raises(
        PipelineError, match=r"no generator with enough faces: a \(only 1 face.*; b \(only 3 faces"
    ):
        compare(sample(20), {"a": sample(1), "b": sample(3)}, **DRAWS)


def test_photographs_of_few_people_give_a_figure_without_interval():
    found = compare(sample(12, groups=3), {"a": sample(9, 1, 1)}, **DRAWS, detail="as they are")
    assert found.auc is not None and found.interval is None and found.replicates is None
    assert (
        found.detail
        == "as they are; no interval: only 12 faces of 3 groups, at least 4 are needed (photographs)"
    )


# --- photographs against photographs


def test_halves_part_persons_by_a_keyed_hash():
    photographs = sample(60, groups=20)
    found = halves(photographs.scores, photographs.groups, **DRAWS)
    second = [
        randomness.share(person, 1, "controls halves") >= 0.5
        for person in photographs.groups.tolist()
    ]
    rows = np.array(second)
    assert found.auc == pytest.approx(auc(photographs.scores[~rows], photographs.scores[rows]))
    assert found.generators == {} and found.faces == 60
    people = [len(set(photographs.groups[part])) for part in (~rows, rows)]
    assert found.detail.startswith(
        f"{(~rows).sum()} photographs of {people[0]} persons against {rows.sum()} of {people[1]}; "
        "by chance"
    )


@given(st.permutations(range(24)))
def test_halves_do_not_hang_on_the_order_of_the_faces(order):
    photographs, rows = sample(24, groups=12), np.array(order)
    straight, mixed = (
        halves(one.scores, one.groups, **DRAWS)
        for one in (photographs, Sample(*(part[rows] for part in photographs)))
    )
    assert (straight.auc, straight.interval, straight.detail) == (
        mixed.auc,
        mixed.interval,
        mixed.detail,
    )


def test_halves_of_alike_photographs_are_rarely_suspicious_and_of_different_ones_always():
    detector = Measured(0.9)
    alike = [halves(*sample(80, seed=seed), **DRAWS) for seed in range(40)]
    assert (
        sum(judge(one, detector, "half")[0] is True for one in alike) <= 6
    )  # 2 of 40 expected; 7 or more: chance of 0.3 %
    photographs = sample(80)
    shift = [
        3 * (randomness.share(person, 1, "controls halves") >= 0.5)
        for person in photographs.groups.tolist()
    ]
    assert judge(halves(photographs.scores + shift, photographs.groups, **DRAWS), detector, "half")[
        0
    ]


@pytest.mark.parametrize("people", [["anna"] * 9, list("abcdefg")])
def test_few_people_have_no_halves(people):
    with pytest.raises(
        PipelineError,
        match=r"show \d and \d persons, at least 4 in each are needed: give photographs of more",
    ):
        halves(np.arange(float(len(people))), np.array(people), **DRAWS)


# --- mixtures fitted anew


@pytest.mark.parametrize("dimensions", [1, 4])
def test_one_gaussian_is_scipys(dimensions):
    rng = np.random.default_rng(0)
    fit, other = rng.normal(2, 3, (200, dimensions)), rng.normal(size=(20, dimensions))
    scores, warnings = refitted(fit, {"a": other}, GMM, seed=1)
    covariance = np.cov(fit.T, ddof=0) + 1e-6 * np.eye(dimensions)
    np.testing.assert_allclose(
        scores["a"], -multivariate_normal(fit.mean(axis=0), covariance).logpdf(other), rtol=1e-6
    )
    assert set(scores) == {"a"} and warnings == ()


def test_a_mixture_that_the_faces_cannot_carry_is_an_error():
    with pytest.raises(PipelineError, match="components need as many faces"):
        refitted(np.random.default_rng(0).normal(size=(5, 1)), {}, GMM | {"components": 8}, seed=1)
