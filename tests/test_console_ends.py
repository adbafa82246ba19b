"""How a stage ends: with its parent, on request, and together with the other processes of its run."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.base import terminal

STAGE = """
import sys, time
from pathlib import Path
from pipeline.base import console

def main():
    try:
        print("running", flush=True)
        time.sleep(60)
    finally:
        Path(sys.argv[1]).write_text("cleaned up")

terminal.run(main)
"""


def start(code, *arguments, root, **more):
    stage = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )
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
    with pytest.raises(KeyboardInterrupt), terminal.requests_to_end() as asked:
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
    with terminal.requests_to_end() as asked:
        assert seconds_left() == 0
        signal.raise_signal(signal.SIGTERM)
        assert asked() and 50 < seconds_left() <= 60
        signal.setitimer(signal.ITIMER_REAL, 40)
        signal.raise_signal(
            signal.SIGTERM
        )  # torchrun's, after the user's: the minute does not begin again
        assert 30 < seconds_left() <= 40
        terminal.requests_met()
        assert seconds_left() == 0 and asked()
        signal.raise_signal(signal.SIGTERM)
        assert seconds_left() == 0  # while the state is saved, which may take longer
    with terminal.requests_to_end():
        signal.raise_signal(signal.SIGTERM)
    assert seconds_left() == 0


def test_a_process_alone_may_take_as_long_as_it_needs(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with terminal.requests_to_end():
        signal.raise_signal(signal.SIGTERM)
        assert seconds_left() == 0


def test_a_process_that_is_gone_counts_as_abandoned():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert terminal._abandoned(gone.pid)


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError])
def test_a_process_that_goes_while_it_is_looked_at_counts_as_abandoned(monkeypatch, error):
    """Between two calls: its own entry of /proc, or its parent, which the second look at a session
    asks for.
    """

    def gone(_):
        raise error

    monkeypatch.setattr(terminal, "_parent_of", gone)
    assert terminal._abandoned(os.getpid())
    monkeypatch.setattr(terminal, "_parent_of", lambda _: "999999999")  # no such process
    monkeypatch.setattr(
        os, "getsid", lambda process: 7 if process == os.getpid() else gone(process)
    )
    assert terminal._abandoned(os.getpid())


def test_without_linux_processes_nothing_counts_as_abandoned(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not terminal._abandoned(999999999)
