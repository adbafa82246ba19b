"""What a person sees: tables of 80 columns, one clear error, a checked number of workers."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import console
from pipeline.errors import PipelineError


@pytest.fixture(autouse=True)
def own_parent(monkeypatch):
    """The tests' own process does not end with its parent; the processes that they start do."""
    monkeypatch.setattr(console, "end_with_parent", lambda: None)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)


@st.composite
def tables(draw):
    names = draw(st.lists(st.text("abcdefgh _", min_size=1, max_size=90), min_size=1, max_size=12, unique=True))
    return [{name: draw(values) for name in names} for _ in range(draw(st.integers(1, 4)))]


@given(tables())
def test_a_table_fits_80_columns_and_has_a_line_for_every_row(rows):
    lines = console.format_table(rows).split("\n")
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + len(rows)


def test_numbers_stand_right_and_texts_left():
    rows = [
        {"generator": "sim_latent", "faces": 12345, "auc": 0.98765, "note": None},
        {"generator": "b", "faces": 7, "auc": 1e-6, "note": 2.0},
    ]
    assert console.format_table(rows, "Result").split("\n") == [
        "Result",
        "generator    faces    auc   note",
        "----------  ------  -----  -----",
        "sim_latent  12,345  0.988      -",
        "b                7  1e-06  2.000",
    ]


def test_long_texts_are_cut_with_an_ellipsis_and_numbers_stay_whole():
    line = console.format_table([{"path": "x" * 200, "faces": 1234567}]).split("\n")[-1]
    assert len(line) == 80 and "…" in line and line.endswith("1,234,567")


def test_no_rows():
    assert console.format_table([], "Rejected") == "Rejected: nothing"
    assert console.format_table([]) == ""


def test_table_prints_to_stdout(capsys):
    console.table([{"a": 1}], "Title")
    captured = capsys.readouterr()
    assert captured.out == "Title\na\n-\n1\n" and captured.err == ""


# --- errors


def test_a_pipeline_error_is_its_message_and_exit_status_1(capsys):
    def stage() -> None:
        raise PipelineError("params.yaml: seed = -1: must be at least 0")

    with pytest.raises(SystemExit) as stop:
        console.run(stage)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: seed = -1: must be at least 0\n"


def test_at_the_terminal_there_is_no_traceback_for_a_pipeline_error_but_one_for_a_bug(root):
    def run(statement: str) -> subprocess.CompletedProcess:
        code = f"from pipeline import console, errors\ndef main():\n    {statement}\nconsole.run(main)"
        return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)

    wrong_input, bug = run("raise errors.PipelineError('bad picture')"), run("1 / 0")
    assert (wrong_input.returncode, wrong_input.stderr) == (1, "error: bad picture\n")
    assert bug.returncode == 1 and "Traceback" in bug.stderr and "ZeroDivisionError" in bug.stderr
    assert run("pass").returncode == 0


def test_run_passes_over_a_stage_that_succeeds():
    called: list[int] = []
    console.run(lambda: called.append(1))
    assert called == [1]


# --- progress and workers


def test_progress_yields_everything_and_is_silent_without_a_terminal(capsys):
    assert list(console.progress(range(5), total=5, what="x")) == list(range(5))
    with console.progress((), total=3) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 2", "²", "1e1"])
def test_a_wrong_number_of_workers_is_named(monkeypatch, text):
    monkeypatch.setenv("PIPELINE_WORKERS", text)
    with pytest.raises(PipelineError, match=r"PIPELINE_WORKERS is .*set a whole number from 1") as error:
        console.workers()
    assert repr(text) in str(error.value)


def test_workers_default_to_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    assert console.workers() == 3
    for unset in (True, False):
        monkeypatch.delenv("PIPELINE_WORKERS") if unset else monkeypatch.setenv("PIPELINE_WORKERS", "")
        assert console.workers() == len(os.sched_getaffinity(0))


