"""Compare two runs on the same faces: python -m pipeline.comparison.__main__ [REV_A] [REV_B], with
95 % intervals of the differences B - A.

REV_A (HEAD) and REV_B (workspace): git commits, branches, tags, names of dvc experiments, or
"workspace", the files here. Exit status: 0 compared, 1 an error, 2 a rule of --fail-if holds."""

import argparse
import io
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.base import params, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.comparison import pairs as comparison
from pipeline.comparison import rules as failing_rules
from pipeline.comparison.pairs import MEAN, PHOTOGRAPHS, WORST, Pairs, Row
from pipeline.report import wording

if TYPE_CHECKING:
    import pandas as pd

SCORES = "data/all_scores.parquet"
WORKSPACE = "workspace"
FEWEST_RESAMPLES = 100
A_RULE_HOLDS = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit status 1: argparse's own 2 would look like a rule that holds."""
        raise PipelineError(f"{message}; see python -m pipeline.comparison.__main__ --help")


def main(argv: list[str] | None = None) -> None:
    """Run the command with the given command line."""
    options = _options(argv)
    rules = [failing_rules.parse(text) for text in options.fail_if]
    resamples, seed = _draws(options)
    named = (options.rev_a, options.rev_b)
    runs = [read_scores(revision) for revision in named]
    pairs = comparison.pair(runs[0], runs[1], named)
    failing_rules.check(rules, comparison.known(pairs))

    rows = comparison.compare(pairs, resamples=resamples, seed=seed)
    judged = [(rule, rule.row(rows)) for rule in rules]
    notes = [
        *_notes(pairs, rows, named, resamples),
        *(_judgement(rule, row) for rule, row in judged),
    ]
    text = markdown(rows, notes, named)
    if options.output:
        with atomic(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(text if options.markdown and not options.output else plain(rows, notes, named), end="")
    if any(rule.holds(row) for rule, row in judged):
        raise SystemExit(A_RULE_HOLDS)


def read_scores(revision: str) -> "pd.DataFrame":
    """The table of all faces' scores at a revision, from dvc's cache or remote; of the workspace,
    from its file.

    Raises PipelineError with what to do where there is none.
    """
    if revision == WORKSPACE:
        return artifacts.read_table(SCORES)
    import pandas as pd
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    if not revision:
        raise PipelineError(
            f"a revision is empty: name a commit, a branch, a tag, an experiment or {WORKSPACE}"
        )
    files = DVCFileSystem(rev=revision)
    try:
        content = files.read_bytes(SCORES)
    except DvcException as error:
        raise PipelineError(
            f"{revision}: {error}; `git log`, `git branch -a` and `dvc exp list -A` show what "
            "there is"
        ) from None
    except FileNotFoundError:
        if not files.exists(SCORES):
            raise PipelineError(
                f"{revision} has no {SCORES}: check it out, run `dvc repro` and commit dvc.lock"
            ) from None
        at_head = files.repo.get_rev() == DVCFileSystem(rev="HEAD").repo.get_rev()
        raise PipelineError(
            f"{SCORES} of {revision} is neither in dvc's cache nor in a remote: "
            f"{_remedy(revision, at_head)}"
        ) from None
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as error:
        raise PipelineError(
            f"{SCORES} of {revision} is no readable Parquet file ({error}): make it again"
        ) from None


def _remedy(revision: str, at_head: bool) -> str:
    """How to come by scores made elsewhere; HEAD must not be checked out over one's own run, not
    committed yet.
    """
    if at_head:
        return (
            "the run committed there was made elsewhere. Commit your own run first (`dvc repro`, "
            "then "
            "`git add dvc.lock metrics && git commit`), then compare with it; or run `dvc push` "
            "where the other was made"
        )
    return (
        "run `dvc push` where it was made, or make it again: leave the working tree clean (`git "
        "stash`, or commit), then "
        f"`git checkout {revision}` (an experiment: `dvc exp apply {revision}`), then `dvc repro`"
    )


def plain(rows: list[Row], notes: list[str], named: tuple[str, str]) -> str:
    """One table per measure, at most 80 columns, and the notes."""
    parts = [_wrapped(f"A: {named[0]}, B: {named[1]}")]
    unequal = comparison.unequal_false_alarms(rows)
    for measure in dict.fromkeys(row.measure for row in rows):
        mark = " *" if measure in unequal else ""
        lines = [
            {"of": row.of, **_cells(row), "verdict": row.verdict + mark}
            for row in rows
            if row.measure == measure
        ]
        better = "lower is better" if comparison.lower_is_better(measure) else "higher is better"
        below = f"\n{_wrapped(f'* {_bought(unequal[measure])}')}" if mark else ""
        parts.append(terminal.format_table(lines, f"{measure} ({better})") + below)
    return "\n\n".join([*parts, "\n".join(map(_wrapped, notes))]) + "\n"


def markdown(rows: list[Row], notes: list[str], named: tuple[str, str]) -> str:
    """For a pull request: mean, worst and false alarms as a table, every generator's folded below,
    and the notes.
    """
    a, b = (name.replace("`", "'") for name in named)
    first = [row for row in rows if row.of in (MEAN, WORST, PHOTOGRAPHS)]
    unequal = comparison.unequal_false_alarms(rows)
    return "\n".join(
        [
            f"### `{b}` (B) compared with `{a}` (A)\n",
            *_markdown_table(first, unequal),
            "\n<details><summary>Every generator</summary>\n",
            *_markdown_table([row for row in rows if row not in first], unequal),
            "\n</details>\n",
            *(f"- {note}" for note in notes),
            "",
        ]
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(description=__doc__)
    parser.add_argument(
        "rev_a", metavar="REV_A", nargs="?", default="HEAD", help="the run to compare with (HEAD)"
    )
    parser.add_argument(
        "rev_b",
        metavar="REV_B",
        nargs="?",
        default=WORKSPACE,
        help=f"the run to judge ({WORKSPACE})",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write Markdown to a file, print the table"
    )
    rule = f'exit with status {A_RULE_HOLDS} if it holds, as "auc.mean drops by 0.01" (repeatable): {failing_rules.GRAMMAR}'
    parser.add_argument("--fail-if", action="append", default=[], metavar="RULE", help=rule)
    parser.add_argument(
        "--resamples", type=int, help="of the bootstrap (params.yaml: bootstrap.resamples)"
    )
    parser.add_argument("--seed", type=int, help="of the draws (params.yaml: seed)")
    return parser.parse_args(argv)


def _draws(options: argparse.Namespace) -> tuple[int, int]:
    """Number of resamples and seed: as given, or as in params.yaml."""
    resamples, seed = options.resamples, options.seed
    if resamples is None or seed is None:
        p = params.load("seed", "bootstrap")
        resamples, seed = (
            p.bootstrap.resamples if resamples is None else resamples,
            p.seed if seed is None else seed,
        )
    if resamples < FEWEST_RESAMPLES or seed < 0:
        raise PipelineError(
            f"--resamples {resamples} --seed {seed}: at least {FEWEST_RESAMPLES} and 0 are needed"
        )
    return resamples, seed


def _notes(pairs: Pairs, rows: list[Row], named: tuple[str, str], resamples: int) -> list[str]:
    """What was compared, what was left out, and how far the intervals reach."""
    faces, (only_a, only_b) = sum(map(len, pairs.generators.values())), pairs.faces_left_out
    notes = [
        f"Compared: {len(pairs.photographs):,} photographs and {faces:,} faces of "
        f"{len(pairs.generators)} generators, which "
        f"both runs have. Left out: {only_a:,} faces only in A, {only_b:,} only in B, "
        f"{pairs.other_pictures:,} whose picture "
        "changed.",
        *pairs.remarks,
        f"B - A with 95 % intervals over {resamples:,} paired resamples of persons or photographs; "
        "each run at its own "
        "thresholds. They cover which faces were tested, not the luck of training or calibration: "
        "repeat both runs with other "
        "seeds for that. Of twenty rows without a difference, about one shows one.",
        "worst: the lowest generator of each run, which need not be the same.",
    ]
    if any(row.verdict == comparison.SAME and row.difference for row in rows):
        notes.append(
            f'"{comparison.SAME}" means: none shown by these faces; more faces may show one.'
        )
    for row in rows:
        if comparison.lower_is_better(row.measure) and row.verdict != comparison.SAME:
            notes.append(
                f"{row.measure} differs: the detection rates at that rate were bought with unequal "
                "false alarms."
            )
    if all(row.difference == row.low == row.high == 0 for row in rows):
        notes.insert(
            1, f"{named[0]} and {named[1]} do not differ in any measure, nor in any resample."
        )
    return notes


def _bought(false_alarms: Row) -> str:
    """What stands below a detection table whose runs are not at the same false alarms."""
    more = false_alarms.difference > 0
    return (
        f"at {wording.percent(false_alarms.b)} false alarms instead of "
        f"{wording.percent(false_alarms.a)}, which alone "
        f"{'raises' if more else 'lowers'} detection: compare the AUC, or calibrate both on more "
        "photographs, before calling "
        f"this {comparison.BETTER if more else comparison.WORSE}"
    )


def _judgement(rule: failing_rules.Rule, row: Row) -> str:
    found = f"B - A is {row.difference:+.4f}, 95 % interval {row.low:+.4f} to {row.high:+.4f}"
    return f"Rule {'HOLDS' if rule.holds(row) else 'does not hold'}: {rule.text} ({found})"


def _cells(row: Row) -> dict[str, str]:
    return {
        "A": f"{row.a:.3f}",
        "B": f"{row.b:.3f}",
        "B - A": f"{row.difference:+.4f}",
        "95 % interval": f"{row.low:+.4f} to {row.high:+.4f}",
        "verdict": row.verdict,
    }


def _markdown_table(rows: list[Row], unequal: dict[str, Row]) -> list[str]:
    names = ["measure", *_cells(rows[0])]
    lines = [[f"`{row.measure}.{row.of}`", *_cells(row).values()] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        line[-1] = row.verdict if row.verdict == comparison.SAME else f"**{row.verdict}**"
        line[-1] += r" \*" if row.measure in unequal else ""
    shown = {row.measure for row in rows}
    below = [
        rf"- \* `{measure}`: {_bought(row)}" for measure, row in unequal.items() if measure in shown
    ]
    return [
        *(f"| {' | '.join(line)} |" for line in (names, ["---", *["---:"] * 4, "---"], *lines)),
        *(["", *below] if below else []),
    ]


def _wrapped(text: str) -> str:
    """At most 80 columns; a command in backticks stays on one line, to be copied."""
    whole = re.sub("`[^`]*`", lambda command: command[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    filled = textwrap.fill(whole, terminal.WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return filled.replace("\N{NO-BREAK SPACE}", " ")


def command() -> None:
    """`main` for a terminal: the lines of an error are no wider than its tables."""
    try:
        main()
    except (PipelineError, OSError) as error:
        prefix = "error: "  # of terminal.run
        lines = f"{prefix}{error}".splitlines()
        raise PipelineError("\n".join(map(_wrapped, lines)).removeprefix(prefix)) from None


if __name__ == "__main__":
    terminal.run(command)
