"""The comment: what stands where, and that no value can break it."""

import pytest

from pipeline.comparison.pairs import Row
from pipeline.comparison.pull_request.comment import MOST_ROWS, Review, write
from pipeline.comparison.pull_request.committed import Change
from pipeline.comparison.pull_request.evidence import FILE, Evidence

ROWS = [
    Row("auc", "mean", 0.8, 0.75, -0.05, -0.07, -0.03),
    Row("auc", "worst", 0.7, 0.7, 0.0, -0.01, 0.01),
    Row("auc", "ddpm", 0.8, 0.82, 0.02, 0.01, 0.03),
]
AUCS = {row.of: Change(row.a, row.b) for row in ROWS} | {
    "fresh": Change(None, 0.9),
    "gone": Change(0.6, None),
}


def review(**others) -> Review:
    given = {
        "branch": "main",
        "commits": ("a" * 40, "b" * 40),
        "metrics": {f"{FILE}{name}.auc": change for name, change in AUCS.items()},
        "parameters": {},
        "evidence": Evidence(AUCS, ROWS, ["what was compared"]),
        "stale": None,
        "broken": None,
    }
    return Review(**given | others)


def test_the_whole_comment():
    assert (
        write(review(parameters={"gmm.input": Change("both", "heads")}))
        == """\
<!-- comparison-with-the-merge-base -->
### Compared with `main`: passes

- **Mean AUC 0.800 → 0.750: worse** (-0.0500, 95 % interval -0.0700 to -0.0300)
- `dvc.lock` is up to date
- Parameters: 1 changed

| AUC | base | head | change | 95 % interval | verdict |
| --- | ---: | ---: | ---: | ---: | --- |
| **mean** | 0.800 | 0.750 | -0.0500 | -0.0700 to -0.0300 | worse |
| worst | 0.700 | 0.700 | +0.0000 | -0.0100 to +0.0100 | no difference |
| ddpm | 0.800 | 0.820 | +0.0200 | +0.0100 to +0.0300 | better |
| fresh | — | 0.900 | — | — | new |
| gone | 0.600 | — | — | — | removed |

| parameter | base | head |
| --- | ---: | ---: |
| `gmm.input` | `both` | `heads` |

- Base aaaaaaaaaa (where the branch left `main`), head bbbbbbbbbb.
- what was compared
- Intervals cover which faces were tested, not the chance in training or calibration; worst is \
the lowest generator of each commit.
"""
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"broken": "auc.mean drops"}, "-0.0300). Must not hold: `auc.mean drops`"),
        ({"stale": ["filter_exif", "evaluate"]}, "stale**: `filter_exif`, `evaluate` would run"),
    ],
)
def test_it_fails_with_a_rule_that_holds_or_a_stale_lock(given, line):
    text = write(review(**given))
    assert not review(**given).passes
    assert "### Compared with `main`: fails\n" in text and line in text


def test_other_figures_are_folded_and_those_of_the_auc_stand_once():
    others = {
        "metrics/pretext.json:manipulation_auc": Change(0.5, 0.6),
        f"{FILE}mean.auc_low": Change(0.7, 0.6),
        f"{FILE}false_alarm_rate_at_5_percent": Change(0.05, 0.05),
        f"{FILE}ddpm.detection_rate_at_5_percent": Change(1, None),
    }
    folded = write(review(metrics=review().metrics | others)).partition("<details>")[2]
    assert folded.startswith("<summary>Other figures that changed: 2</summary>\n\n| figure |")
    assert "| `metrics/pretext.json:manipulation_auc` | 0.5000 | 0.6000 | +0.1000 |" in folded
    assert f"| `{FILE}ddpm.detection_rate_at_5_percent` | `1` | — | — |" in folded


def test_no_value_breaks_a_table_or_speaks_to_anyone():
    wild = "^(a|b)`\n@someone </details> " + "x" * 100
    text = write(review(parameters={"data.person_pattern": Change(wild, None)}))
    (row,) = (line for line in text.splitlines() if "person_pattern" in line)
    assert row.startswith("| `data.person_pattern` | `^(a\\|b)' @someone </details> xxx")
    assert row.endswith("x…` | — |") and len(row) < 130


def test_long_tables_end_with_what_is_left_out():
    many = {f"p{i:03}": Change(i, i + 1) for i in range(MOST_ROWS + 7)}
    text = write(review(parameters=many))
    assert "| `p039` |" in text and "`p040`" not in text and "\n… and 7 more\n" in text
    assert f"- Parameters: {MOST_ROWS + 7} changed\n" in text
