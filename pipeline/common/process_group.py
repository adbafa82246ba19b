"""Several processes that run one stage together, started by torchrun: they exchange arrays and
bytes, never pickles.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.base.processes import rank, world

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(hours=1)  # with a process that does not answer; a death is noticed at once


@dataclass(frozen=True)
class ProcessGroup:
    """This process among `count`; all of them must call the same methods in the same order."""

    rank: int = 0
    count: int = 1
    device: "torch.device | None" = None  # where messages between processes must lie

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints, shows progress and writes."""
        return self.rank == 0

    def broadcast(self, content: bytes | None) -> bytes:
        """The first process's bytes, on every process."""
        own = content if self.first and content is not None else b""
        if self.count == 1:
            return own
        size = int(self.assemble(np.array([len(own)]))[0])
        return self.assemble(np.frombuffer(own.ljust(size, b"\0"), np.uint8)).tobytes()

    def assemble(self, rows: NDArray[Any]) -> NDArray[Any]:
        """One array from arrays of equal shape and type: each row is filled by one process and zero
        on the others.

        Added as whole numbers of the same width, so that every bit arrives, the sign of a zero too.
        """
        if self.count == 1:
            return rows
        import torch.distributed

        whole = rows.view(f"i{rows.itemsize}" if rows.itemsize > 1 else np.uint8)
        tensor = torch.from_numpy(whole.copy()).to(self.device)
        torch.distributed.all_reduce(tensor)
        return tensor.cpu().numpy().view(rows.dtype)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true on any process."""
        return bool(self.assemble(np.array([flag], np.int64)).any())

    def wait(self) -> None:
        """Until every process has come here."""
        self.any(False)


@contextmanager
def group(device: "torch.device | None" = None) -> Iterator[ProcessGroup]:
    """The processes of this run, connected by NCCL for a CUDA device, else by Gloo.

    When another process is gone, whatever waits for it ends with a PipelineError within seconds.
    """
    if world() == 1:
        yield ProcessGroup()
        return
    import torch.distributed

    device = device or torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    _connect(device)
    try:
        yield ProcessGroup(rank(), world(), device)
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower():
            line = str(error).partition("\n")[0]
            raise PipelineError(
                f"another process of this run is gone ({line}); its own error, above, says why"
            ) from None
        raise
    torch.distributed.destroy_process_group()  # after an error the connections die with the process


def _connect(device: "torch.device") -> None:
    import torch.distributed

    # NCCL connects at once where it is told the GPU; else at the first message, to a guessed one.
    how: dict[str, Any] = {"backend": "gloo"}
    if device.type == "cuda":
        how = {"backend": "nccl", "device_id": device}
    try:
        torch.distributed.init_process_group(**how, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:  # an incomplete environment, or nobody answers
        line = str(error).partition("\n")[0]
        raise PipelineError(
            f"process {rank()} of {world()} cannot connect with the others ({line}): start the "
            "stage with torchrun, or with python alone, without RANK, WORLD_SIZE, MASTER_ADDR and "
            "MASTER_PORT in the environment"
        ) from None
