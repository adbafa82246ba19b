"""Oracle: resamples that are physically made, face by face, from the same draws, and measured by
scikit-learn.
"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.evaluation import bootstrap
from pipeline.evaluation import measures as evaluation
from pipeline.evaluation.bootstrap import Sample
from tests.test_ranking import by_scikit_learn

THRESHOLDS = {"at_5_percent": 1.5, "paper_protocol": 1.0}


def sample(n, shift=0.0, seed=0, per_group=1, digits=9):
    rng = np.random.default_rng([seed, n])
    scores = rng.normal(shift, 1, size=n).round(digits)
    return Sample(scores, np.array([f"{seed}-{i // per_group}" for i in range(n)]))


def resampled(faces, purpose, count, seed):
    """Scores of each resample: the faces of drawn groups, a group drawn twice comes twice."""
    groups = sorted(set(faces.groups))
    rng = randomness.generator(seed, purpose, "\n".join(groups))
    for _ in range(count):
        drawn = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        yield np.array(
            [score for name in drawn for score, group in zip(*faces, strict=True) if group == name]
        )


@pytest.mark.parametrize("digits", [9, 0])  # 0: nearly all scores are tied
@pytest.mark.parametrize("per_group", [1, 3])
def test_replicates_are_scikit_learns_of_physical_resamples(per_group, digits):
    photographs = sample(
        40, per_group=per_group, digits=digits
    )  # the last of groups of 3 has one face
    faces = sample(31, 1, seed=1, digits=digits)
    got = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=30, seed=5)
    pairs = zip(
        resampled(photographs, "bootstrap photographic", 30, 5),
        resampled(faces, "bootstrap generated", 30, 5),
        strict=True,
    )
    for i, (n, g) in enumerate(pairs):
        assert {key: values[i] for key, values in got.items()} == pytest.approx(
            by_scikit_learn(n, g, THRESHOLDS)
        )
    assert {values.shape for values in got.values()} == {(30,)}
    assert len(np.unique(got["auc"])) > 10


def test_one_measure_alone_has_the_same_replicates():
    photographs, faces = sample(50, per_group=2), sample(40, 1, seed=1)
    draws: dict[str, Any] = {"resamples": 70, "seed": 2}
    whole = bootstrap.replicates(photographs, faces, THRESHOLDS, **draws)
    np.testing.assert_array_equal(
        bootstrap.auc_replicates(photographs, faces, **draws), whole["auc"]
    )
    alarms = bootstrap.rate_replicates(photographs, 1.5, **draws)
    np.testing.assert_array_equal(alarms, whole["at_5_percent.false_alarm_rate"])
    detections = bootstrap.rate_replicates(faces, 1.0, **draws, purpose=bootstrap.GENERATED)
    np.testing.assert_array_equal(detections, whole["paper_protocol.detection_rate"])


def test_rising_maps_order_of_faces_and_copies_within_a_group_change_nothing():
    photographs, faces = sample(50, per_group=2, digits=1), sample(40, 1, seed=1, digits=1)
    draws: dict[str, Any] = {"resamples": 40, "seed": 2}
    expected = bootstrap.replicates(photographs, faces, {"k": 1.5}, **draws)
    rising = [Sample(np.exp(one.scores), one.groups) for one in (photographs, faces)]
    mixed = (
        np.random.default_rng(0).permutation(100) % 50
    )  # each photograph twice, in another order
    doubled = Sample(photographs.scores[mixed], photographs.groups[mixed])
    for got, but in (
        (bootstrap.replicates(rising[0], rising[1], {"k": np.exp(1.5)}, **draws), ()),
        # twice as many photographs change what depends on their share among all faces
        (
            bootstrap.replicates(doubled, faces, {"k": 1.5}, **draws),
            ("k.accuracy", "ap_generated", "ap_photographic"),
        ),
    ):
        for key in set(expected) - set(but):
            np.testing.assert_allclose(got[key], expected[key], rtol=1e-12)


def test_draws_depend_on_groups_class_and_seed_alone():
    photographs, faces = sample(50, per_group=2), sample(40, 1, seed=1)
    alarms = "at_5_percent.false_alarm_rate"
    first = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=60, seed=2)
    other = bootstrap.replicates(
        photographs, sample(90, 2, seed=3), THRESHOLDS, resamples=60, seed=2
    )
    np.testing.assert_array_equal(first[alarms], other[alarms])  # paired by the photographs
    longer = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=75, seed=2)
    assert all((longer[key][:60] == first[key]).all() for key in first)
    reseeded = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=60, seed=3)
    assert not np.array_equal(reseeded["auc"], first["auc"])
    renamed = bootstrap.rate_replicates(
        Sample(photographs.scores, np.char.add("x", photographs.groups)), 1.5, resamples=60, seed=2
    )
    assert not np.array_equal(renamed, first[alarms])


def test_intervals_hold_the_estimate_and_groups_widen_them():
    apart, faces = sample(300), sample(300, 1, seed=1)
    alike = Sample(
        np.repeat(apart.scores[:60], 5), np.repeat(apart.groups[:60], 5)
    )  # 60 people, five like faces of each
    alone = Sample(alike.scores, np.arange(300).astype(str))
    widths = []
    for photographs in (alike, alone):
        point = evaluation.measures(photographs.scores, faces.scores, THRESHOLDS)
        replicates = bootstrap.replicates(photographs, faces, THRESHOLDS, resamples=400, seed=0)
        ends = {key: bootstrap.interval(values) for key, values in replicates.items()}
        assert set(ends) == set(point)
        assert all(ends[key][0] <= point[key] <= ends[key][1] for key in point)
        widths.append(np.diff(ends["at_5_percent.false_alarm_rate"])[0])
    assert widths[0] > 1.5 * widths[1]  # sqrt(5) in theory


def test_an_interval_is_made_of_percentiles():
    assert bootstrap.interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert bootstrap.interval(np.arange(101.0), 0.5) == pytest.approx((25, 75))


def test_intervals_cover_the_true_auc_about_as_often_as_promised():
    truth = norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(150):
        draws = bootstrap.auc_replicates(
            sample(60, seed=seed), sample(50, 1, seed=1000 + seed), resamples=200, seed=seed
        )
        low, high = bootstrap.interval(draws)
        covered += low <= truth <= high
    assert 0.88 <= covered / 150 <= 0.99


ONE = Sample(np.array([2.0]), np.array(["a"]))
ONE_GROUP = Sample(np.array([2.0, 3.0]), np.array(["a", "a"]))


@pytest.mark.parametrize(
    ("lone", "reason"), [(ONE, "from one face"), (ONE_GROUP, "from 2 faces of one group")]
)
def test_a_single_group_has_no_interval_but_the_other_class_has(lone, reason):
    many = sample(40)
    draws: dict[str, Any] = {"resamples": 20, "seed": 0}
    assert bootstrap.obstacle(many) is None and reason in (bootstrap.obstacle(lone) or "")
    with pytest.raises(
        PipelineError, match=f"bootstrap generated: an interval cannot be computed {reason}"
    ):
        bootstrap.replicates(many, lone, THRESHOLDS, **draws)
    with pytest.raises(PipelineError, match=f"bootstrap photographic: .*{reason}"):
        bootstrap.auc_replicates(lone, many, **draws)
    with pytest.raises(PipelineError, match=reason):
        bootstrap.rate_replicates(lone, 1.0, **draws)
    found, why = bootstrap.computable(many, lone, THRESHOLDS, **draws)
    assert set(found) == {f"{key}.false_alarm_rate" for key in THRESHOLDS}
    np.testing.assert_array_equal(
        found["paper_protocol.false_alarm_rate"], bootstrap.rate_replicates(many, 1.0, **draws)
    )
    assert list(why) == ["intervals of all that depends on the generated faces"] and reason in next(
        iter(why.values())
    )
    assert set(bootstrap.computable(lone, many, THRESHOLDS, **draws)[0]) == {
        f"{key}.detection_rate" for key in THRESHOLDS
    }
    nothing, why = bootstrap.computable(lone, lone, THRESHOLDS, **draws)
    assert nothing == {} and len(why) == 2


def test_two_groups_are_enough_to_compute_everything():
    found, why = bootstrap.computable(
        sample(2), sample(2, seed=1), THRESHOLDS, resamples=20, seed=0
    )
    assert why == {} and len(found) == 4 + 4 * len(THRESHOLDS)


@pytest.mark.parametrize("scores", [[1.0, np.nan], [np.inf, 1.0]])
def test_scores_that_are_no_numbers_are_refused(scores):
    bad = Sample(np.array(scores), np.array(["a", "b"]))
    with pytest.raises(
        PipelineError, match="bootstrap generated: scores: 1 of 2 are NaN or infinite"
    ):
        bootstrap.auc_replicates(sample(5), bad, resamples=5, seed=0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5] * 9, True), ([0.1 + 0.2, 0.3], True), ([0, 1e-9], False), ([0, 1], False)],
)
def test_resamples_agree_up_to_rounding(values, expected):
    assert bootstrap.agree(np.array(values)) is expected


def test_few_groups_are_a_caution_whatever_the_number_of_faces():
    many, two, one = sample(20), Sample(np.arange(40.0), np.arange(40) % 2), ONE
    assert bootstrap.cautions(many, many) == []
    (said,) = bootstrap.cautions(two, many)
    assert (
        said
        == "the photographs show only 2 persons or pictures: with fewer than 20, intervals are too narrow"
    )
    assert [caution.split(" show")[0] for caution in bootstrap.cautions(sample(19), one)] == [
        "the photographs",
        "the generated faces",
    ]
