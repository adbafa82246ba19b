"""Rules of --fail-if: which texts are rules, when they hold, and what they may name."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.comparison import rules
from pipeline.comparison.pairs import Row
from pipeline.comparison.rules import Rule

ALARMS = "false_alarm_rate_at_5_percent"
ROWS = [
    *(Row("auc", of, 0.5, 0.5, 0, 0, 0) for of in ("mean", "worst", "ddpm", "sd-2.1")),
    Row(ALARMS, "photographic_test", 0, 0, 0, 0, 0),
]


def row(difference: float, low: float = -1, high: float = 1) -> Row:
    return Row("auc", "mean", 0.5, 0.5 + difference, difference, low, high)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("auc.mean drops by 0.01", ("auc", "mean", -1, 0.01)),
        ("  auc.worst  rises by .5 ", ("auc", "worst", 1, 0.5)),
        ("auc.sd-2.1 drops significantly", ("auc", "sd-2.1", -1, None)),
        (f"{ALARMS}.mean rises by 0.001", (ALARMS, "mean", 1, 0.001)),
    ],
)
def test_a_rule_is_read_into_its_parts(text, parts):
    assert rules.parse(text) == Rule(text, *parts)


NO_RULES = """
auc drops by 0.01
auc.mean falls by 0.01
auc.mean drops by
auc.mean drops by -0.01
auc.mean drops by 1 %
auc.mean drops by 5
auc.mean drops by 1.0
auc.mean dropsby 0.01
.mean drops by 0.1"""


@pytest.mark.parametrize("text", NO_RULES.split("\n"))
def test_what_is_no_rule_is_refused_with_the_grammar(text):
    with pytest.raises(PipelineError, match=r"is no rule; write .<measure>.*between 0 and 1"):
        rules.parse(text)


@given(st.floats(-1, 1), st.integers(1, 999))
def test_a_drop_or_rise_is_at_least_the_share(difference, thousandths):
    share = f"0.{thousandths:03}"
    assume(abs(abs(difference) - float(share)) > 1e-9)
    drops, rises = (rules.parse(f"auc.mean {verb} by {share}") for verb in ("drops", "rises"))
    assert drops.holds(row(difference)) == (difference < -float(share))
    assert rises.holds(row(difference)) == (difference > float(share))


def test_a_difference_of_just_the_share_counts():
    assert 0.57 - 0.56 < 0.01
    assert rules.parse("auc.mean rises by 0.01").holds(row(0.57 - 0.56))
    assert rules.parse("auc.mean drops by 0.01").holds(row(0.56 - 0.57))


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
    of = row((low + high) / 2, low, high)
    assert rules.parse("auc.mean drops significantly").holds(of) is drops
    assert rules.parse("auc.mean rises significantly").holds(of) is rises


def test_a_rule_has_its_row_and_false_alarms_are_the_same_for_all_generators():
    for of in ("mean", "worst", "ddpm", "sd-2.1"):
        assert rules.parse(f"auc.{of} drops by 0.1").row(ROWS).of == of
        assert rules.parse(f"{ALARMS}.{of} rises by 0.1").row(ROWS) == ROWS[-1]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("acu.mean drops by 0.1", f"no 'acu' to compare; known are auc, {ALARMS}$"),
        ("auc.ddim drops by 0.1", "no 'ddim' to compare; known are mean, worst, ddpm, sd-2.1$"),
    ],
)
def test_unknown_measures_and_generators_are_named_with_the_known_ones(rule, message):
    with pytest.raises(PipelineError, match=message):
        rules.parse(rule).row(ROWS)
