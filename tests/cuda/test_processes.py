"""Two processes with a GPU each, which talk by NCCL, train as one."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from tests.small_runs import ROOT, SmallRepository

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs"),
]
TORCHRUN = [sys.executable, *["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]]


def steps(repository, name, *launcher):
    """Epoch, step, faces and summed losses after each step, computed with 64 bits."""
    (repository.folder / name).mkdir()
    arguments = ("several_processes.py", repository.folder / name, "double")
    code, output = repository.run([*launcher, *map(str, arguments)])
    assert code == 0, output
    return np.array(json.loads((repository.folder / name / "result.json").read_text())["steps"])


def test_two_gpus_take_the_steps_of_one(tmp_path):
    changes = {"epochs": 2, "batch_size": 12, "learning_rate": 1e-4, "device": "cuda"}
    repository = SmallRepository.make(tmp_path / "run", faces=55, validation=5, **changes)
    shutil.copy(ROOT / "tests/several_processes.py", repository.folder)
    alone = steps(repository, "one", sys.executable)
    together = steps(repository, "two", *TORCHRUN)
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-9)
