"""Weights that others have saved: tensors by name, read without running anything of the file."""

import mmap
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import PipelineError

Weights = dict[str, torch.Tensor]
PLACES = ("model", "state_dict", "model_state_dict")  # where training scripts put the state dict
# Before each name: of a network in (Distributed)DataParallel, or compiled by torch.compile
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTER = ".num_batches_tracked"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _Unread:
    """Stands for an object that many scripts save beside the weights, and that nobody looks at."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, with `weights_only`: tensors, numbers, texts, lists and dicts. The
    options of a script (argparse.Namespace) are passed over. PipelineError for anything else.
    """
    try:
        _check_unpacks_to_itself(path)
        # As a pair: the name in the file is that of argparse, what is made of it is ours.
        with torch.serialization.safe_globals([(_Unread, "argparse.Namespace")]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file provokes nearly any
        raise PipelineError(
            f"{path}: not a checkpoint of plain tensors ({_reason(error)}); refused. Where it is "
            "whole, save its weights alone: torch.save(model.state_dict(), path)"
        ) from error


def _check_unpacks_to_itself(path: Path) -> None:
    """ValueError for a file that is small and would fill the memory: one that is compressed, which
    torch.save never does, or that asks for any number of zeros as bytes.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise ValueError("it is compressed, and could unpack to any size")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"bytearray") >= 0:
            raise ValueError("it holds an object of builtins.bytearray")


def state_dict(content: Any, path: Path) -> Weights:
    """The state dict in the content of a file, itself or under one of PLACES, without the prefixes
    of wrappers. PipelineError where there is none, or more than one.
    """
    if isinstance(content, dict):
        found = [place for place in PLACES if isinstance(content.get(place), dict)]
        if len(found) > 1:
            raise PipelineError(
                f"{path}: state dicts under {' and '.join(found)}; save the one to use alone"
            )
        content = content[found[0]] if found else content
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise PipelineError(
            f"{path}: expected a state dict of tensors, or one under the key "
            f"{', '.join(map(repr, PLACES))}"
        )
    if not all(isinstance(name, str) for name in content):
        raise PipelineError(
            f"{path}: a state dict whose names are not all texts; save model.state_dict()"
        )
    return unwrapped(content)


def check_plain(weights: Weights, source: Path) -> None:
    """PipelineError for a tensor that is not dense, real and stored in full: to convert an expanded
    one could take any amount of memory.
    """
    for name, value in weights.items():
        plain = value.layout == torch.strided and not value.is_nested and value.device.type == "cpu"
        number = value.is_floating_point() or value.is_complex()
        counter = name.endswith(COUNTER) and not number
        if not plain or not (counter or value.dtype in FLOATS):
            raise PipelineError(
                f"{source}: {name}: expected a dense tensor of real floating-point numbers, found "
                f"{value.dtype}, {value.layout}, {value.device.type}; save the weights as float32"
            )
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise PipelineError(
                f"{source}: {name}: an expanded tensor of {value.numel():,} numbers, most of which "
                "are not in the file; save the weights with .contiguous()"
            )


def unwrapped(weights: Weights) -> Weights:
    """The weights by the names that they have without wrappers (module., _orig_mod.)."""
    plain = {_WRAPPERS.sub("", name): value for name, value in weights.items()}
    return plain if len(plain) == len(weights) else weights


def _reason(error: Exception) -> str:
    text = _COLOURS.sub("", str(error))
    if match := re.search(r"GLOBAL (\S+) was not an allowed", text):
        return f"it holds an object of {match[1]}, and to read it could run its code"
    match = re.search(r"WeightsUnpickler error: (.+)", text)
    return f"{match[1] if match else text.partition(chr(10))[0]:.150}" or type(error).__name__
