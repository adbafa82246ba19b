"""How the report writes numbers, and short sentences."""

import pytest

from pipeline.report import wording
from pipeline.report.wording import Value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 %"),
        (0.05, "5.0 %"),
        (0.001, "0.10 %"),
        (0.009949, "0.99 %"),
        (0.00999, "1.0 %"),
        (1, "100.0 %"),
        (None, "–"),
    ],
)
def test_percent(value, text):
    assert wording.percent(value) == text


def test_numbers():
    assert wording.number(-1234.5678, 1) == "−1,234.6"
    assert wording.number(float("nan")) == wording.number(None) == "–"
    assert wording.plural(1, "epoch") == "1 epoch" and wording.plural(2000, "face") == "2,000 faces"


@pytest.mark.parametrize(
    ("rate", "text"), [(0.05, "5 %"), (0.001, "0.1 %"), (0.07, "7 %"), (0.29, "29 %")]
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
    [
        ("jpeg", 85.0, "JPEG 85"),
        ("double_jpeg", 75, "double JPEG 75"),
        ("resize", 0.75, "resize × 0.75"),
        ("new_kind", 2, "new kind 2"),
    ],
)
def test_perturbations(kind, strength, text):
    assert wording.perturbation({"kind": kind, "strength": strength}) == text


@pytest.mark.parametrize("text", ["two folds", "two folds.", "Two folds"])
def test_a_sentence_has_a_capital_and_one_full_stop(text):
    assert wording.sentence(text) == "Two folds."


def test_a_verdict_has_its_qualifier():
    assert wording.outcome({"verdict": "exceeds", "qualifier": ""}) == "exceeds"
    assert wording.outcome({"verdict": "exceeds", "qualifier": "few"}) == "exceeds (few)"


def test_values_are_found_in_each_layout():
    parts = {"values": {"a": {"b": 2}}, "low": {"a": {"b": 1}}, "high": {"a": None}}
    assert wording.value_of(parts, "a", "b") == Value(2, 1, None)
    row = {"auc": 2, "auc_low": 1, "auc_high": 3, "at": {"rate": 5, "low": 4, "high": 6}, "eer": 7}
    assert wording.value_in(row, "auc") == Value(2, 1, 3)
    assert wording.value_in(row, "at", "rate") == Value(5, 4, 6)
    assert wording.value_in(row, "eer") == Value(7) and wording.value_in(row, "no", "x") == Value(
        None
    )
    rate = {"false_alarm_rate": 2, "exact_95": {"low": 1, "high": 3}}
    assert wording.achieved(rate) == Value(2, 1, 3)
