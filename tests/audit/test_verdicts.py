"""The rules by which controls are judged, and their rows, as the report reads them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.audit.confounds import WARNED
from pipeline.audit.controls import Result
from pipeline.audit.questions import QUESTIONS, RULES
from pipeline.audit.verdicts import attempt, judge, row
from pipeline.base.errors import PipelineError
from pipeline.evaluation import bootstrap

WITHOUT = Result(0.6, {"a": 0.6}, 10)  # an interval
FAILED = Result(details=("cannot be computed: 4 faces cannot carry it",))


def result(mean, spread=0.01, seed=0):
    replicates = np.random.default_rng(seed).normal(mean, spread, 1000)
    interval = bootstrap.interval(replicates)
    return Result(mean, {"a": mean}, 10, replicates, interval, {}, ("so",))


@pytest.mark.parametrize(
    ("rule", "in_order", "suspicious"),
    [
        ("half", [0.5, 0.51], [0.6, 0.4]),
        ("below", [0.5, 0.77], [0.79, 0.8, 0.95]),
        ("not above", [0.5, 0.8, 0.81], [0.85]),
        ("metadata", [0.6, 0.1], [0.61]),
        ("content", [0.5, 0.95], []),
    ],
)
def test_each_rule_beside_a_detector_of_0_8(rule, in_order, suspicious):
    """Standard errors are 0.005 of the detector, 0.01 of controls: 0.022 of difference is seen."""
    detector = result(0.8, 0.005)
    for expected, aucs in ((False, in_order), (True, suspicious)):
        for auc in aucs:
            assert judge(result(auc, seed=1), detector, rule)[0] is expected, auc


def test_the_difference_is_judged_by_paired_replicates():
    """Both vary widely but together: 0.02 is then a certain difference."""
    detector = result(0.8, 0.05)
    assert detector.replicates is not None
    control = Result(0.78, {}, 10, detector.replicates - 0.02, (0.7, 0.9))
    remark = "detector minus control +0.020 (95 %: +0.020 to +0.020)"
    assert judge(control, detector, "below") == (False, remark)
    assert judge(detector, control, "not above")[0] is True


@pytest.mark.parametrize(
    ("control", "detector", "rule"),
    [
        (WITHOUT, result(0.6), "half"),
        (WITHOUT, result(0.6), "below"),
        (result(0.5), WITHOUT, "not above"),
        (result(0.5), FAILED, "below"),
    ],
)
def test_without_an_interval_nothing_can_be_judged(control, detector, rule):
    suspicious, why = judge(control, detector, rule)
    assert suspicious is None and why.startswith("not judged, as")
    name = next(name for name, question in QUESTIONS.items() if question.rule == rule)
    assert row(name, control, detector)["judged"] == "not judged"


def test_a_row_has_figures_texts_and_a_verdict():
    content = row("random_weights", result(0.5), result(0.8, seed=1))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["low"] < content["auc"] == 0.5 < content["high"] and content["faces"] == 10
    assert content["generators"] == {"a": 0.5} and content["left_out"] == {}
    assert content["title"] == "Encoder with random weights" and content["rule"] == RULES["below"]
    assert content["expected"] == "clearly below the detector" and content["if_high"]
    assert content["detail"].startswith("so; detector minus control +0.300")
    assert content["suspicious"] is False and content["judged"] == "in order"
    suspicious = row("random_weights", result(0.8), result(0.8, seed=1))
    assert suspicious["suspicious"] is True and suspicious["judged"] == "suspicious"


def test_a_control_that_fails_says_why_and_has_no_figures():
    def fail() -> Result:
        raise PipelineError("4 faces cannot carry it")

    content = row("exif_heads", attempt(fail), result(0.8))
    assert content["auc"] is content["low"] is content["suspicious"] is None
    assert (content["faces"], content["generators"], content["left_out"]) == (0, {}, {})
    assert content["detail"] == FAILED.details[0] and content["judged"] == "not computed"
    assert set(content) == set(row("exif_heads", result(0.5), result(0.8)))


def test_a_trivial_score_that_reaches_the_detector_is_not_in_order():
    control = replace(WITHOUT, generators={"a": 0.7, "b": 0.5})
    detector = replace(result(0.6), generators={"a": 0.65, "b": 0.55})
    content = row("file_size_as_found", control, detector)
    assert content["judged"] == "not below the detector" and content["suspicious"] is False
    assert content["detail"] == "at least as high as the detector for a"
    assert row("file_size_as_found", control, result(0.9))["judged"] == "in order"
    assert row("file_size_as_found", control, FAILED)["judged"] == "in order"


def test_every_rule_is_used_and_states_its_number():
    assert {question.rule for question in QUESTIONS.values()} == set(RULES)
    assert str(WARNED) in RULES["metadata"]
