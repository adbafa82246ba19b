"""A process alone, and what the environment may say; several real processes are in
test_distributed.py.
"""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from pipeline.base import processes
from pipeline.base.errors import PipelineError
from pipeline.common import process_group
from pipeline.common.process_group import ProcessGroup


def test_a_process_alone_has_only_itself_to_ask():
    rows = np.array([[-0.0, np.nan]])
    with process_group.group() as team:
        assert (team.rank, team.count, team.first) == (0, 1, True)
        assert team.broadcast(b"all") == b"all" and team.broadcast(None) == b""
        assert team.gather(b"own") == [b"own"]
        assert team.assemble(rows) is rows
        assert team.any(True) and not team.any(False)
        team.wait()


def test_a_process_alone_imports_no_torch(root):
    code = (
        "import sys; from pipeline.base import processes\n"
        "with processes.group() as team: team.wait()\nprint('torch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "False"


def test_the_first_process_prints_and_writes():
    assert [ProcessGroup(rank, 3).first for rank in range(3)] == [True, False, False]


def test_who_a_process_is_stands_in_torchruns_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    who = (processes.rank, processes.world, processes.local_rank, processes.local_count)
    assert [ask() for ask in who] == [0, 1, 0, 1]
    for number, name in enumerate(
        ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), start=3
    ):
        monkeypatch.setenv(name, str(number))
    assert [ask() for ask in who] == [3, 4, 5, 6]


@pytest.mark.parametrize("text", ["two", "-1", "", "1.5"])
def test_a_wrong_environment_is_named(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(PipelineError, match=r"WORLD_SIZE is .*torchrun"), process_group.group():
        pass


TWO = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}  # nobody listens there


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"MASTER_ADDR": None},
            r"process 1 of 2 cannot connect .*MASTER_ADDR.*: start the stage with torchrun",
        ),
        ({"MASTER_PORT": None}, r"cannot connect .*MASTER_PORT"),
        ({"MASTER_PORT": "http"}, r"cannot connect .*http"),
        ({"RANK": "2"}, r"process 2 of 2 cannot connect"),
        ({}, r"cannot connect .*127\.0\.0\.1"),
    ],
)
def test_processes_that_cannot_meet_say_so_in_a_sentence(monkeypatch, changes, message):
    monkeypatch.setattr(processes, "PATIENCE", timedelta(seconds=1))
    for name, value in (TWO | changes).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(
            name, value
        )
    with pytest.raises(PipelineError, match=message) as error, process_group.group():
        pass
    assert "\n" not in str(error.value)
