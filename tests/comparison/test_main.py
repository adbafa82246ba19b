"""The command that compares two runs: what it prints, writes and answers with."""

from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import __main__ as command
from tests.two_runs import table

RUNS = {
    "HEAD": table(1),
    "workspace": table(2, gain=0.6),
    "worse": table(2, gain=-1.0),
    "old": table(1, generators=("ddpm", "a_generator_with_a_very_long_name_indeed")),
}


@pytest.fixture(autouse=True)
def runs(monkeypatch, tmp_path):
    """A folder with params.yaml, and revisions that are there without git."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 3\nbootstrap: {resamples: 150}\n")
    monkeypatch.setattr(command, "read_scores", lambda revision: RUNS[revision])


def printed(capsys, *arguments: str) -> str:
    command.main(list(arguments))
    return capsys.readouterr().out


@pytest.mark.parametrize("revisions", [(), ("old", "worse")])
def test_the_tables_fit_80_columns(capsys, revisions):
    text = printed(capsys, *revisions)
    assert max(map(len, text.splitlines())) <= 80
    assert "auc (higher is better)" in text
    assert "false_alarm_rate_at_5_percent (lower is better)" in text


def test_head_is_compared_with_the_workspace_as_params_say(capsys):
    text = printed(capsys)
    assert text.startswith("A: HEAD, B: workspace\n") and "150 paired" in text
    assert text == printed(capsys, "HEAD", "workspace")
    lines = [line.split() for line in text.splitlines()]
    mean = next(line for line in lines if line[:1] == ["mean"])
    assert mean[3].startswith("+0.") and mean[-1] == "better"
    assert "80 photographs and 160 faces of 2 generators" in " ".join(text.split())
    Path("params.yaml").write_text("seed: 4\nbootstrap: {resamples: 150}\n")
    assert text != printed(capsys)


def test_what_only_one_run_has_is_named(capsys):
    text = printed(capsys, "HEAD", "old")
    assert "sim_b: only in HEAD" in text
    assert "a_generator_with_a_very_long_name_indeed: only in old" in text


def compared(monkeypatch, capsys, counts: tuple[int, int], *options: str) -> list[str]:
    """Lines about two runs with so many false alarms among 80 photographs, at 1 %: too few of them
    for a verdict on the false alarms.
    """
    for name, gain, count in zip("ab", (0, 0.4), counts, strict=True):
        frame = table(1, gain=gain)
        photographs = frame["set"] == "photographic_test"
        frame.loc[photographs, "at_1_percent"] = [i < count for i in range(80)]
        monkeypatch.setitem(RUNS, name, frame)
    return printed(capsys, "a", "b", *options).splitlines()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            (1, 2),
            "* at 2.5 % false alarms instead of 1.3 %, which alone raises detection: {}better",
        ),
        ((1, 0), "* at 0 % false alarms instead of 1.3 %, which alone lowers detection: {}worse"),
    ],
)
def test_unequal_false_alarms_stand_below_the_detection_table_without_any_verdict_on_them(
    capsys, monkeypatch, counts, message
):
    lines = compared(monkeypatch, capsys, counts)
    assert max(map(len, lines)) <= 80
    start = lines.index("detection_rate_at_1_percent (higher is better)")
    end = lines.index("", start)
    rows = lines[start + 3 : start + 7]
    assert [row.split()[0] for row in rows] == ["mean", "worst", "ddpm", "sim_b"]
    assert all(row.endswith(" *") for row in rows) and rows[0].endswith("  better *")
    remedy = "compare the AUC, or calibrate both on more photographs, before calling this "
    assert " ".join(" ".join(lines[start + 7 : end]).split()) == message.format(remedy)
    assert not [line for line in lines[:start] + lines[end:] if "*" in line]


def test_equal_false_alarms_get_no_mark(capsys, monkeypatch):
    assert "*" not in "\n".join(compared(monkeypatch, capsys, (10, 12)))


def test_markdown_has_the_same_rows_and_marks(capsys, monkeypatch):
    lines = compared(monkeypatch, capsys, (1, 2), "--markdown")
    assert lines[0] == "### `b` (B) compared with `a` (A)"
    start = lines.index("**detection_rate_at_1_percent (higher is better)**")
    assert lines[start + 1] == ""  # GitHub needs the gap
    assert lines[start + 2] == "| of | A | B | B - A | 95 % interval | verdict |"
    assert [line.split()[1] for line in lines[start + 4 : start + 8]] == [
        *("mean", "worst", "ddpm", "sim_b")
    ]
    assert {line.count("|") for line in lines if line.startswith("|")} == {7}
    assert lines[start + 4].endswith("| better * |")
    assert lines[start + 9].startswith(r"\* at 2.5 % false alarms instead of 1.3 %")
    assert lines[-2].startswith("- Compared: 80 photographs")


def test_markdown_is_printed_or_written(capsys, tmp_path):
    shown = printed(capsys, "--markdown")
    text = printed(capsys, "--output", "out/comparison.md")
    assert Path("out/comparison.md").read_text(encoding="utf-8") == shown
    assert text == printed(capsys) == printed(capsys, "--markdown", "--output", "again.md")


@pytest.mark.parametrize("output", [[], ["--markdown"]])
def test_a_rule_that_holds_ends_with_status_2_after_everything_is_printed(capsys, output):
    rules = ["auc.mean drops by 0.01", "auc.ddpm rises significantly"]
    options = [part for rule in rules for part in ("--fail-if", rule)]
    with pytest.raises(SystemExit) as stop:
        command.main(["HEAD", "worse", *options, *output])
    assert stop.value.code == 2
    text = capsys.readouterr().out
    assert "Rule HOLDS: auc.mean drops by 0.01" in text
    assert "Rule does not hold: auc.ddpm rises significantly" in text


def test_a_rule_that_does_not_hold_lets_pass(capsys):
    assert "HOLDS" not in printed(capsys, "--fail-if", "auc.mean drops significantly")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-if", "auc.mean falls by 0.1"], "is no rule"),
        (["--fail-if", "auc.sim_x drops by 0.1"], "no 'sim_x' to compare"),
        (["a", "b", "c"], "unrecognized arguments: c; see python -m pipeline.comparison --help"),
    ],
)
def test_a_wrong_command_line_is_an_error(arguments, message):
    with pytest.raises(PipelineError, match=message):
        command.main(arguments)
