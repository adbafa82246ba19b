"""What a reader is warned of: each warning from results made so, and none where all is in order."""

import re
from typing import Any

import pytest

from pipeline.report import findings
from pipeline.report.wording import CONSISTENT
from tests.report.world import FLAG, REVIEW


def said(parts, kind="warning"):
    return [finding.text for finding in parts if finding.kind == kind]


@pytest.fixture
def fine(results):
    """Results that worry nobody."""
    for rate in results.calibration["rates"].values():
        rate |= {"verdict": "consistent with the chosen rate", "qualifier": ""}
    results.calibration["calibration_faces"] = 2000
    for part in results.generators.values():
        part["cautions"] = []
        part["low"]["auc"] = 0.8
        part["values"][REVIEW]["detection_rate"] = 0.7
    for control in results.controls["controls"]:
        control["judged"] = "in order"
    return results


def test_results_in_order_worry_nobody(fine):
    assert said(findings.find(fine)) == []
    good = said(findings.find(fine), "good")
    assert len(good) == 8
    assert any("No generator is missed" in text for text in good)
    assert "All 9 controls came out as expected." in good


def test_warnings_come_first(results):
    kinds = [finding.kind for finding in findings.find(results)]
    assert kinds == sorted(kinds, reverse=True) and {"warning", "good"} == set(kinds)


# --- rates and calibration


@pytest.mark.parametrize("verdict", ["exceeds the chosen rate", "too few test photographs"])
def test_every_verdict_but_the_consistent_one_is_a_warning_with_its_reason(fine, verdict):
    fine.calibration["rates"][REVIEW] |= {"verdict": verdict, "qualifier": "few", "reason": "two."}
    assert said(findings.find(fine)) == [f"Chosen false alarm rate 10 %: {verdict} (few). Two."]


def test_the_rate_with_each_history_is_told_and_warned_of_where_it_does_not_hold(fine):
    histories = fine.calibration["histories"]
    for name, verdict in {"jpeg_75": CONSISTENT, "blur_1": "exceeds the chosen rate"}.items():
        verdicts = {"verdict": verdict, "qualifier": "", "reason": "so it is"}
        rate = {**histories["none"][REVIEW], **verdicts, "false_alarm_rate": 0.05}
        histories[name] = {REVIEW: rate}
    said_of = "Chosen false alarm rate 10 %, photographs with the history blur σ 1: exceeds the"
    assert said(findings.find(fine)) == [f"{said_of} chosen rate. So it is."]
    holds = "The chosen 10 % holds for photographs with these histories: JPEG 75 (5.0 %)."
    assert holds in said(findings.find(fine), "good")


@pytest.mark.parametrize(
    ("auc", "alike"), [(0.5, True), (0.55, True), (0.56, False), (0.45, True), (0.44, False)]
)
def test_photographs_that_differ_are_warned_of(fine, auc, alike):
    fine.calibration.update(real_against_real_auc=auc, real_against_real_auc_standard_error=0.02)
    (text,) = [t for t in said(findings.find(fine), "good" if alike else "warning") if "±" in t]
    assert f"ROC AUC {auc:.3f} ± 0.020" in text and ("they differ" in text) is not alike


@pytest.mark.parametrize(
    ("known", "text"), [(1, "1 person on test photographs is"), (1200, "1,200 persons on test")]
)
def test_persons_on_both_sides_of_the_test_are_warned_of(fine, known, text):
    fine.calibration["test_people_known"] = known
    (warning,) = said(findings.find(fine))
    assert warning.startswith(text)


def test_warnings_about_the_inputs_are_passed_on(fine):
    fine.listing["warnings"] = ["2 persons are in both lists"]
    assert said(findings.find(fine)) == ["2 persons are in both lists."]


def test_thresholds_that_rest_on_few_photographs_are_warned_of(fine):
    fine.calibration["calibration_faces"] = 150
    fine.calibration["rates"][FLAG] |= {
        "guarantee_95": {"low": 0.02, "high": 0.09},
        "photographs_needed": 299,
    }
    (warning,) = said(findings.find(fine))
    assert warning.startswith("The threshold for 5 % rests on the 7 most anomalous photographs of")
    assert "2.0–9.0 %" in warning and "of 299 persons" in warning


# --- generators


def test_missed_generators_are_named_with_what_is_detected(fine):
    fine.generators["sim_latent"]["low"]["auc"] = 0.49
    fine.generators["sim_rolloff"]["values"][REVIEW]["detection_rate"] = 0.499
    chance, missed = said(findings.find(fine))
    assert chance == "Not better than chance on these faces: sim_latent (AUC 0.539)."
    assert "at 10 % false alarms" in missed and missed.endswith("sim_rolloff (49.9 %).")


@pytest.mark.parametrize(("auc", "warned"), [(0.51, False), (0.5, True)])
def test_a_generator_without_an_interval_is_judged_by_its_auc(fine, auc, warned):
    fine.generators["sim_latent"]["low"]["auc"] = None
    fine.generators["sim_latent"]["values"]["auc"] = auc
    assert bool(said(findings.find(fine))) is warned


def test_cautions_are_said_once_for_all_generators_that_have_them(fine):
    fine.generators["sim_latent"]["cautions"] = ["nine persons", "four faces"]
    fine.generators["sim_rolloff"]["cautions"] = ["nine persons"]
    expected = ["sim_latent and sim_rolloff: Nine persons.", "sim_latent: Four faces."]
    assert said(findings.find(fine)) == expected


