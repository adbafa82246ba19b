"""Where PyTorch computes, and with which guarantees."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch

from pipeline.base.errors import PipelineError


def select_device(name: str, *, key: str, number: int = 0) -> torch.device:
    """`cpu`, `cuda`, or `auto` = cuda where there is one; PipelineError where cuda is asked for and
    absent.

    number: of this process among those of its machine; each takes the GPU of its number.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise PipelineError(
            f"{key}: cuda, but PyTorch sees no CUDA device here; set it to auto or cpu"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if number >= max(1, torch.cuda.device_count()):
        raise PipelineError(
            f"launcher: starts process {number + 1} on a machine with {torch.cuda.device_count()} "
            f"GPUs; start one process per GPU, or set {key} to cpu"
        )
    return torch.device("cuda", number)


def resolve_precision(name: str, device: torch.device) -> str:
    """`float32`, `bfloat16`, or `auto` = bfloat16 where the device computes in it natively, which a
    GPU does from compute capability 8 (Ampere) on and a CPU with AVX512-BF16 or AMX; else float32.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        abilities = torch.cpu.get_capabilities()
        native = any(abilities.get(unit) for unit in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"


@contextmanager
def arithmetic(*, deterministic: bool = True, tf32: bool = False) -> Iterator[None]:
    """How PyTorch computes inside; its settings are as before afterwards.

    deterministic: kernels that give the same bits each time, else whichever is fastest. tf32: on a
    GPU the factors of float32 products are rounded to 10 bits (TensorFloat-32)."""
    if deterministic:  # cuBLAS asks for it, and reads it at its first use
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    mode = torch.get_deterministic_debug_mode()
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    inside: list[tuple[Any, str, bool]] = [
        (cudnn, "benchmark", not deterministic),
        (cudnn, "deterministic", deterministic),
        (cudnn, "allow_tf32", tf32),
        (products, "allow_tf32", tf32),
        # a debugging aid that costs time
        (cast(Any, torch.utils.deterministic), "fill_uninitialized_memory", False),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in inside]
    try:
        # as use_deterministic_algorithms, which imports the compiler: two seconds
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
        for module, name, value in inside:
            setattr(module, name, value)
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        for module, name, value in before:
            setattr(module, name, value)
