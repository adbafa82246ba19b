"""How the report writes numbers, and short sentences."""

import pytest

from pipeline.report import wording
from pipeline.report.wording import Value, chosen, listed, number, percent, plural, sentence, span


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (percent(0), "0.0 %"),
        (percent(0.001), "0.10 %"),
        (percent(0.009949), "0.99 %"),
        (percent(0.00999), "1.0 %"),
        (percent(1), "100.0 %"),
        (percent(None), "–"),
        (number(-1234.5678, 1), "−1,234.6"),
        (number(float("nan")), "–"),
        (plural(1, "epoch"), "1 epoch"),
        (plural(2000, "face"), "2,000 faces"),
        (chosen(0.05), "5 %"),
        (chosen(0.001), "0.1 %"),
        (chosen(0.29), "29 %"),
        (span(0.1234, 0.2), "0.123–0.200"),
        (span(0.031, 0.07, percent), "3.1–7.0 %"),
        (span(None, 0.07), ""),
        (listed([]), ""),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (sentence("two folds"), "Two folds."),
        (sentence("Two folds."), "Two folds."),
        (wording.perturbation({"kind": "resize", "strength": 0.75}), "resize × 0.75"),
        (wording.perturbation({"kind": "new_kind", "strength": 2.0}), "new kind 2"),
        (wording.outcome({"verdict": "exceeds", "qualifier": ""}), "exceeds"),
        (wording.outcome({"verdict": "exceeds", "qualifier": "few"}), "exceeds (few)"),
    ],
)
def test_numbers_and_sentences(written, text):
    assert written == text


def test_values_are_found_in_each_layout():
    parts = {"values": {"a": {"b": 2}}, "low": {"a": {"b": 1}}, "high": {"a": None}}
    assert wording.value_of(parts, "a", "b") == Value(2, 1, None)
    row = {"auc": 2, "auc_low": 1, "auc_high": 3, "at": {"rate": 5, "low": 4, "high": 6}, "eer": 7}
    assert wording.value_in(row, "auc") == Value(2, 1, 3)
    assert wording.value_in(row, "at", "rate") == Value(5, 4, 6)
    assert wording.value_in(row, "eer") == Value(7)
    assert wording.value_in(row, "no", "x") == Value(None)
