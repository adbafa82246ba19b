"""The command that compares two runs: what it reads, prints, writes and answers with."""

from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import __main__ as compare
from tests.two_runs import PARAMS, table

RUNS = {
    "HEAD": table(1),
    "workspace": table(2, gain=0.6),
    "same": table(1),
    "worse": table(2, gain=-1.0),
    "old": table(1, generators=("ddpm", "a_generator_with_a_very_long_name_indeed")),
}


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """A folder with params.yaml, and revisions that are there without git."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    monkeypatch.setattr(compare, "read_scores", lambda revision: RUNS[revision])


def printed(capsys, *arguments: str) -> str:
    compare.main(list(arguments))
    return capsys.readouterr().out


# --- output


@pytest.mark.parametrize("revisions", [(), ("HEAD", "same"), ("old", "worse"), ("x" * 200, "old")])
def test_the_table_fits_80_columns(runs, capsys, monkeypatch, revisions):
    monkeypatch.setitem(RUNS, "x" * 200, RUNS["HEAD"])
    text = printed(capsys, *revisions)
    assert max(map(len, text.splitlines())) <= 80
    assert (
        "auc (higher is better)" in text
        and "false_alarm_rate_at_5_percent (lower is better)" in text
    )


def test_head_is_compared_with_the_workspace_as_params_say(runs, capsys):
    text = printed(capsys)
    assert text.startswith("A: HEAD, B: workspace\n") and "150 paired" in text
    assert text == printed(capsys, "HEAD", "workspace", "--seed", "3", "--resamples", "150")
    assert text != printed(capsys, "--seed", "4")
    lines = [line.split() for line in text.splitlines()]
    mean = next(line for line in lines if line[:1] == ["mean"])
    assert mean[3].startswith("+0.") and mean[-1] == "better"
    assert "80 photographs and 160 faces of 2 generators" in " ".join(text.split())


def test_nothing_but_the_options_is_needed_where_they_are_given(runs, capsys):
    Path("params.yaml").unlink()
    assert "100 paired" in printed(capsys, "--seed", "0", "--resamples", "100")


def test_equal_runs_are_said_to_be_equal(runs, capsys):
    text = " ".join(printed(capsys, "HEAD", "same").split())
    assert "HEAD and same do not differ in any measure" in text and "better " not in text.replace(
        "is better)", ""
    )
    assert "do not differ in any measure" not in printed(capsys)


def test_what_only_one_run_has_is_named(runs, capsys):
    text = printed(capsys, "HEAD", "old")
    assert (
        "sim_b: only in HEAD" in text
        and "a_generator_with_a_very_long_name_indeed: only in old" in text
    )


def test_replaced_pictures_are_counted(runs, capsys, monkeypatch):
    other = table(2)
    other.loc[other["name"] == "ddpm/3.png", "source_sha256"] = "another"
    monkeypatch.setitem(RUNS, "other", other)
    text = " ".join(printed(capsys, "HEAD", "other").split())
    assert (
        "0 faces only in A, 0 only in B, 1 whose picture changed." in text
        and "ddpm: left out, 1 faces whose picture" in text
    )


def test_detection_bought_with_false_alarms_is_said(runs, capsys, monkeypatch):
    looser = table(1)
    looser["at_5_percent"] = looser["anomaly_score"] > 0
    monkeypatch.setitem(RUNS, "looser", looser)
    note = "false_alarm_rate_at_5_percent differs"
    assert note in printed(capsys, "HEAD", "looser") and note not in printed(capsys)


def moved(count_a: int, count_b: int) -> list:
    """Two runs with so many false alarms among 80 photographs, at 1 %: too few of them for a
    verdict on the false alarms.
    """
    frames = [table(1), table(1, gain=0.4)]
    for frame, count in zip(frames, (count_a, count_b), strict=True):
        frame.loc[frame["set"] == "photographic_test", "at_1_percent"] = [
            i < count for i in range(80)
        ]
    return frames


def compared(monkeypatch, capsys, counts: tuple[int, int], *options: str) -> list[str]:
    for name, frame in zip("ab", moved(*counts), strict=True):
        monkeypatch.setitem(RUNS, name, frame)
    return printed(capsys, "a", "b", *options).splitlines()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (
            (1, 2),
            "* at 2.5 % false alarms instead of 1.2 %, which alone raises detection: {} better",
        ),
        (
            (2, 1),
            "* at 1.2 % false alarms instead of 2.5 %, which alone lowers detection: {} worse",
        ),
        (
            (0, 1),
            "* at 1.2 % false alarms instead of 0.0 %, which alone raises detection: {} better",
        ),
        (
            (1, 0),
            "* at 0.0 % false alarms instead of 1.2 %, which alone lowers detection: {} worse",
        ),
    ],
)
def test_unequal_false_alarms_stand_below_the_detection_table_without_any_verdict_on_them(
    runs, capsys, monkeypatch, counts, said
):
    lines = compared(monkeypatch, capsys, counts)
    assert max(map(len, lines)) <= 80
    start = lines.index("detection_rate_at_1_percent (higher is better)")
    end = lines.index("", start)
    rows = [line for line in lines[start + 3 : end] if line[0] not in "* "]
    assert [row.split()[0] for row in rows] == ["mean", "worst", "ddpm", "sim_b"]
    assert all(row.endswith(" *") for row in rows) and rows[0].endswith("  better *")
    remedy = "compare the AUC, or calibrate both on more photographs, before calling this"
    assert " ".join(" ".join(lines[start + 7 : end]).split()) == said.format(remedy)
    others = lines[:start] + lines[end:]
    assert not [
        line for line in others if "*" in line
    ] and "false_alarm_rate_at_1_percent differs" not in " ".join(others)


def test_equal_false_alarms_get_no_mark(runs, capsys, monkeypatch):
    for options in ([], ["--markdown"]):
        text = "\n".join(compared(monkeypatch, capsys, (10, 12), *options))
        assert " *\n" not in text and r"\*" not in text and "alone" not in text


def test_markdown_names_unequal_false_alarms_below_both_tables(runs, capsys, monkeypatch):
    lines = compared(monkeypatch, capsys, (1, 2), "--markdown")
    below = [
        i
        for i, line in enumerate(lines)
        if line.startswith(r"- \* `detection_rate_at_1_percent`: at 2.5 % false alarms")
    ]
    assert len(below) == 2
    for i in below:
        assert lines[i - 1] == "" and lines[i - 2].startswith("| ") and not lines[i + 1].strip()
    marked = [line for line in lines if line.endswith(r" \* |")]
    assert len(marked) == 4 and r"| **better** \* |" in marked[0]
    assert all(line.startswith("| `detection_rate_at_1_percent.") for line in marked)


def test_no_difference_is_explained_once_and_only_where_one_was_looked_for(runs, capsys):
    note = '"no difference" means: none shown by these faces'
    assert printed(capsys, "HEAD", "old").count(note) == 0  # ddpm's scores are the same in both
    assert printed(capsys, "--markdown").count(note) == printed(capsys).count(note) == 1


def test_markdown_is_printed_or_written(runs, capsys, tmp_path):
    shown = printed(capsys, "--markdown")
    lines = shown.splitlines()
    assert lines[0] == "### `workspace` (B) compared with `HEAD` (A)"
    rows = [line for line in lines if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {7}
    assert rows[0] == "| measure | A | B | B - A | 95 % interval | verdict |"
    assert [row.split("`")[1] for row in rows[2:6]] == [
        "auc.mean",
        "auc.worst",
        "detection_rate_at_1_percent.mean",
        "detection_rate_at_1_percent.worst",
    ]
    assert "| **better** |" in rows[2]
    assert lines.index("<details><summary>Every generator</summary>") + 2 == lines.index(
        rows[0], 10
    )  # GitHub needs the gap
    table_of_text = printed(capsys, "--output", str(tmp_path / "out/comparison.md"))
    assert (tmp_path / "out/comparison.md").read_text(encoding="utf-8") == shown
    assert table_of_text == printed(capsys) == printed(capsys, "--markdown", "--output", "again.md")
    assert Path("again.md").read_text(encoding="utf-8") == shown


# --- rules


@pytest.mark.parametrize("output", [[], ["--markdown"]])
def test_a_rule_that_holds_ends_with_status_2_after_everything_is_printed(runs, capsys, output):
    with pytest.raises(SystemExit) as stop:
        compare.main(
            [
                "HEAD",
                "worse",
                "--fail-if",
                "auc.mean drops by 0.01",
                "--fail-if",
                "auc.ddpm rises by 0.01",
                *output,
            ]
        )
    text = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 2
    assert "Rule HOLDS: auc.mean drops by 0.01 (B - A is -0." in text
    assert "Rule does not hold: auc.ddpm rises by 0.01 (B - A is -0." in text


def test_a_rule_that_does_not_hold_lets_pass(runs, capsys):
    text = printed(
        capsys,
        "--fail-if",
        "auc.mean drops significantly",
        "--fail-if",
        "detection_rate_at_1_percent.ddpm drops by 0.9",
    )
    assert text.count("Rule does not hold") == 2 and "HOLDS" not in text


# --- errors


def not_computed(*_args, **_more):
    raise AssertionError("computed before the command line was checked")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-if", "auc.mean falls by 0.1"], "is no rule"),
        (
            ["--fail-if", "auc.sim_x drops by 0.1"],
            "no 'sim_x' to compare; known are mean, worst, ddpm, sim_b",
        ),
        (["--fail-if", "f1.mean drops by 0.1"], "unknown measure 'f1'"),
        (["--resamples", "99"], "--resamples 99 .* at least 100"),
        (["--seed", "-1"], "--seed -1: at least 100 and 0"),
        (
            ["--resamples", "many"],
            "invalid int value: 'many'; see python -m pipeline.comparison.__main__ --help",
        ),
        (["a", "b", "c"], "unrecognized arguments: c"),
    ],
)
def test_a_wrong_command_line_is_an_error_before_anything_is_computed(
    runs, monkeypatch, arguments, said
):
    monkeypatch.setattr(compare.comparison, "compare", not_computed)
    with pytest.raises(PipelineError, match=said):
        compare.main(arguments)


def test_help_shows_the_grammar(capsys):
    with pytest.raises(SystemExit) as stop:
        compare.main(["--help"])
    assert stop.value.code == 0
    assert "drops|rises" in capsys.readouterr().out


def test_a_workspace_without_scores_says_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"all_scores.parquet: no such file; run `dvc repro`"):
        compare.read_scores("workspace")


def test_an_empty_revision_is_not_taken_for_the_workspace():
    with pytest.raises(PipelineError, match="a revision is empty"):
        compare.read_scores("")
