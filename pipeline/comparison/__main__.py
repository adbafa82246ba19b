"""Compare two runs on the same faces: python -m pipeline.comparison [REV_A] [REV_B], with 95 %
intervals of the differences B - A.

REV_A (HEAD) and REV_B (workspace): git commits, branches, tags, names of dvc experiments, or
"workspace", the files here. Exit status: 0 compared, 1 an error, 2 a rule of --fail-if holds."""

import argparse
import textwrap
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.base.atomic import atomic
from pipeline.comparison import pairs, rules
from pipeline.comparison.pairs import Row
from pipeline.comparison.revisions import WORKSPACE, read_scores

NOTE = (
    "B - A with 95 % intervals over {:,} paired resamples of persons, each run at its own "
    "thresholds. They cover which faces were tested, not the luck of training or calibration: "
    "repeat both runs with other seeds for that. Of twenty rows without a difference, about one "
    f'shows one; "{pairs.SAME}" means: none shown by these faces, more faces may show one. worst: '
    "the lowest generator of each run, which need not be the same."
)


def main(argv: list[str] | None = None) -> None:
    """Run the command with the given command line."""
    options = _options(argv)
    failing = [rules.parse(text) for text in options.fail_if]
    p = params.load("seed", "bootstrap")
    named = (options.rev_a, options.rev_b)
    paired = pairs.pair(read_scores(named[0]), read_scores(named[1]), named)
    rows = pairs.compare(paired, resamples=p.bootstrap.resamples, seed=p.seed)
    judged = [(rule, rule.row(rows)) for rule in failing]

    notes = [*paired.remarks, NOTE.format(p.bootstrap.resamples)]
    notes += [f"Rule {'HOLDS' if r.holds(row) else 'does not hold'}: {r.text}" for r, row in judged]
    text = markdown(rows, notes, named)
    if options.output:
        with atomic(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(text if options.markdown and not options.output else plain(rows, notes, named), end="")
    if any(rule.holds(row) for rule, row in judged):
        raise SystemExit(rules.A_RULE_HOLDS)


def plain(rows: list[Row], notes: list[str], named: tuple[str, str]) -> str:
    """One table per measure, at most 80 columns, and the notes."""
    parts = [f"A: {named[0]}, B: {named[1]}"]
    for title, cells, below in _tables(rows):
        parts.append("\n".join([terminal.format_table(cells, title), *map(_wrapped, below)]))
    return "\n\n".join([*parts, "\n".join(map(_wrapped, notes))]) + "\n"


def markdown(rows: list[Row], notes: list[str], named: tuple[str, str]) -> str:
    """The same for a pull request."""
    a, b = (name.replace("`", "'") for name in named)
    parts = [f"### `{b}` (B) compared with `{a}` (A)"]
    for title, cells, below in _tables(rows):
        table = [list(cells[0]), ["---", *["---:"] * 4, "---"], *(row.values() for row in cells)]
        lines = [f"| {' | '.join(line)} |" for line in table]
        parts += [f"**{title}**", "\n".join(lines), *(rf"\{line}" for line in below)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def _tables(rows: list[Row]) -> list[tuple[str, list[dict[str, str]], list[str]]]:
    """For each measure its title, its rows by column, and what stands below."""
    unequal, tables = pairs.unequal_false_alarms(rows), []
    for measure in dict.fromkeys(row.measure for row in rows):
        mark = " *" if measure in unequal else ""
        cells = [
            {
                "of": row.of,
                "A": terminal.fixed(row.a, 3),
                "B": terminal.fixed(row.b, 3),
                "B - A": f"{row.difference:+.4f}",
                "95 % interval": f"{row.low:+.4f} to {row.high:+.4f}",
                "verdict": row.verdict + mark,
            }
            for row in rows
            if row.measure == measure
        ]
        better = "lower is better" if pairs.lower_is_better(measure) else "higher is better"
        below = [f"* {_bought(unequal[measure])}"] if mark else []
        tables.append((f"{measure} ({better})", cells, below))
    return tables


def _bought(false_alarms: Row) -> str:
    """Why a detection rate at unequal false alarms says little."""
    more = false_alarms.difference > 0
    return (
        f"at {terminal.percent(false_alarms.b)} false alarms instead of "
        f"{terminal.percent(false_alarms.a)}, "
        f"which alone {'raises' if more else 'lowers'} detection: compare the AUC, or calibrate "
        "both on more photographs, before calling this "
        f"{pairs.BETTER if more else pairs.WORSE}"
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, terminal.WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = rules.Parser("pipeline.comparison", __doc__)
    parser.add_argument("rev_a", metavar="REV_A", nargs="?", default="HEAD")
    parser.add_argument("rev_b", metavar="REV_B", nargs="?", default=WORKSPACE)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write Markdown to a file, print the tables"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
