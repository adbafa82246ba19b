"""Weights that others have saved: tensors by name, read without running anything of the file."""

import re
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import PipelineError

Weights = dict[str, torch.Tensor]
PLACES = ("model", "state_dict", "model_state_dict")  # where training scripts put the state dict
# Before each name: of a network in (Distributed)DataParallel, or compiled by torch.compile
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")
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
        # As a pair: the name in the file is that of argparse, what is made of it is ours.
        with torch.serialization.safe_globals([(_Unread, "argparse.Namespace")]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file provokes nearly any
        raise PipelineError(
            f"{path}: not a checkpoint of plain tensors ({_reason(error)}); refused. Where it is "
            "whole, save its weights alone: torch.save(model.state_dict(), path)"
        ) from error


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
    return unwrapped(content)


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