def test_an_error_of_the_machine_ends_in_its_message(capsys):
    def full() -> None:
        raise OSError(28, "No space left on device", "data/faces")

    with pytest.raises(SystemExit, match="1"):
        console.run(full)
    assert "No space left" in capsys.readouterr().err


# --- how a stage ends


STAGE = """
import sys, time
from pathlib import Path
from pipeline import console

def main():
    try:
        print("running", flush=True)
        time.sleep(60)
    finally:
        Path(sys.argv[1]).write_text("cleaned up")

console.run(main)
"""


def start(code, *arguments, root, **more):
    stage = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=root, stdout=subprocess.PIPE, text=True, **more)
    assert stage.stdout is not None and stage.stdout.readline() == "running\n"
    return stage


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_asked_to_end_cleans_up(tmp_path, root, number, status):
    with start(STAGE, str(tmp_path / "done"), root=root) as stage:
        stage.send_signal(number)
        assert stage.wait(timeout=30) == status
    assert (tmp_path / "done").read_text() == "cleaned up"


def test_a_stage_ends_with_its_parent(tmp_path, root):
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    with start(parent, STAGE, str(tmp_path / "done"), root=root) as killed:
        killed.kill()
        for _ in range(300):
            if (tmp_path / "done").exists():
                break
            time.sleep(0.1)
    assert (tmp_path / "done").read_text() == "cleaned up"


def test_requests_to_end_are_heard_and_a_second_interrupt_ends_at_once():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt), console.requests_to_end() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def seconds_left():
    """Until SIGALRM ends this process; 0: never."""
    return signal.getitimer(signal.ITIMER_REAL)[0]


def test_one_of_several_processes_has_a_minute_to_meet_the_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with console.requests_to_end() as asked:
        assert seconds_left() == 0
        signal.raise_signal(signal.SIGTERM)
        assert asked() and 50 < seconds_left() <= 60
        signal.setitimer(signal.ITIMER_REAL, 40)
        signal.raise_signal(signal.SIGTERM)  # torchrun's, after the user's: the minute does not begin again
        assert 30 < seconds_left() <= 40
        console.requests_met()
        assert seconds_left() == 0 and asked()
        signal.raise_signal(signal.SIGTERM)
        assert seconds_left() == 0  # while the state is saved, which may take longer
    with console.requests_to_end():
        signal.raise_signal(signal.SIGTERM)
    assert seconds_left() == 0


def test_a_process_alone_may_take_as_long_as_it_needs(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with console.requests_to_end():
        signal.raise_signal(signal.SIGTERM)
        assert seconds_left() == 0


def test_a_process_that_is_gone_counts_as_abandoned():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert console._abandoned(gone.pid)


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError])
def test_a_process_that_goes_while_it_is_looked_at_counts_as_abandoned(monkeypatch, error):
    """Between two calls: its own entry of /proc, or its parent, which the second look at a session asks for."""

    def gone(_):
        raise error

    monkeypatch.setattr(console, "_parent_of", gone)
    assert console._abandoned(os.getpid())
    monkeypatch.setattr(console, "_parent_of", lambda _: "999999999")  # no such process
    monkeypatch.setattr(os, "getsid", lambda process: 7 if process == os.getpid() else gone(process))
    assert console._abandoned(os.getpid())


def test_without_linux_processes_nothing_counts_as_abandoned(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not console._abandoned(999999999)


def test_processes_of_one_stage_share_the_cores(monkeypatch):
    monkeypatch.delenv("PIPELINE_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert console.workers() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert console.workers() == 1


def test_errors_of_other_processes_say_whose_they_are(monkeypatch, capsys):
    def stage() -> None:
        raise PipelineError("bad picture")

    monkeypatch.setenv("RANK", "2")
    with pytest.raises(SystemExit):
        console.run(stage)
    assert capsys.readouterr().err.startswith("error in process 2: ")
