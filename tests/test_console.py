"""What a person sees: tables of 80 columns, one clear error, a checked number of workers."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base import terminal
from pipeline.base.errors import PipelineError


@pytest.fixture(autouse=True)
def own_parent(monkeypatch):
    """The tests' own process does not end with its parent; the processes that they start do."""
    monkeypatch.setattr(terminal, "end_with_parent", lambda: None)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)


@st.composite
def tables(draw):
    names = draw(
        st.lists(
            st.text("abcdefgh _", min_size=1, max_size=90), min_size=1, max_size=12, unique=True
        )
    )
    return [{name: draw(values) for name in names} for _ in range(draw(st.integers(1, 4)))]


@given(tables())
def test_a_table_fits_80_columns_and_has_a_line_for_every_row(rows):
    lines = terminal.format_table(rows).split("\n")
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + len(rows)


def test_numbers_stand_right_and_texts_left():
    rows = [
        {"generator": "sim_latent", "faces": 12345, "auc": 0.98765, "note": None},
        {"generator": "b", "faces": 7, "auc": 1e-6, "note": 2.0},
    ]
    assert terminal.format_table(rows, "Result").split("\n") == [
        "Result",
        "generator    faces    auc   note",
        "----------  ------  -----  -----",
        "sim_latent  12,345  0.988      -",
        "b                7  1e-06  2.000",
    ]


def test_long_texts_are_cut_with_an_ellipsis_and_numbers_stay_whole():
    line = terminal.format_table([{"path": "x" * 200, "faces": 1234567}]).split("\n")[-1]
    assert len(line) == 80 and "…" in line and line.endswith("1,234,567")


def test_no_rows():
    assert terminal.format_table([], "Rejected") == "Rejected: nothing"
    assert terminal.format_table([]) == ""


def test_table_prints_to_stdout(capsys):
    terminal.table([{"a": 1}], "Title")
    captured = capsys.readouterr()
    assert captured.out == "Title\na\n-\n1\n" and captured.err == ""


# --- errors


def test_a_pipeline_error_is_its_message_and_exit_status_1(capsys):
    def stage() -> None:
        raise PipelineError("params.yaml: seed = -1: must be at least 0")

    with pytest.raises(SystemExit) as stop:
        terminal.run(stage)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: seed = -1: must be at least 0\n"


def test_at_the_terminal_there_is_no_traceback_for_a_pipeline_error_but_one_for_a_bug(root):
    def run(statement: str) -> subprocess.CompletedProcess:
        code = f"from pipeline.base import console, errors\ndef main():\n    {statement}\nconsole.run(main)"
        return subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
        )

    wrong_input, bug = run("raise errors.PipelineError('bad picture')"), run("1 / 0")
    assert (wrong_input.returncode, wrong_input.stderr) == (1, "error: bad picture\n")
    assert bug.returncode == 1 and "Traceback" in bug.stderr and "ZeroDivisionError" in bug.stderr
    assert run("pass").returncode == 0


def test_run_passes_over_a_stage_that_succeeds():
    called: list[int] = []
    terminal.run(lambda: called.append(1))
    assert called == [1]


# --- progress and workers


def test_progress_yields_everything_and_is_silent_without_a_terminal(capsys):
    assert list(terminal.progress(range(5), total=5, what="x")) == list(range(5))
    with terminal.progress((), total=3) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 2", "²", "1e1"])
def test_a_wrong_number_of_workers_is_named(monkeypatch, text):
    monkeypatch.setenv("PIPELINE_WORKERS", text)
    with pytest.raises(
        PipelineError, match=r"PIPELINE_WORKERS is .*set a whole number from 1"
    ) as error:
        terminal.workers()
    assert repr(text) in str(error.value)


def test_workers_default_to_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    assert terminal.workers() == 3
    for unset in (True, False):
        monkeypatch.delenv("PIPELINE_WORKERS") if unset else monkeypatch.setenv(
            "PIPELINE_WORKERS", ""
        )
        assert terminal.workers() == len(os.sched_getaffinity(0))


def test_an_error_of_the_machine_ends_in_its_message(capsys):
    def full() -> None:
        raise OSError(28, "No space left on device", "data/faces")

    with pytest.raises(SystemExit, match="1"):
        terminal.run(full)
    assert "No space left" in capsys.readouterr().err


def test_processes_of_one_stage_share_the_cores(monkeypatch):
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert terminal.workers() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert terminal.workers() == 1


def test_errors_of_other_processes_say_whose_they_are(monkeypatch, capsys):
    def stage() -> None:
        raise PipelineError("bad picture")

    monkeypatch.setenv("RANK", "2")
    with pytest.raises(SystemExit):
        terminal.run(stage)
    assert capsys.readouterr().err.startswith("error in process 2: ")
