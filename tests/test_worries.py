"""What a reader is warned of: each warning from results made so, and none where all is in order."""

import re

import pytest

from pipeline.report.document import Text
from pipeline.report.figures.canvas import Drawings
from pipeline.report.sections import confounds, generators, worries
from tests.test_sections import found, made, said

__all__ = ["found", "made"]  # fixtures


def test_a_detector_in_order_worries_nobody_but_for_what_is_few(found):
    found.metrics["sim_b"] = found.metrics["sim_a"]
    for part in found.confounds["harmonised"]["generators"].values():
        part["auc"]["harmonised"] = part["auc"]["as_found"]
    for content in found.robustness.values():
        content["photographs"]["at_5_percent"]["perturbed"] = content["photographs"][
            "at_5_percent"
        ]["clean"]
    warnings = said(worries.all_of(found))
    assert len(warnings) == 1 and warnings[0].startswith(
        "The threshold for 1 % rests on the 4 most anomalous photographs of 480"
    )
    assert any("No generator is missed" in text for text in said(worries.all_of(found), "good"))


def test_missed_generators_are_named_with_what_is_detected(found):
    found.metrics["sim_a"]["low"]["auc"] = 0.49
    found.metrics["sim_b"]["low"]["auc"] = 0.51
    rate = found.metrics["sim_b"]["values"]["at_5_percent"]["detection_rate"]
    first, second = said(worries.missed(found))
    assert (
        first.startswith("Not told from photographs")
        and "sim_a (AUC" in first
        and "sim_b" not in first
    )
    assert f"sim_b ({100 * rate:.1f} %)" in second and "sim_a" not in second


def test_a_generator_without_an_interval_is_judged_by_its_auc(found):
    found.metrics["sim_a"]["low"]["auc"] = None
    assert not any("sim_a (AUC" in text for text in said(worries.missed(found)))
    found.metrics["sim_a"]["values"]["auc"] = 0.5
    assert any("sim_a (AUC 0.500)" in text for text in said(worries.missed(found)))


def test_a_rate_that_does_not_hold_is_a_warning(found):
    found.calibration["rates"]["at_5_percent"] |= {
        "verdict": "does not hold",
        "reason": "the photographs differ",
    }
    assert said(worries.false_alarms(found)) == [
        "Chosen false alarm rate 5 %: does not hold. The photographs differ."
    ]


def test_too_few_test_photographs_are_no_reason_to_call_it_good(found):
    found.calibration["rates"]["at_1_percent"] |= {
        "verdict": "too few test photographs",
        "reason": "0 of 40 would allow 9 %",
    }
    (warning,) = said(worries.false_alarms(found))
    assert (
        warning == "Chosen false alarm rate 1 %: too few test photographs. 0 of 40 would allow 9 %."
    )


def test_cautions_are_said_once_for_all_generators_that_have_them(found):
    found.metrics["sim_a"]["cautions"] = [
        "the photographs show 9 persons",
        "the generated faces show 4",
    ]
    found.metrics["sim_b"]["cautions"] = ["the photographs show 9 persons"]
    assert said(worries.cautions(found)) == [
        "sim_a and sim_b: The photographs show 9 persons.",
        "sim_a: The generated faces show 4.",
    ]
    shown = [
        block.text for block in generators.section(found, Drawings()) if isinstance(block, Text)
    ]
    assert "sim_a: The generated faces show 4." in shown


def test_warnings_of_the_mixtures_without_format_cues_are_passed_on(found):
    found.confounds["harmonised"]["warnings"] = ["harmonised: no convergence"]
    assert "Mixtures of the comparison without format cues: harmonised: no convergence" in said(
        worries.confounds(found)
    )
    assert "Fit, harmonised: no convergence" in said(
        b for b in confounds.section(found, Drawings()) if isinstance(b, Text)
    )


def fallen(found, name, as_found, harmonised):
    part = found.confounds["harmonised"]["generators"][name]["auc"]
    part["as_found"]["value"], part["harmonised"]["value"] = as_found, harmonised


def test_formats_that_give_generators_away_are_warned_of(found):
    fallen(found, "sim_a", 0.9, 0.86)
    fallen(found, "sim_b", 0.6, 0.65)
    found.confounds["harmonised"]["mean"]["auc"] = {"as_found": 0.75, "harmonised": 0.755}
    assert len(said(worries.confounds(found), "good")) == 2 and said(worries.confounds(found)) == []
    found.confounds["warnings"] = ["Metadata tell."]
    assert said(worries.confounds(found)) == ["Metadata tell."]


@pytest.mark.parametrize(
    ("worst", "why"),
    [
        (0.55, "fine traces that .* not on formats"),
        (0.95, "formats, or on"),
        (None, "formats, or on"),
    ],
)
def test_a_fall_by_harmonising_that_the_mean_hides_is_a_warning(found, worst, why):
    fallen(found, "sim_a", 0.9, 0.8)
    fallen(found, "sim_b", 0.6, 0.7)
    found.confounds["harmonised"]["mean"]["auc"] = {"as_found": 0.75, "harmonised": 0.75}
    found.confounds["metadata_classifier"]["worst"] = worst
    (warning,) = said(worries.confounds(found))
    assert (
        "sim_a from 0.900 to 0.800" in warning
        and "sim_b" not in warning
        and re.search(why, warning)
    )
    fallen(found, "sim_a", None, 0.8)
    assert said(worries.confounds(found)) == []


def test_a_fall_of_the_mean_alone_is_a_warning_too(found):
    for name in ("sim_a", "sim_b"):
        fallen(found, name, 0.8, None)
    found.confounds["harmonised"]["mean"]["auc"] = {"as_found": 0.8, "harmonised": 0.7}
    assert "all together" in said(worries.confounds(found))[0]


def test_people_on_both_sides_of_the_test_are_warned_of(found):
    assert not [text for text in said(worries.false_alarms(found)) if "with too" in text]
    found.calibration["test_people_known"] = 1
    assert (
        "1 person on test photographs is on photographs to fit or"
        in said(worries.false_alarms(found))[-1]
    )
    found.calibration["test_people_known"] = 1200
    assert "1,200 persons on test photographs are on" in said(worries.false_alarms(found))[-1]


def test_perturbations_that_raise_false_alarms_or_hide_faces_are_warned_of(found):
    for content in found.robustness.values():
        content["photographs"]["at_5_percent"]["perturbed"] = {
            "false_alarm_rate": 0.04,
            "low": 0.02,
            "high": 0.06,
        }
    assert len(said(worries.robustness(found), "good")) == 1
    found.robustness["jpeg_40"]["photographs"]["at_5_percent"]["perturbed"] = {
        "false_alarm_rate": 0.2,
        "low": 0.15,
        "high": 0.3,
    }
    found.robustness["crop_0.9"]["mean"]["at_5_percent"] = {"clean": 0.8, "perturbed": 0.3}
    raised, hidden = said(worries.robustness(found))
    assert "under JPEG 40 (20.0 %)" in raised and "crop × 0.9 (30.0 % instead of 80.0 %)" in hidden


@pytest.mark.parametrize(
    ("count", "text"), [(1, "0"), (5, "4, 3, 2, 1 and 0"), (7, "6, 5, 4, 3 and 3 others")]
)
def test_long_lists_name_the_worst(count, text):
    assert worries._worst([(float(i), str(i)) for i in range(count)]) == text
