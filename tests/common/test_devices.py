import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.common.devices import arithmetic, resolve_precision, select_device


def state():
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "kernels": torch.backends.cudnn.deterministic,
        "convolutions": torch.backends.cudnn.allow_tf32,
        "products": torch.backends.cuda.matmul.allow_tf32,
        "fill": getattr(torch.utils.deterministic, "fill_uninitialized_memory"),  # noqa: B009
    }


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("tf32", [True, False])
def test_arithmetic_inside_and_restored_afterwards(deterministic, tf32):
    before = state()
    with pytest.raises(KeyError), arithmetic(deterministic=deterministic, tf32=tf32):
        assert state() == {
            "algorithms": deterministic,
            "benchmark": not deterministic,
            "kernels": deterministic,
            "convolutions": tf32,
            "products": tf32,
            "fill": False,
        }
        raise KeyError
    assert state() == before


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"architecture": "aarch64"}, "float32"),
    ],
)
def test_auto_is_bfloat16_on_processors_that_compute_in_it(monkeypatch, abilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert resolve_precision("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_auto_is_bfloat16_on_gpus_from_ampere_on(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda", 0)) == expected


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_named_precision_is_used_wherever_it_is(name):
    assert resolve_precision(name, torch.device("cpu")) == name


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
