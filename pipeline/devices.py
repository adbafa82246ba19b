"""Where PyTorch computes, and with which guarantees."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.errors import PipelineError


def select_device(name: str, *, key: str) -> torch.device:
    """`cpu`, `cuda`, or `auto` = cuda where there is one; PipelineError where cuda is asked for and absent."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PipelineError("launcher: starts several processes, and this version trains and extracts in one; use python")
    if name == "cuda" and not torch.cuda.is_available():
        raise PipelineError(f"{key}: cuda, but PyTorch sees no CUDA device here; set it to auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels only, inside; PyTorch's settings are as before afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it; read at its first use
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    extras: Any = torch.utils.deterministic
    filled = extras.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
        extras.fill_uninitialized_memory = False  # a debugging aid that costs time
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        extras.fill_uninitialized_memory = filled
