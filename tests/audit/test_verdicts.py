# being rewritten by the second helper, see /tmp/NOTE_to_H4
"""What controls take from the confounds' metrics; the rules by which controls are judged; their
rows.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.audit.confounds import WARNED
from pipeline.audit.controls import Measured, attempt, file_size, judge, metadata
from pipeline.audit.questions import QUESTIONS, RULES
from pipeline.base.errors import PipelineError
from pipeline.evaluation import bootstrap

# --- file metadata


NOTHING: dict[str, Any] = {}


def confounds(**changes):
    """As metrics/confounds.json has it."""
    generators = {
        "a": {
            "as_found": {"auc": 0.5, "low": 0.4, "high": 0.6},
            "harmonised": {"auc": 0.5, "low": 0.5, "high": 0.5},
        },
        "b": {
            "as_found": {"auc": 0.9, "low": 0.8, "high": 1.0},
            "harmonised": {"auc": 0.5, "low": None, "high": None},
        },
    }
    sizes = {"a": {"as_found": 0.1, "harmonised": 0.3}, "b": {"as_found": 0.7, "harmonised": 0.5}}
    faces = {"faces": {"photographic_test": 30, "a": 20, "b": 10}}
    classifier = {"generators": generators}
    return {
        "metadata_classifier": classifier,
        "bytes_per_pixel_auc": sizes,
        "harmonised": faces,
        **changes,
    }


def test_metadata_is_the_mean_over_generators():
    found = metadata(confounds(), "as_found", ["a", "b"], "confounds.json")
    assert (
        found.auc == pytest.approx(0.7)
        and found.interval == pytest.approx((0.6, 0.8))
        and found.faces == 60
    )
    assert found.generators == {"a": 0.5, "b": 0.9}
    assert judge(found, None, "metadata") == (True, "highest for b: 0.900")


def test_metadata_without_an_interval_of_each_generator_has_none_but_is_judged():
    found = metadata(confounds(), "harmonised", ["a", "b"], "confounds.json")
    assert found.auc == 0.5 and found.interval is None and "no interval" in found.detail
    assert judge(found, Measured(0.8), "metadata")[0] is False


def test_file_size_counts_in_the_better_direction():
    found = file_size(confounds(), "as_found", ["a", "b"], "confounds.json")
    assert found.generators == pytest.approx({"a": 0.9, "b": 0.7}) and found.auc == pytest.approx(
        0.8
    )
    assert found.interval is None and found.faces == 60
    assert (
        "max(AUC, 1 - AUC)" in found.detail
        and "files of 1 of 2 generators are smaller than photographs" in found.detail
    )


def test_file_size_is_never_suspicious_by_itself_but_compared_with_the_detector():
    found = file_size(confounds(), "as_found", ["a", "b"], "confounds.json")
    assert judge(found, Measured(0.8, {"a": 0.85, "b": 0.75}), "content") == (
        False,
        "at least as high as the detector for a",
    )
    assert (
        judge(found, Measured(0.8, {"a": 0.95}), "content")
        == judge(found, None, "content")
        == (False, "")
    )


@pytest.mark.parametrize("read", [metadata, file_size])
def test_a_generator_without_figure_or_with_few_faces_is_left_out(read):
    nothing = {"as_found": {"auc": None, "low": None, "high": None}}
    content: dict[str, Any] = confounds(
        harmonised={"faces": {"photographic_test": 30, "a": 20, "b": 3, "c": 9}}
    )
    content["metadata_classifier"]["generators"]["c"] = nothing
    content["bytes_per_pixel_auc"]["c"] = {"as_found": None}
    found = read(content, "as_found", ["a", "b", "c"], "confounds.json")
    assert (
        list(found.generators) == ["a"] and found.faces == 50 and found.auc == found.generators["a"]
    )
    assert found.left_out == {
        "b": "only 3 faces, at least 4 are needed",
        "c": "no AUC in confounds.json",
    }
    with pytest.raises(
        PipelineError, match=r"no generator with enough faces: c \(no AUC in confounds\.json\)"
    ):
        read(content, "as_found", ["c"], "confounds.json")


@pytest.mark.parametrize(
    ("read", "content"),
    [
        *[
            (read, content)
            for read in (metadata, file_size)
            for content in (NOTHING, confounds(harmonised={"faces": 3}))
        ],
        (
            metadata,
            confounds(
                metadata_classifier={
                    "generators": {"a": {"as_found": {"auc": "x", "low": 0, "high": 0}}}
                }
            ),
        ),
        (file_size, confounds(bytes_per_pixel_auc={"a": {"as_found": "x"}})),
    ],
)
def test_other_content_is_an_error_that_names_the_file(read, content):
    with pytest.raises(
        PipelineError, match=r"confounds\.json: no faces or no figures of the (metadata|bytes)"
    ):
        read(content, "as_found", ["a"], "confounds.json")


@pytest.mark.parametrize("read", [metadata, file_size])
def test_figures_of_a_new_generator_are_missed(read):
    with pytest.raises(PipelineError, match="'new'"):
        read(confounds(), "as_found", ["a", "new"], "confounds.json")


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
    assert judge(control, detector, "below") == (
        False,
        "detector minus control +0.020 (95 %: +0.020 to +0.020)",
    )
    assert judge(detector, control, "not above")[0]


@pytest.mark.parametrize("rule", ["half", "below", "not above"])
def test_without_an_interval_nothing_can_be_judged(rule):
    suspicious, why = judge(Measured(0.99), measured(0.6), rule)
    assert suspicious is None and why.startswith("not judged, as")


@pytest.mark.parametrize("detector", [None, Measured(0.6)])
@pytest.mark.parametrize("rule", ["below", "not above"])
def test_without_a_detectors_interval_nothing_can_be_compared(rule, detector):
    assert judge(measured(0.5), detector, rule) == (
        None,
        "not judged, as the control or the detector has no interval",
    )


def test_every_control_of_the_report_has_a_question():
    assert list(QUESTIONS) == [
        *(
            "real_against_real",
            "random_weights",
            "exif_heads",
            "manipulation_head",
            "shuffled_exif",
        ),
        *("metadata_as_found", "metadata_harmonised", "file_size_as_found", "file_size_harmonised"),
    ]
    assert {question.rule for question in QUESTIONS.values()} == set(RULES)
    assert str(WARNED) in RULES["metadata"]


def test_file_size_is_no_part_of_metadata():
    for state in ("as_found", "harmonised"):
        assert "size" not in QUESTIONS[f"metadata_{state}"].if_high.replace("resizing", "")
    assert QUESTIONS["metadata_harmonised"].expected == "0.5 by construction"


# --- rows


def test_a_row_has_figures_texts_and_a_verdict():
    row = attempt("random_weights", lambda: measured(0.5), measured(0.8, seed=1))
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["name"], row["title"], row["auc"], row["faces"]) == (
        "random_weights",
        "Encoder with random weights",
        0.5,
        10,
    )
    assert (
        row["low"] < 0.5 < row["high"]
        and row["generators"] == {"a": 0.5}
        and row["suspicious"] is False
    )
    assert (
        row["detail"].startswith("so; detector minus control +0.300")
        and row["rule"] == RULES["below"]
    )
    assert row["expected"] == "clearly below the detector" and row["if_high"].startswith(
        "A network that has learnt nothing"
    )


def test_a_control_that_fails_says_why_and_has_no_figures():
    def fail() -> Any:
        raise PipelineError("4 faces cannot carry a full covariance")

    row = attempt("exif_heads", fail, measured(0.8))
    assert (row["auc"], row["low"], row["high"], row["faces"], row["generators"]) == (
        None,
        None,
        None,
        0,
        {},
    )
    assert row["suspicious"] is None and row["left_out"] == {}
    assert row["detail"] == "cannot be computed: 4 faces cannot carry a full covariance"
    assert set(row) == set(attempt("exif_heads", lambda: measured(0.5), measured(0.8)))


def test_what_is_to_be_said_of_an_expectation_is_added_to_it():
    row = attempt(
        "shuffled_exif",
        lambda: replace(measured(0.5), expected="trained for 1 of 5 epochs"),
        measured(0.8, seed=1),
    )
    assert row["expected"] == "clearly below the detector (trained for 1 of 5 epochs)"
