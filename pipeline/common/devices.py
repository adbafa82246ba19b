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


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels only, inside; PyTorch's settings are as before afterwards."""
    # cuBLAS asks for it, and reads it at its first use
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, extras = torch.backends.cudnn, cast(Any, torch.utils.deterministic)
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    before = cudnn.benchmark, cudnn.deterministic, extras.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.benchmark, cudnn.deterministic = False, True
        extras.fill_uninitialized_memory = False  # a debugging aid that costs time
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        cudnn.benchmark, cudnn.deterministic, extras.fill_uninitialized_memory = before
