"""Rules of --fail-if: which texts are rules, when they hold, and what they may name."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.comparison import rules as failing_rules
from pipeline.comparison.pairs import Row
from pipeline.comparison.rules import Rule

RATE = "at_5_percent"
GENERATORS = ["mean", "worst", "ddpm", "sd-2.1"]
KNOWN = {
    "auc": GENERATORS,
    f"detection_rate_{RATE}": GENERATORS,
    f"false_alarm_rate_{RATE}": ["photographic_test"],
}


def row(difference: float, low: float = -1, high: float = 1) -> Row:
    return Row("auc", "mean", 0.5, 0.5 + difference, difference, low, high)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("auc.mean drops by 0.01", ("auc", "mean", -1, 0.01)),
        ("  auc.worst  rises by .5 ", ("auc", "worst", 1, 0.5)),
        (
            "detection_rate_at_5_percent.sd-2.1 drops significantly",
            ("detection_rate_at_5_percent", "sd-2.1", -1, None),
        ),
        (
            "false_alarm_rate_at_0_1_percent.mean rises by 1e-3",
            ("false_alarm_rate_at_0_1_percent", "mean", 1, 0.001),
        ),
    ],
)
def test_a_rule_is_read_into_its_parts(text, rule):
    parsed = failing_rules.parse(text)
    assert parsed == Rule(text.strip(), *rule)


NO_RULES = """
auc drops by 0.01
auc.mean falls by 0.01
auc.mean drops
auc.mean drops by
auc.mean drops by -0.01
auc.mean drops by 1 %
auc.mean drops by nan
auc.mean drops by 0.01 0.02
auc.mean dropsby 0.01
.mean drops by 0.1"""


@pytest.mark.parametrize("text", NO_RULES.split("\n"))
def test_what_is_no_rule_is_refused_with_the_grammar(text):
    with pytest.raises(PipelineError, match="is no rule; write <measure>"):
        failing_rules.parse(text)


@pytest.mark.parametrize("number", ["0", "0.0", "1", "5", "1e3", "1e-999"])
def test_a_rule_that_always_or_never_holds_is_refused(number):
    with pytest.raises(PipelineError, match="not between 0 and 1; all measures are shares"):
        failing_rules.parse(f"auc.mean drops by {number}")


@given(st.floats(-1, 1), st.floats(0.001, 0.999))
def test_a_drop_or_rise_is_at_least_the_number(difference, number):
    assume(abs(abs(difference) - number) > 1e-9)
    assert failing_rules.parse(f"auc.mean drops by {number!r}").holds(row(difference)) == (
        difference < -number
    )
    assert failing_rules.parse(f"auc.mean rises by {number!r}").holds(row(difference)) == (
        difference > number
    )


def test_a_difference_of_just_the_number_counts():
    assert 0.57 - 0.56 < 0.01
    assert failing_rules.parse("auc.mean rises by 0.01").holds(row(0.57 - 0.56))
    assert failing_rules.parse("auc.mean drops by 0.01").holds(row(0.56 - 0.57))
    assert not failing_rules.parse("auc.mean drops by 0.01").holds(row(0.57 - 0.56))


@pytest.mark.parametrize(
    ("low", "high", "drops", "rises"),
    [
        (-0.2, -0.1, True, False),
        (0.1, 0.2, False, True),
        (-0.1, 0.1, False, False),
        (-0.1, 0, False, False),
        (0, 0, False, False),
    ],
)
def test_significantly_is_the_whole_interval_on_that_side(low, high, drops, rises):
    found = row((low + high) / 2, low, high)
    assert failing_rules.parse("auc.mean drops significantly").holds(found) is drops
    assert failing_rules.parse("auc.mean rises significantly").holds(found) is rises


def test_a_rule_finds_its_row_and_false_alarms_are_the_same_for_all_generators():
    rows = [Row(measure, of, 0, 0, 0, 0, 0) for measure, over in KNOWN.items() for of in over]
    for of in GENERATORS:
        found = failing_rules.parse(f"detection_rate_{RATE}.{of} drops by 0.1").row(rows)
        assert (found.measure, found.of) == (f"detection_rate_{RATE}", of)
        alarms = failing_rules.parse(f"false_alarm_rate_{RATE}.{of} rises by 0.1").row(rows)
        assert (alarms.measure, alarms.of) == (f"false_alarm_rate_{RATE}", "photographic_test")


@pytest.mark.parametrize("of", [*GENERATORS, "photographic_test"])
def test_rules_on_what_is_known_pass(of):
    failing_rules.check([failing_rules.parse(f"false_alarm_rate_{RATE}.{of} rises by 0.01")], KNOWN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "acu.mean drops by 0.1",
            "unknown measure 'acu'; known are auc, detection_rate_at_5_percent, false_alarm",
        ),
        (
            "detection_rate_at_2_percent.mean drops by 0.1",
            "unknown measure 'detection_rate_at_2_percent'",
        ),
        (
            "auc.ddim drops significantly",
            "no 'ddim' to compare; known are mean, worst, ddpm, sd-2.1$",
        ),
        ("auc.photographic_test drops by 0.1", "no 'photographic_test' to compare"),
        (
            f"false_alarm_rate_{RATE}.ddim rises by 0.1",
            "known are photographic_test, mean, worst, ddpm, sd-2.1$",
        ),
    ],
)
def test_unknown_measures_and_generators_are_named_with_the_known_ones(text, said):
    with pytest.raises(PipelineError, match=said):
        failing_rules.check([failing_rules.parse(text)], KNOWN)
