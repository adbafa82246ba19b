"""A device that every machine has: PyTorch's `meta`, which computes shapes alone, made to refuse
what a GPU refuses and to count what waits for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")


class Elsewhere(TorchDispatchMode):
    """Inside, an operation on tensors of the CPU and of the device together is an error, but for a
    copy and for single numbers, as on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, ...]] = []  # shapes of what was copied to the CPU, in order
        self.pinned = 0  # tensors put into page-locked memory
        self.operations = 0  # on the device

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        there = [t for t in tensors if t.is_meta]
        here = [t for t in tensors if not t.is_meta and t.ndim]
        copies = function.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten._to_copy)
        if there and here and not copies:
            shapes = [tuple(t.shape) for t in here]
            raise AssertionError(f"{function}: left on the CPU: {shapes}")
        self.operations += bool(there)
        return function(*args, **(kwargs or {}))


@contextmanager
def elsewhere(patch: pytest.MonkeyPatch, *modules: Any) -> Iterator[Elsewhere]:
    """These modules compute on the device inside, whatever their settings name.

    What they read from it is zeros. There is no autocast for it, and no fused optimiser."""
    mode, cpu = Elsewhere(), torch.Tensor.cpu

    def read(tensor: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        if not tensor.is_meta:
            return cpu(tensor, *rest, **named)
        mode.reads.append(tuple(tensor.shape))
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        mode.pinned += 1
        return tensor

    for module in modules:
        patch.setattr(module, "select_device", lambda *_, **__: META)
    patch.setattr(torch.Tensor, "cpu", read)
    patch.setattr(torch.Tensor, "pin_memory", pin)
    patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    with mode:
        yield mode
