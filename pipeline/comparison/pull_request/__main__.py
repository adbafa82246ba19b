"""Review a pull request: python -m pipeline.comparison.pull_request [BRANCH], with the comment in
Markdown on stdout.

The committed results of HEAD are compared with those of the commit where it left BRANCH (main).
Exit status: 0 passes, 1 an error, 2 fails: a rule of --fail-if holds (by default
"auc.mean drops significantly"), or dvc.lock is stale."""

import argparse

from pipeline.base import params, terminal
from pipeline.comparison import rules
from pipeline.comparison.pull_request import comment, committed, evidence, merge_base
from pipeline.comparison.pull_request.comment import Review
from pipeline.comparison.rules import Rule

RULE = "auc.mean drops significantly"


def main(argv: list[str] | None = None) -> None:
    """Run the command with the given command line."""
    options = _options(argv)
    reviewed = review(options.branch, [rules.parse(text) for text in options.fail_if or [RULE]])
    print(comment.write(reviewed), end="")
    if not reviewed.passes:
        raise SystemExit(rules.A_RULE_HOLDS)


def review(branch: str, failing: list[Rule]) -> Review:
    """What HEAD changes since it left the branch. Raises PipelineError where HEAD has no results,
    or where git or dvc fails.
    """
    head, base = merge_base.commit("HEAD"), merge_base.find(branch)
    metrics = committed.metrics(base, head)
    p = params.load("seed", "bootstrap")
    found = evidence.gather(metrics, (base, head), resamples=p.bootstrap.resamples, seed=p.seed)
    holding = [rule.text for rule in failing if found.rows and rule.holds(rule.row(found.rows))]
    return Review(
        branch=branch,
        commits=(base, head),
        metrics=metrics,
        parameters=committed.parameters(base, head),
        evidence=found,
        stale=committed.stale_stages(),
        broken="; ".join(holding) or None,
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = rules.Parser("pipeline.comparison.pull_request", __doc__)
    parser.add_argument("branch", metavar="BRANCH", nargs="?", default="main")
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
