"""What a person sees: tables of 80 columns, a progress bar, one clear error."""

import os
import subprocess
import sys
from contextlib import nullcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base import ending, terminal
from pipeline.base.errors import PipelineError

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)


@st.composite
def tables(draw):
    names = st.lists(st.text("abc _", min_size=1, max_size=90), min_size=1, max_size=12)
    columns = dict.fromkeys(draw(names))
    return [{name: draw(values) for name in columns} for _ in range(draw(st.integers(1, 4)))]


@given(tables())
def test_a_table_fits_80_columns_and_has_a_line_for_every_row(rows):
    lines = terminal.format_table(rows).split("\n")
    assert max(map(len, lines)) <= 80 and len(lines) == 2 + len(rows)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (0.00067, "0.067"), (0.0125, "1.3"), (0.0994, "9.9"), (0.0996, "10"), (1.0, "100")],
)
def test_a_share_has_two_digits_and_no_exponent(share, text):
    assert terminal.percent(share) == f"{text} %"


@given(st.integers(-(10**7), 10**7), st.integers(-3, 3))
def test_a_half_is_rounded_away_from_zero_whatever_its_last_bits(thousandths, ulps):
    """What several roads to one mean differ in."""
    meant = (Fraction(thousandths) + Fraction(1, 2)) / 1000
    value = float(meant) * (1 + ulps * sys.float_info.epsilon)
    expected = Fraction(thousandths + (thousandths >= 0), 1000)
    assert Fraction(terminal.fixed(value, 3).replace(",", "")) == expected


def test_numbers_stand_right_and_texts_left(capsys):
    rows = [
        {"generator": "sim_latent", "faces": 12345, "auc": 0.98765, "note": None},
        {"generator": "b", "faces": 7, "auc": 1e-6, "note": 2.0},
    ]
    terminal.table(rows, "Result")
    assert capsys.readouterr().out.splitlines() == [
        "Result",
        "generator    faces    auc   note",
        "----------  ------  -----  -----",
        "sim_latent  12,345  0.988      -",
        "b                7  1e-06  2.000",
    ]
    assert terminal.format_table([], "Rejected") == "Rejected: nothing"


def test_long_texts_are_shortened_with_an_ellipsis_and_numbers_stay_whole():
    line = terminal.format_table([{"path": "x" * 200, "faces": 1234567}]).split("\n")[-1]
    assert len(line) == 80 and "…" in line and line.endswith("1,234,567")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PipelineError("params.yaml: seed = -1"), "params.yaml: seed = -1"),
        (OSError(28, "No space left on device", "x"), "[Errno 28] No space left on device: 'x'"),
    ],
)
def test_an_error_is_its_message_and_exit_status_1(monkeypatch, capsys, error, message):
    def stage() -> None:
        raise error

    monkeypatch.setattr(ending, "in_order", nullcontext)
    for rank, start in ((0, "error"), (2, "error in process 2")):
        monkeypatch.setenv("RANK", str(rank))
        with pytest.raises(SystemExit, match="1"):
            terminal.run(stage)
        assert capsys.readouterr().err == f"{start}: {message}\n"


def test_an_error_has_no_traceback_but_a_bug_has_one(root):
    def run(statement: str) -> subprocess.CompletedProcess:
        code = f"from pipeline.base import terminal, errors\ndef main():\n    {statement}\n"
        command = [sys.executable, "-c", code + "terminal.run(main)"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    wrong_input, bug = run("raise errors.PipelineError('bad picture')"), run("1 / 0")
    assert (wrong_input.returncode, wrong_input.stderr) == (1, "error: bad picture\n")
    assert bug.returncode == 1 and "ZeroDivisionError" in bug.stderr
    assert run("pass").returncode == 0


def test_progress_yields_everything_and_is_silent_without_a_terminal(capsys):
    assert list(terminal.progress(range(5), total=5, what="x")) == list(range(5))
    with terminal.progress((), total=3) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


NAMELESS = r"""
import getpass, os, pwd
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from pipeline.base import terminal
terminal.run(lambda: print(getpass.getuser(), "Jos\u00e9 \udcff"))
"""


def test_a_user_without_a_name_and_a_terminal_without_letters_do_not_stop_a_stage(root):
    """As in a container that runs under an id of its own."""
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", NAMELESS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(os.getuid()), "Jos\\xe9", "\\udcff"]