def test_what_could_not_be_computed_and_the_fits_warnings_are_said(fine):
    fine.generators["sim_latent"]["not_computed"] = {"eer": "all alike"}
    fine.gmm["warnings"] = ["no convergence"]
    expected = ["Mixture: no convergence", "Not everything could be computed for sim_latent; "]
    for text, start in zip(said(findings.find(fine)), expected, strict=True):
        assert text.startswith(start)


# --- controls


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("suspicious", "Control “EXIF heads alone”: AUC 0.486, expected not above the det"),
        ("not judged", "Not judged: “EXIF heads alone”"),
        ("not computed", "Not computed: “EXIF heads alone”"),
        ("not below the detector", "Trivial scores reach: “EXIF heads alone” AUC 0.486; the"),
    ],
)
def test_a_control_that_is_not_in_order_is_warned_of(fine, verdict, text):
    fine.controls["controls"][2]["judged"] = verdict
    (warning,) = said(findings.find(fine))
    assert warning.startswith(text)
    assert "The other 8 controls came out as expected." in said(findings.find(fine), "good")


def test_generators_that_the_controls_leave_out_are_named_once(fine):
    for control in fine.controls["controls"][:3]:
        control["left_out"] = {"sim_latent": "one face"}
    (warning,) = said(findings.find(fine))
    assert warning.startswith("The controls leave out sim_latent;")


# --- perturbations


def test_perturbations_that_raise_false_alarms_or_hide_faces_are_warned_of(fine):
    alarms = {"false_alarm_rate": 0.4, "low": 0.35, "high": 0.5}
    fine.robustness["jpeg_75"]["photographs"][REVIEW]["perturbed"] = alarms
    fine.robustness["blur_1"]["mean"][REVIEW] = {"clean": 0.8, "perturbed": 0.3}
    raised, hidden = said(findings.find(fine))
    assert "beyond the chosen 10 % under JPEG 75 (40.0 %)" in raised
    fine.calibration["histories"]["jpeg_75"] = fine.calibration["rates"]  # judged there
    assert said(findings.find(fine)) == [hidden]
    assert hidden.endswith("pass under blur σ 1 (30.0 % instead of 80.0 %).")


@pytest.mark.parametrize("low", [None, 0.1, 0.3])
def test_false_alarms_that_chance_or_clean_photographs_explain_are_no_warning(fine, low):
    clean = {"false_alarm_rate": 0.33, "low": 0.2, "high": 0.5}
    now = {"false_alarm_rate": 0.4, "low": low, "high": low}
    fine.robustness["jpeg_75"]["photographs"][REVIEW] |= {"clean": clean, "perturbed": now}
    fine.robustness["jpeg_75"]["mean"][REVIEW] = {"clean": 0.8, "perturbed": None}
    assert said(findings.find(fine)) == []


def test_no_perturbation_is_said(fine):
    fine.robustness.clear()
    assert said(findings.find(fine), "plain") == [
        "Compressed, shrunk or blurred faces: not tested."
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(1, "0"), (5, "4, 3, 2, 1 and 0"), (7, "6, 5, 4, 3 and 3 others")]
)
def test_long_lists_name_the_worst(count, text):
    assert findings._worst([(float(i), str(i)) for i in range(count)]) == text


# --- file formats


def aucs(results, latent, rolloff, mean):
    """Set AUCs as found and harmonised of both generators and their mean."""
    harmonised = results.confounds["harmonised"]
    harmonised["mean"]["auc"] = dict(zip(("as_found", "harmonised"), mean, strict=True))
    for name, ends in {"sim_latent": latent, "sim_rolloff": rolloff}.items():
        parts = harmonised["generators"][name]["auc"]
        parts["as_found"]["value"], parts["harmonised"]["value"] = ends


@pytest.mark.parametrize(
    ("worst", "why"),
    [(0.55, "fine traces .*show no formats"), (0.95, "formats, or on"), (None, "formats, or on")],
)
def test_a_fall_by_harmonising_that_the_mean_hides_is_a_warning(fine, worst, why):
    aucs(fine, (0.9, 0.8), (0.6, 0.7), (0.75, 0.75))
    fine.confounds["metadata_classifier"]["worst"] = worst
    (warning,) = said(findings.find(fine))
    assert "sim_latent from 0.900 to 0.800" in warning and "sim_rolloff" not in warning
    assert re.search(why, warning)


def test_a_fall_of_the_mean_alone_is_a_warning_too_and_small_ones_are_none(fine):
    aucs(fine, (0.8, None), (0.8, 0.76), (0.8, 0.7))
    (warning,) = said(findings.find(fine))
    assert "all together" in warning
    aucs(fine, (0.9, 0.86), (0.6, 0.65), (0.75, 0.755))
    assert said(findings.find(fine)) == []


def test_warnings_about_formats_and_what_could_not_be_computed_are_passed_on(fine):
    confounds: dict[str, Any] = fine.confounds
    confounds["warnings"] = ["Metadata tell."]
    confounds["harmonised"]["warnings"] = ["no convergence"]
    confounds["harmonised"]["mean"]["auc"]["harmonised"] = None
    assert said(findings.find(fine)) == [
        "Metadata tell.",
        "Mixtures of the comparison without format cues: no convergence",
        "Not computed: results without format cues; see Formats and resolution.",
    ]
