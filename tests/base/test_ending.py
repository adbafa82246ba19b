"""How a stage ends: with its parent, and in order on request."""

import signal
import subprocess
import sys

import pytest

from pipeline.base import ending
from tests.waiting import alive, wait_until

STAGE = """
import pathlib, sys, time
from pipeline.base import terminal

def main():
    try:
        print("running", flush=True)
        time.sleep(60)
    finally:
        pathlib.Path(sys.argv[1]).write_text("cleaned up")

terminal.run(main)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
FAKE_TORCHRUN = """
import os, subprocess, sys
with subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], env={**os.environ, "WORLD_SIZE": "2"}):
    pass
"""


def start(root, code, *arguments):
    stage = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stage.stdout is not None and stage.stdout.readline() == "running\n"
    return stage


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_asked_to_end_cleans_up(tmp_path, root, number, status):
    with start(root, STAGE, tmp_path / "done") as stage:
        stage.send_signal(number)
        assert stage.wait(timeout=30) == status
    assert (tmp_path / "done").read_text() == "cleaned up"


@pytest.mark.parametrize("launchers", [[], [FAKE_TORCHRUN]], ids=["python", "torchrun"])
def test_a_stage_ends_with_dvc(tmp_path, root, launchers):
    with start(root, PARENT, *launchers, STAGE, tmp_path / "done") as killed:
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(killed.pid)], stdout=subprocess.PIPE, check=True
        )
        killed.kill()
        wait_until((tmp_path / "done").exists, "the stage's end")
        wait_until(lambda: not alive(int(children.stdout)), "the launcher's end")
    assert (tmp_path / "done").read_text() == "cleaned up"


def test_a_stage_whose_parent_is_gone_does_not_start(tmp_path, root):
    late = f"import time; time.sleep(1)\n{STAGE}"
    quick = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", quick, late, str(tmp_path / "done")],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # as dvc in a terminal: init is of another session
        check=True,
    )
    assert done.stdout.startswith("error: the process that started this stage has died")


def test_requests_to_end_are_heard_and_a_second_interrupt_ends_at_once():
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(KeyboardInterrupt), ending.requests_to_end() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in numbers] == before
