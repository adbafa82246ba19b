"""Oracles: the functions on thresholds, and counting by hand."""

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.calibration import decisions
from pipeline.calibration.decisions import Decisions
from pipeline.calibration.thresholds import p_values
from pipeline.common.names import HEADS

THRESHOLDS = {
    "rates": {"at_10_percent": {"threshold": 9.0}, "at_20_percent": {"threshold": 8.0}},
    "review": "at_20_percent",
    "flag": "at_10_percent",
    "paper_protocol": {"threshold": 7.0},
}
CALIBRATED = {
    "scores": np.arange(10.0)[None],  # of one history
    "head_means": np.arange(5.0),
    "head_deviations": np.array([1.0, 2, 4, 0, 0.5]),
}
SOURCES = ("threshold.json", "calibration.npz")


def read(thresholds=THRESHOLDS, calibrated=CALIBRATED):
    return Decisions.from_contents(thresholds, calibrated, SOURCES)


def test_what_is_said_about_each_face():
    scores = np.array([-1.0, 8.0, 8.5, 9.0, 9.5])
    columns = read().columns(scores, np.tile(np.arange(5.0) + 2, (5, 1)))
    np.testing.assert_array_equal(columns["p_value"], p_values(scores, np.arange(10.0)))
    assert columns["verdict"].tolist() == ["pass", "pass", "review", "review", "flag"]
    assert columns["at_20_percent"].tolist() == [False, False, True, True, True]
    assert columns["at_10_percent"].tolist() == [False, False, False, False, True]
    z = {head: columns[f"z_{head}"][0] for head in HEADS}
    assert (z["iso"], z["f_number"], z["exposure_time_s"], z["manipulation"]) == (2, 1, 0.5, 4)
    assert np.isnan(columns["z_focal_length_mm"]).all()
    assert read().constant_heads == ["focal_length_mm"]


def test_of_several_histories_the_most_cautious_judges():
    """Verdicts by the largest threshold and p-values by the largest of the histories agree."""
    draw = np.random.default_rng(0)
    own = np.stack([draw.normal(size=19), 2 * draw.normal(size=19), draw.normal(size=19) - 1])
    thresholds = {
        f"at_{rate}_percent": {"threshold": max(np.sort(row)[19 - rate // 5] for row in own)}
        for rate in (10, 20)
    }
    judge = read({**THRESHOLDS, "rates": thresholds}, {**CALIBRATED, "scores": own})
    scores = np.linspace(-6, 6, 50)
    columns = judge.columns(scores, np.zeros((50, 5)))
    each = [[(1 + sum(row >= score)) / 20 for row in own] for score in scores]
    assert columns["p_value"].tolist() == [max(values) for values in each]
    for rate in (10, 20):
        assert (columns[f"at_{rate}_percent"] == (columns["p_value"] <= rate / 100)).all()


def test_the_files_of_calibrate():
    by_rate = {"at_10_percent": 9, "at_20_percent": 8}
    expected = (by_rate, "at_20_percent", "at_10_percent")
    assert decisions.thresholds(THRESHOLDS, "t") == expected
    got = read()
    assert (got.thresholds, got.review, got.flag) == expected and got.paper_threshold == 7


@pytest.mark.parametrize(
    "content",
    [
        {**THRESHOLDS, "rates": {}},
        {**THRESHOLDS, "rates": {"a": {}}},
        {**THRESHOLDS, "rates": 3},
        {**THRESHOLDS, "rates": {"at_20_percent": {"threshold": None}}},
        {**THRESHOLDS, "review": "at_1_percent"},
        {**THRESHOLDS, "flag": None},
        {**THRESHOLDS, "paper_protocol": 7},
        [],
        None,
    ],
)
def test_malformed_thresholds_are_named(content):
    with pytest.raises(PipelineError, match=r"threshold\.json: malformed .*: run calibrate again"):
        read(content)


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.array([[np.nan]])},
        {"scores": np.array([["x"]])},
        {"scores": np.arange(10.0)},
        {"head_means": np.zeros(4)},
        {"head_deviations": np.zeros((5, 1))},
        {"head_deviations": None},
    ],
)
def test_malformed_calibration_scores_are_named(change):
    arrays = {name: array for name, array in {**CALIBRATED, **change}.items() if array is not None}
    with pytest.raises(
        PipelineError, match=r"calibration\.npz: expected finite scores.* calibrate"
    ):
        read(calibrated=arrays)
