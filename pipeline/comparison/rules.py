"""Rules on a comparison of two runs: when a change is too bad to pass, as `auc.mean drops by 0.01`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.base.errors import PipelineError
from pipeline.comparison.pairs import PHOTOGRAPHS, Row

GRAMMAR = "<measure>.<generator, mean or worst> drops|rises by <number between 0 and 1>, or: drops|rises significantly"
_PATTERN = re.compile(
    r"(\w+)\.(\S+)\s+(drops|rises)\s+(?:by\s+(\d*\.?\d+(?:[eE]-?\d+)?)|significantly)"
)
_ROUNDING = 1e-12  # 0.57 - 0.56 is a little less than 0.01


class Rule(NamedTuple):
    """A rule as it was written, and its parts; amount None = significantly, the whole 95 % interval
    on that side of 0.
    """

    text: str
    measure: str
    of: str
    direction: int  # -1 drops, 1 rises
    amount: float | None

    def holds(self, row: Row) -> bool:
        """Whether the difference B - A of this row is what the rule forbids."""
        if self.amount is None:
            return min(self.direction * row.low, self.direction * row.high) > 0
        return self.direction * row.difference >= self.amount - _ROUNDING

    def row(self, rows: Iterable[Row]) -> Row:
        """The row that the rule is about: false alarms have one, whatever the generator."""
        return next(
            row for row in rows if row.measure == self.measure and row.of in (self.of, PHOTOGRAPHS)
        )


def parse(text: str) -> Rule:
    """The rule that a text holds. Raises PipelineError where it is none, or could never hold."""
    match = _PATTERN.fullmatch(text.strip())
    if not match:
        raise PipelineError(f"--fail-if {text!r} is no rule; write {GRAMMAR}")
    measure, of, verb, number = match.groups()
    amount = float(number) if number else None
    if amount is not None and not 0 < amount < 1:
        raise PipelineError(
            f"--fail-if {text!r}: {number} is not between 0 and 1; all measures are shares: 5 per "
            "cent is 0.05"
        )
    return Rule(text.strip(), measure, of, {"drops": -1, "rises": 1}[verb], amount)


def check(rules: Sequence[Rule], known: Mapping[str, Sequence[str]]) -> None:
    """Raise PipelineError for a measure or a generator that the comparison does not have. known:
    `comparison.known`.
    """
    generators = list(
        dict.fromkeys(of for over in known.values() for of in over if of != PHOTOGRAPHS)
    )
    for rule in rules:
        if rule.measure not in known:
            raise PipelineError(
                f"--fail-if {rule.text!r}: unknown measure {rule.measure!r}; known are "
                f"{', '.join(known)}"
            )
        allowed = dict.fromkeys(
            [*known[rule.measure], *(generators if PHOTOGRAPHS in known[rule.measure] else [])]
        )
        if rule.of not in allowed:
            raise PipelineError(
                f"--fail-if {rule.text!r}: no {rule.of!r} to compare; known are "
                f"{', '.join(allowed)}"
            )
