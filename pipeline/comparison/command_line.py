"""Command lines with rules: exit status 2 says that one holds, and nothing else does."""

import argparse
from typing import NoReturn

from pipeline.base.errors import PipelineError
from pipeline.comparison import rules

A_RULE_HOLDS = 2


class Parser(argparse.ArgumentParser):
    """A parser with --fail-if, for `python -m <prog>`."""

    def __init__(self, prog: str, doc: str | None):
        super().__init__(prog=f"python -m {prog}", description=doc)
        self.add_argument(
            "--fail-if",
            action="append",
            default=[],
            metavar="RULE",
            help=f"exit with status {A_RULE_HOLDS} if it holds (repeatable): {rules.GRAMMAR}",
        )

    def error(self, message: str) -> NoReturn:
        """Exit status 1: argparse's own 2 would look like a rule that holds."""
        raise PipelineError(f"{message}; see {self.prog} --help")
