import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.common.devices import arithmetic, select_device


def state():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        getattr(torch.utils.deterministic, "fill_uninitialized_memory"),  # noqa: B009 (untyped)
    )


def test_deterministic_inside_and_restored_afterwards():
    before = state()
    with pytest.raises(KeyError), arithmetic():
        assert state() == (True, False, True, False)
        raise KeyError
    assert state() == before


def test_cpu_and_auto(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("cpu", key="k").type == select_device("auto", key="k").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device("auto", key="k").type == select_device("cuda", key="k").type == "cuda"
    assert select_device("cpu", key="k").type == "cpu"


def test_cuda_asked_for_and_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"pretext\.device: cuda, but.*auto or cpu"):
        select_device("cuda", key="pretext.device")


def test_each_process_has_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [select_device("auto", key="k", number=i).index for i in range(2)] == [0, 1]
    assert select_device("cpu", key="k", number=7).type == "cpu"
    with pytest.raises(
        PipelineError, match=r"launcher: starts process 3 on a machine with 2 GPUs.*set k to cpu"
    ):
        select_device("cuda", key="k", number=2)
