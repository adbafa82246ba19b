"""When a change is too bad to pass: rules such as `auc.mean drops by 0.01`, and command lines with
them, whose exit status 2 says that one holds, and nothing else does.
"""

import argparse
import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from pipeline.base.errors import PipelineError
from pipeline.comparison.pairs import PHOTOGRAPHS, Row

GRAMMAR = '"<measure>.<generator|mean|worst> drops|rises by <share>", or "... significantly"'
_PATTERN = re.compile(r"\s*(\w+)\.(\S+)\s+(drops|rises)\s+(?:by\s+(0?\.\d+)|significantly)\s*")
A_RULE_HOLDS = 2
_ROUNDING = 1e-12  # 0.57 - 0.56 is a little less than 0.01


class Rule(NamedTuple):
    """A rule as it was written, and its parts."""

    text: str
    measure: str
    of: str
    direction: int  # -1 drops, 1 rises
    share: float | None  # None = significantly: the whole 95 % interval on that side of 0

    def holds(self, row: Row) -> bool:
        """Whether the difference B - A of this row is what the rule forbids."""
        if self.share is None:
            return min(self.direction * row.low, self.direction * row.high) > 0
        return self.direction * row.difference >= self.share - _ROUNDING

    def row(self, rows: Sequence[Row]) -> Row:
        """The row that the rule is about; false alarms have one, whatever the generator.

        Raises PipelineError where the comparison has none."""
        of_measure = {row.of: row for row in rows if row.measure == self.measure}
        known = list(of_measure) or dict.fromkeys(row.measure for row in rows)
        row = of_measure.get(self.of) or of_measure.get(PHOTOGRAPHS)
        if row is None:
            raise PipelineError(
                f"--fail-if {self.text!r}: no {self.of if of_measure else self.measure!r} to "
                f"compare; known are {', '.join(known)}"
            )
        return row


def parse(text: str) -> Rule:
    """The rule that a text holds. Raises PipelineError where it holds none."""
    match = _PATTERN.fullmatch(text)
    if not match:
        raise PipelineError(
            f"--fail-if {text!r} is no rule; write {GRAMMAR}. A share lies between 0 and 1: five "
            "per cent are 0.05"
        )
    measure, of, verb, share = match.groups()
    return Rule(text, measure, of, {"drops": -1, "rises": 1}[verb], float(share) if share else None)


class Parser(argparse.ArgumentParser):
    """A parser with --fail-if, for `python -m <prog>`."""

    def __init__(self, prog: str, doc: str | None):
        how = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=f"python -m {prog}", description=doc, formatter_class=how)
        text = f"exit with status {A_RULE_HOLDS} if it holds (repeatable): {GRAMMAR}"
        self.add_argument("--fail-if", action="append", default=[], metavar="RULE", help=text)

    def error(self, message: str) -> NoReturn:
        """Exit status 1: argparse's own 2 would look like a rule that holds."""
        raise PipelineError(f"{message}; see {self.prog} --help")
