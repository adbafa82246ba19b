"""What a reader is warned of: each warning from results made so, and none where all is in order."""

import pytest

from pipeline.sections import worries
from tests.test_sections import found, made, said

__all__ = ["found", "made"]  # fixtures


def test_a_detector_in_order_worries_nobody_but_for_what_is_few(found):
    found.metrics["sim_b"] = found.metrics["sim_a"]
    for content in found.robustness.values():
        content["photographs"]["at_5_percent"]["perturbed"] = content["photographs"]["at_5_percent"]["clean"]
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
    assert first.startswith("Not told from photographs") and "sim_a (AUC" in first and "sim_b" not in first
    assert f"sim_b ({100 * rate:.1f} %)" in second and "sim_a" not in second


def test_a_generator_without_an_interval_is_judged_by_its_auc(found):
    found.metrics["sim_a"]["low"]["auc"] = None
    assert not any("sim_a (AUC" in text for text in said(worries.missed(found)))
    found.metrics["sim_a"]["values"]["auc"] = 0.5
    assert any("sim_a (AUC 0.500)" in text for text in said(worries.missed(found)))


def test_a_rate_that_does_not_hold_is_a_warning(found):
    found.calibration["rates"]["at_5_percent"] |= {"verdict": "does not hold", "reason": "the photographs differ"}
    assert "5 % false alarms: the choice does not hold. the photographs differ." in said(worries.false_alarms(found))


def test_formats_that_give_generators_away_and_a_fall_by_harmonising(found):
    assert len(said(worries.confounds(found), "good")) == 2
    found.confounds["warnings"] = ["Metadata tell."]
    found.confounds["harmonised"]["mean"]["auc"] = {"as_found": 0.9, "harmonised": 0.8}
    warnings = said(worries.confounds(found))
    assert warnings[0] == "Metadata tell." and "0.800 instead of 0.900" in warnings[1]


def test_perturbations_that_raise_false_alarms_or_hide_faces_are_warned_of(found):
    for content in found.robustness.values():
        content["photographs"]["at_5_percent"]["perturbed"] = {"false_alarm_rate": 0.04, "low": 0.02, "high": 0.06}
    assert len(said(worries.robustness(found), "good")) == 1
    found.robustness["jpeg_40"]["photographs"]["at_5_percent"]["perturbed"] = {
        "false_alarm_rate": 0.2,
        "low": 0.15,
        "high": 0.3,
    }
    found.robustness["crop_0.9"]["mean"]["at_5_percent"] = {"clean": 0.8, "perturbed": 0.3}
    raised, hidden = said(worries.robustness(found))
    assert "under JPEG 40 (20.0 %)" in raised and "crop × 0.9 (30.0 % instead of 80.0 %)" in hidden


@pytest.mark.parametrize(("count", "text"), [(1, "0"), (5, "4, 3, 2, 1 and 0"), (7, "6, 5, 4, 3 and 3 others")])
def test_long_lists_name_the_worst(count, text):
    assert worries._worst([(float(i), str(i)) for i in range(count)]) == text
