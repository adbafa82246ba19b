"""How the report writes numbers, and what it concludes from them."""

import pytest

from pipeline.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 %"),
        (0.05, "5.0 %"),
        (0.001, "0.10 %"),
        (0.009949, "0.99 %"),
        (0.00999, "1.0 %"),
        (1, "100.0 %"),
    ],
)
def test_percent(value, text):
    assert wording.percent(value) == text


def test_numbers():
    assert wording.number(-1234.5678, 1) == "−1,234.6" and wording.plural(1, "epoch") == "1 epoch"
    assert (
        wording.plural(2000, "face") == "2,000 faces"
        and wording.cell(float("nan")) == wording.cell(None) == "–"
    )
    assert wording.cell(0.5, wording.percent) == "50.0 %"


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.05, "5 %"), (0.001, "0.1 %"), (0.025, "2.5 %"), (0.07, "7 %"), (0.29, "29 %")],
)
def test_chosen_rates_read_as_written(rate, text):
    assert wording.chosen(rate) == text


def test_intervals():
    assert wording.span(0.1234, 0.2) == "0.123–0.200"
    assert wording.span(0.031, 0.07, wording.percent) == "3.1–7.0 %"
    assert wording.span(None, 0.07) == wording.span(0.07, None) == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_lists(names, text):
    assert wording.listed(names) == text


@pytest.mark.parametrize(
    ("kind", "strength", "text"),
    [("jpeg", 85.0, "JPEG 85"), ("double_jpeg", 75, "double JPEG 75"), ("resize", 0.75, "resize × 0.75"),
     ("blur", 0.5, "blur σ 0.5"),
     ("new_kind", 2, "new kind 2")],
)  # fmt: skip
def test_perturbations(kind, strength, text):
    assert wording.perturbation(kind, strength) == text


def test_a_p_value_tells_of_photographs_not_of_generated_faces():
    assert wording.unusual(0.021) == "no more than about 2.1 % of photographs look this unusual"


@pytest.mark.parametrize("text", ["two folds", "two folds.", "Two folds"])
def test_a_sentence_has_a_capital_and_one_full_stop(text):
    assert wording.sentence(text) == "Two folds."


@pytest.mark.parametrize("reason", ["21 of 400 are above", "21 of 400 are above."])
@pytest.mark.parametrize(
    ("verdict", "qualifier", "said"),
    [("holds", "", "holds"), ("holds", "more cautious than chosen", "holds (more cautious than chosen)"),
     ("does not hold", "few calibration photographs", "does not hold (few calibration photographs)"),
     ("too few test photographs", "", "too few test photographs")],
)  # fmt: skip
def test_whether_a_choice_holds(verdict, qualifier, said, reason):
    rate = {"chosen": 0.05, "verdict": verdict, "qualifier": qualifier, "reason": reason}
    assert wording.outcome(rate) == said
    assert wording.held(rate) == f"Chosen false alarm rate 5 %: {said}. 21 of 400 are above."


@pytest.mark.parametrize(
    ("auc", "alike"), [(0.5, True), (0.55, True), (0.56, False), (0.44, False)]
)
def test_the_verdict_on_photographs_against_photographs(auc, alike):
    calibration = {"real_against_real_auc": auc, "real_against_real_auc_standard_error": 0.02}
    text, verdict = wording.verdict_of_real_against_real(calibration)
    assert verdict == alike and f"{auc:.3f} ± 0.020" in text
