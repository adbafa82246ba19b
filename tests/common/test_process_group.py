"""A process alone, several that are started by torchrun, and some that cannot meet."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.common import process_group
from tests.common.talking_processes import BROADCAST, digest, rows


def test_a_process_alone_has_only_itself_to_ask():
    own = np.array([[-0.0, np.nan]])
    with process_group.group() as group:
        assert (group.rank, group.count, group.first) == (0, 1, True)
        assert group.broadcast(b"all") == b"all" and group.broadcast(None) == b""
        assert group.assemble(own) is own
        assert group.any(True) and not group.any(False)
        group.wait()


@pytest.mark.slow
def test_processes_of_torchrun_exchange_every_bit(tmp_path, root):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    done = subprocess.run(
        [*launcher, root / "tests/common/talking_processes.py", tmp_path],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    assert [one.pop("place") for one in got] == [[0, 3, True], [1, 3, False], [2, 3, False]]
    kinds = ("f4", "f8", "i8", "u1", "bool")
    expected: dict[str, object] = {kind: digest(rows(3, kind).tobytes()) for kind in kinds}
    expected |= {"broadcast": list(map(digest, BROADCAST)), "any": [False, True, True, True]}
    assert got == [expected] * 3


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", {"backend": "gloo"}),
        ("cuda:1", {"backend": "nccl", "device_id": torch.device("cuda", 1)}),
    ],
)
def test_a_process_connects_by_its_own_gpu(monkeypatch, device, expected):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    seen: dict[str, object] = {}
    monkeypatch.setattr(torch.cuda, "set_device", lambda own: seen.update(own=own))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **how: seen.update(how))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with process_group.group(torch.device(device)) as group:
        assert (group.rank, group.count, group.device) == (1, 2, torch.device(device))
    assert seen.pop("own", None) == expected.get("device_id")
    assert seen == expected | {"timeout": process_group.PATIENCE}


TWO = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MASTER_ADDR": None}, r"process 1 of 2 cannot connect .*MASTER_ADDR.*: start the stage"),
        ({"MASTER_PORT": "http"}, r"cannot connect .*http"),
        ({"RANK": "2"}, r"process 2 of 2 cannot connect"),
        ({}, r"cannot connect .*127\.0\.0\.1"),  # nobody listens there
        ({"WORLD_SIZE": "two"}, r"WORLD_SIZE is 'two'.*torchrun"),
    ],
)
def test_processes_that_cannot_meet_say_so_in_a_sentence(monkeypatch, changes, message):
    monkeypatch.setattr(process_group, "PATIENCE", timedelta(seconds=1))
    for name, value in (TWO | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError, match=message) as error, process_group.group():
        pass
    assert "\n" not in str(error.value)
