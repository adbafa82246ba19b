"""Oracle: resamples that are physically made, face by face, from the same draws, and measured by
scikit-learn.
"""

from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Sample
from tests.evaluation.test_ranking import by_scikit_learn

THRESHOLDS = {"at_5_percent": 1.5, "paper_protocol": 1.0}


def sample(n, shift=0.0, seed=0, per_group=1, digits=9):
    rng = np.random.default_rng([seed, n])
    scores = rng.normal(shift, 1, size=n).round(digits)
    return Sample(scores, np.array([f"{seed}-{i // per_group}" for i in range(n)]))


def replicates(photographic, generated, thresholds=THRESHOLDS, **draws):
    values, reasons = bootstrap.replicates(photographic, generated, thresholds, **draws)
    assert reasons == {}
    return values


def resampled(faces, purpose, count, seed):
    """Scores of each resample: the faces of drawn groups, a group drawn twice comes twice."""
    groups = sorted(set(faces.groups))
    rng = randomness.generator(seed, purpose, "\n".join(groups))
    for _ in range(count):
        drawn = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        members = [faces.scores[faces.groups == group] for group in drawn]
        yield np.concatenate(members)


@pytest.mark.parametrize("digits", [9, 0])  # 0: nearly all scores are tied
@pytest.mark.parametrize("per_group", [1, 3])  # the last of the groups of 3 has one face
def test_replicates_are_scikit_learns_of_physical_resamples(per_group, digits):
    photographs = sample(40, per_group=per_group, digits=digits)
    faces = sample(31, 1, seed=1, digits=digits)
    got = replicates(photographs, faces, resamples=30, seed=5)
    n_drawn = resampled(photographs, "bootstrap photographic", 30, 5)
    g_drawn = resampled(faces, "bootstrap generated", 30, 5)
    for i, (n, g) in enumerate(zip(n_drawn, g_drawn, strict=True)):
        row = {name: values[i] for name, values in got.items()}
        assert row == pytest.approx(by_scikit_learn(n, g, THRESHOLDS))
    assert {values.shape for values in got.values()} == {(30,)}
    assert len(np.unique(got["auc"])) > 10


def test_one_measure_alone_has_the_same_replicates():
    photographs, faces = sample(50, per_group=2), sample(40, 1, seed=1)
    draws: dict[str, Any] = {"resamples": 70, "seed": 2}
    every = replicates(photographs, faces, **draws)
    aucs = bootstrap.auc_replicates(photographs, faces, **draws)
    np.testing.assert_array_equal(aucs, every["auc"])
    alarms = bootstrap.rate_replicates(photographs, 1.5, **draws)
    np.testing.assert_array_equal(alarms, every["at_5_percent.false_alarm_rate"])
    detections = bootstrap.rate_replicates(faces, 1.0, **draws, purpose=bootstrap.GENERATED)
    np.testing.assert_array_equal(detections, every["paper_protocol.detection_rate"])


def test_draws_depend_on_groups_class_and_seed_alone():
    photographs, faces = sample(50, per_group=2), sample(40, 1, seed=1)
    alarms = "at_5_percent.false_alarm_rate"
    first = replicates(photographs, faces, resamples=60, seed=2)
    others = replicates(photographs, sample(90, 2, seed=3), resamples=60, seed=2)
    np.testing.assert_array_equal(first[alarms], others[alarms])  # paired by the photographs
    longer = replicates(photographs, faces, resamples=75, seed=2)
    assert all((longer[name][:60] == first[name]).all() for name in first)
    reseeded = replicates(photographs, faces, resamples=60, seed=3)
    assert not np.array_equal(reseeded["auc"], first["auc"])
    renamed = photographs._replace(groups=np.char.add("x", photographs.groups))
    again = bootstrap.rate_replicates(renamed, 1.5, resamples=60, seed=2)
    assert not np.array_equal(again, first[alarms])


ONE = Sample(np.array([2.0]), np.array(["a"]))
ONE_GROUP = Sample(np.array([2.0, 3.0]), np.array(["a", "a"]))


@pytest.mark.parametrize(
    ("lone", "reason"), [(ONE, "from one face"), (ONE_GROUP, "from 2 faces of one group")]
)
def test_a_single_group_has_no_interval_but_the_other_class_has(lone, reason):
    many = sample(40)
    draws: dict[str, Any] = {"resamples": 20, "seed": 0}
    assert bootstrap.obstacle(many) is None and reason in (bootstrap.obstacle(lone) or "")
    with pytest.raises(PipelineError, match=f"bootstrap photographic: .*{reason}"):
        bootstrap.auc_replicates(lone, many, **draws)
    values, reasons = bootstrap.replicates(many, lone, THRESHOLDS, **draws)
    assert set(values) == {f"{key}.false_alarm_rate" for key in THRESHOLDS}
    expected = bootstrap.rate_replicates(many, 1.0, **draws)
    np.testing.assert_array_equal(values["paper_protocol.false_alarm_rate"], expected)
    ((what, why),) = reasons.items()
    assert what == "intervals of all that depends on the generated faces" and reason in why
    values, _ = bootstrap.replicates(lone, many, THRESHOLDS, **draws)
    assert set(values) == {f"{key}.detection_rate" for key in THRESHOLDS}
    values, reasons = bootstrap.replicates(lone, lone, THRESHOLDS, **draws)
    assert values == {} and len(reasons) == 2


@pytest.mark.parametrize("scores", [[1.0, np.nan], [np.inf, 1.0]])
def test_scores_that_are_no_numbers_are_refused(scores):
    bad = Sample(np.array(scores), np.array(["a", "b"]))
    with pytest.raises(PipelineError, match="1 of 2 are NaN or infinite"):
        bootstrap.auc_replicates(sample(5), bad, resamples=5, seed=0)
    with pytest.raises(PipelineError, match="1 of 2 are NaN or infinite"):
        bootstrap.rate_replicates(bad, 0.5, resamples=5, seed=0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5] * 9, True), ([0.1 + 0.2, 0.3], True), ([0, 1e-9], False), ([0, 1], False)],
)
def test_resamples_agree_up_to_rounding(values, expected):
    assert bootstrap.agree(np.array(values)) is expected


def test_few_groups_are_a_caution_whatever_the_number_of_faces():
    many, two = sample(20), Sample(np.arange(40.0), np.arange(40) % 2)
    assert bootstrap.cautions(many, many) == []
    (caution,) = bootstrap.cautions(two, many)
    assert caution.startswith("the photographs show only 2 persons or pictures: with fewer than 20")
    both = bootstrap.cautions(sample(19), ONE)
    assert [caution.split(" show")[0] for caution in both] == [
        "the photographs",
        "the generated faces",
    ]
