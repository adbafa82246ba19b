"""What a device computes from stored pictures: crop, resize and encode, perhaps compiled."""

from functools import cache
from typing import Any

import torch
from torch import nn

from pipeline.base import processes
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext
from pipeline.encoder.preprocessing import crop_resize
from pipeline.pretext.augmentation import cropped_size

CUDA_GRAPHS = "cuda_graphs"


class PretextModel(nn.Module):
    """Crop, resize and encode: one module, so that all of it is compiled as one graph."""

    def __init__(self, encoder: nn.Module, settings: Pretext) -> None:
        super().__init__()
        self.encoder = encoder
        self.size, self.antialias = settings.input_size, settings.antialias
        self.cropped = cropped_size(settings.input_size, settings.augmentation)
        self.precision = settings.precision

    def forward(self, pictures: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 (m, H, W, 3) and their boxes (m, 4) -> scores (m, heads) float32."""
        size = self.cropped if self.training else self.size
        # Outside of autocast, which would resample in bfloat16.
        faces = crop_resize(pictures, boxes, size, antialias=self.antialias)
        bfloat16 = self.precision == "bfloat16"
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=bfloat16):
            _, scores = self.encoder(faces)  # faces (m, 3, size, size)
        return scores


def compiled(model: Any, settings: Pretext) -> Any:
    """The model compiled for one size of batch, if pretext.compile says so."""
    if not settings.compile:
        return model
    options: dict[str, Any] = {
        # Nothing that changes bits is chosen by how fast it was just now.
        "deterministic": settings.deterministic,
        "triton.cudagraphs": settings.compile == CUDA_GRAPHS,
    }
    return torch.compile(model, dynamic=False, options=options)


def check_compiler(settings: Pretext, device: torch.device) -> None:
    """PipelineError where pretext.compile cannot be had on the device: found out by compiling
    something small, which takes seconds that the model then needs no more.
    """
    if settings.compile == CUDA_GRAPHS and (device.type != "cuda" or processes.world() > 1):
        raise PipelineError(
            f"pretext.compile: {CUDA_GRAPHS} is for one process with a GPU; set it to true"
        )
    if settings.compile:
        _try_to_compile(device)


@cache
def _try_to_compile(device: torch.device) -> None:
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except Exception as error:  # of many kinds: no compiler, no Python.h, no place to write
        reason = str(error).removeprefix("backend='inductor' raised:\n").partition("\n")[0]
        raise PipelineError(
            f"pretext.compile: PyTorch cannot compile here ({reason:.200}); install a C++ compiler "
            "and Python's headers (Debian: apt-get install g++ python3-dev), or set it to false"
        ) from None
