"""The comment on a pull request, in Markdown: what a reviewer reads at a glance, then the rest."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.base.terminal import fixed
from pipeline.comparison.pairs import MEAN, Row
from pipeline.comparison.pull_request import evidence
from pipeline.comparison.pull_request.committed import Change, Changes
from pipeline.comparison.pull_request.evidence import SHORT, Evidence

MARKER = "<!-- comparison-with-the-merge-base -->"  # .ci/post finds its last comment by this line
MOST_ROWS, LONGEST = 40, 60  # of a table, characters of a value: GitHub limits a comment
NUMBERS = {"base", "head", "change", "95 % interval"}  # columns set to the right
NOTHING = "—"
CAUTION = (
    "Intervals cover which faces were tested, not the chance in training or calibration; worst is "
    "the lowest generator of each commit."
)


class Review(NamedTuple):
    """What is known of a pull request."""

    branch: str  # to merge into
    commits: tuple[str | None, str]  # where the branch left it (None: nowhere) and the last one
    metrics: Changes
    parameters: Changes
    evidence: Evidence
    stale: list[str] | None  # stages that would run first, None where dvc.lock is up to date
    broken: str | None  # the rule that holds although it must not

    @property
    def passes(self) -> bool:
        """Whether it may be merged as far as these figures go."""
        return self.stale is None and self.broken is None


def write(review: Review) -> str:
    """The whole comment; its first line is MARKER."""
    verdict = "passes" if review.passes else "fails"
    summary = (_mean(review), _lock(review.stale), _parameters(review))
    parts = [
        f"{MARKER}\n### Compared with {_code(review.branch)}: {verdict}",
        "\n".join(f"- {line}" for line in summary),
        _table(list(_auc_rows(review.evidence))),
        _table(list(_parameter_rows(review.parameters))),
        _others(review),
        "\n".join(f"- {line}" for line in _notes(review)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mean(review: Review) -> str:
    if not review.evidence.rows:
        return "**First results**: the base has none to compare with"
    row = next(row for row in review.evidence.rows if row.of == MEAN)
    interval = f"{row.difference:+.4f}, 95 % interval {_ends(row)}"
    text = f"**Mean AUC {fixed(row.a, 3)} → {fixed(row.b, 3)}: {row.verdict}** ({interval})"
    return f"{text}. Must not hold: {_code(review.broken)}" if review.broken else text


def _lock(stale: list[str] | None) -> str:
    if stale is None:
        return "`dvc.lock` is up to date"
    return (
        f"**`dvc.lock` is stale**: {', '.join(map(_code, stale))} would run, so the figures are "
        "not those of this code. Run `dvc repro`; commit `dvc.lock`, `data/dvc.lock` and `metrics`"
    )


def _parameters(review: Review) -> str:
    if review.commits[0] is None:
        return "Parameters: all are new"
    return f"Parameters: {len(review.parameters) or 'none'} changed"


def _auc_rows(evidence: Evidence) -> Iterator[Sequence[str]]:
    yield "AUC", "base", "head", "change", "95 % interval", "verdict"
    rows = {row.of: row for row in evidence.rows}
    for name, change in evidence.aucs.items():
        row = rows.get(name)
        ends = (_ends(row), row.verdict) if row else (NOTHING, _only(change))
        label = f"**{name}**" if name == MEAN else name
        yield label, *(_number(value, 3) for value in change), _difference(change), *ends


def _parameter_rows(parameters: Changes) -> Iterator[Sequence[str]]:
    if parameters:
        yield "parameter", "base", "head"
    for name, change in parameters.items():
        yield _code(name), *(NOTHING if value is None else _code(value) for value in change)


def _others(review: Review) -> str:
    """Figures that changed and stand not in the table of AUCs, folded."""
    changed = {
        name: change
        for name, change in review.metrics.items()
        if change.base != change.head and not evidence.covers(name)
    }
    if not changed:
        return ""
    rows = [
        (_code(name), *(_number(value, 4) for value in change), _difference(change))
        for name, change in changed.items()
    ]
    title = f"<details><summary>Other figures that changed: {len(changed)}</summary>"
    return f"{title}\n\n{_table([('figure', 'base', 'head', 'change'), *rows])}\n\n</details>"


def _notes(review: Review) -> Iterator[str]:
    base, head = review.commits
    if base:
        where = f"where the branch left {_code(review.branch)}"
        yield f"Base {base[:SHORT]} ({where}), head {head[:SHORT]}."
    yield from review.evidence.remarks
    if review.evidence.rows:
        yield CAUTION


def _ends(row: Row) -> str:
    return f"{row.low:+.4f} to {row.high:+.4f}"


def _only(change: Change) -> str:
    """What a generator without an interval is."""
    if None not in change:
        return NOTHING
    return "new" if change.base is None else "removed"


def _difference(change: Change) -> str:
    numbers = [value for value in change if isinstance(value, int | float)]
    return f"{numbers[1] - numbers[0]:+.4f}" if len(numbers) == len(change) else NOTHING


def _number(value: Any, decimals: int) -> str:
    if value is None:
        return NOTHING
    return fixed(value, decimals) if isinstance(value, float) else _code(value)


def _table(rows: list[Sequence[str]]) -> str:
    """A Markdown table, its first row the head; nothing of no rows."""
    if not rows:
        return ""
    head, *rest = rows
    left_out = len(rest) - MOST_ROWS
    sides = ["---:" if name in NUMBERS else "---" for name in head]
    lines = [head, sides, *rest[:MOST_ROWS]]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n… and {left_out} more" if left_out > 0 else text


def _code(value: Any) -> str:
    """A value as code, which can break neither the table nor the text."""
    text = " ".join(str(value).replace("`", "'").split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return "`" + text.replace("|", "\\|") + "`"
