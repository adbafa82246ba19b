"""Convolutional networks by name: timm's, and a small one that sees pictures at native size."""

import difflib
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.functional import relu

from pipeline.base.errors import PipelineError
from pipeline.base.schema import Pretext

NATIVE = "native"


@dataclass(frozen=True)
class Architecture:
    """What an encoder is built from; stored in its file."""

    name: str  # `native`, or a timm model with convolutional levels
    levels: Literal["last", "all"] = "last"  # that the feature is made of
    # Of all levels: a channel's mean, or statistics, its deviation as well
    pooling: Literal["mean", "statistics"] = "mean"
    feature_dim: int = 768  # of last, outputs of its linear layer
    widths: tuple[int, ...] = (16, 32, 64, 128)  # channels of each level of `native`
    blocks: int = 1  # residual blocks of each level of `native`

    @classmethod
    def of(cls, settings: Pretext) -> "Architecture":
        """That of params.yaml's section `pretext`."""
        own = settings.architecture, settings.levels, settings.pooling, settings.feature_dim
        return cls(*own, settings.widths, settings.blocks)

    def __str__(self) -> str:
        if self.levels == "last":
            return f"{self.name} with {self.feature_dim} features"
        return f"{self.name} with all levels"

    def to_json(self) -> dict[str, Any]:
        """Its values for JSON."""
        return {**asdict(self), "widths": list(self.widths)}


NARROW = 16  # channels that oneDNN computes at once, 8 without AVX-512


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: timm's BasicBlock, without timm, which would take
    longer to import than a folder of faces to score.
    """

    def __init__(
        self, inputs: int, width: int, stride: int, *, shortcut: bool, drop_path: nn.Module | None
    ) -> None:
        super().__init__()
        # The gradient of a narrow 1 x 1 convolution with a stride is written beyond its memory on
        # processors (uxlfoundation/oneDNN#6035): there the pixels between are left out before.
        self.step = stride if shortcut and inputs < NARROW else 1
        side = list[nn.Module]()
        if shortcut:  # made only then: each draws random weights
            skip = _convolution(inputs, width, 1, stride // self.step)
            side = [skip, nn.BatchNorm2d(width)]
        self.conv1, self.bn1 = _convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _convolution(width, width, 3), nn.BatchNorm2d(width)
        self.downsample, self.drop_path = nn.Sequential(*side), drop_path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs, h, w) -> (n, width, h / stride, w / stride)."""
        beside = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.drop_path is not None:
            beside = self.drop_path(beside)
        if self.step > 1:
            x = x[..., :: self.step, :: self.step]
        return relu(beside.add_(self.downsample(x)), inplace=True)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _drop_path(probability: float) -> nn.Module:
    from timm.layers import DropPath

    return DropPath(probability)


class Native(nn.Module):
    """A residual network without a stride before its second level, so that traces of single pixels
    (mosaic, noise, compression) reach the filters: a 3 x 3 stem, then levels of basic blocks (He et
    al. 2016), each after the first at half the resolution.

    It has those methods of timm's networks that an encoder uses."""

    def __init__(
        self, widths: tuple[int, ...], blocks: int, *, classes: int, stochastic_depth: float = 0.0
    ) -> None:
        super().__init__()

        def level(number: int) -> nn.Sequential:
            width, before = widths[number], widths[max(0, number - 1)]
            made = []
            for block in range(blocks):
                depth = (number * blocks + block) / max(1, len(widths) * blocks - 1)
                drop = _drop_path(stochastic_depth * depth) if stochastic_depth else None
                halved = number > 0 and block == 0
                inputs, stride = (before, 2) if halved else (width, 1)
                made.append(Block(inputs, width, stride, shortcut=halved, drop_path=drop))
            return nn.Sequential(*made)

        conv, bn = _convolution(3, widths[0], 3), nn.BatchNorm2d(widths[0])
        self.stem = nn.Sequential(OrderedDict(conv=conv, bn=bn, act=nn.ReLU(inplace=True)))
        self.levels = nn.ModuleList(map(level, range(len(widths))))
        self.fc = nn.Linear(widths[-1], classes) if classes else nn.Identity()
        self.feature_info = [
            {"num_chs": width, "reduction": 2**number} for number, width in enumerate(widths)
        ]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> the last level (n, c, h', w')."""
        return self.forward_intermediates(x)[-1]

    def forward_intermediates(self, x: torch.Tensor, **_: Any) -> list[torch.Tensor]:
        """(n, 3, h, w) -> every level, (n, c, h', w') each."""
        x, maps = self.stem(x), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps

    def get_classifier(self) -> nn.Module:
        """The linear layer on the last level."""
        return self.fc


def build(architecture: Architecture, *, stochastic_depth: float = 0.0) -> Any:
    """The backbone with random weights from torch's global state; nothing is downloaded.

    With `last` its classifier has feature_dim outputs; else what follows the last level is left
    out. PipelineError for a name that stands for no network with convolutional levels."""
    classes = architecture.feature_dim if architecture.levels == "last" else 0
    if architecture.name == NATIVE:
        widths, blocks = architecture.widths, architecture.blocks
        return Native(widths, blocks, classes=classes, stochastic_depth=stochastic_depth)
    import timm

    name = architecture.name
    if not timm.is_model(name):  # nor a name of a hub, which timm would ask
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise PipelineError(
            f"pretext.architecture: {name!r} is not known; allowed are {NATIVE} and timm's models "
            "with convolutional levels, such as resnet50 or tf_efficientnet_lite0"
            + (f" (near: {', '.join(near)})" if near else "")
        )
    drop: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}
    try:
        backbone: Any = timm.create_model(name, num_classes=classes, **drop)
    except TypeError as error:
        raise PipelineError(
            f"pretext.stochastic_depth: {name} does not know it; set it to 0"
        ) from error
    try:
        if architecture.levels != "last":
            last = len(backbone.feature_info) - 1
            backbone.prune_intermediate_layers(list(range(last + 1)), prune_head=True)
        _check_levels(backbone, architecture.levels)
    except (AttributeError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise PipelineError(
            f"pretext.architecture: {name} has no convolutional levels that can be read with "
            f"pretext.levels {architecture.levels} ({str(error).partition(chr(10))[0]:.100}); try "
            f"the other levels, or {NATIVE}, resnet50, tf_efficientnet_lite0 and their like"
        ) from error
    return backbone


def _check_levels(backbone: Any, levels: str) -> None:
    """ValueError unless the network computes maps (n, c, h, w), smaller and smaller ones."""
    from copy import deepcopy

    shrinking = [level["reduction"] for level in backbone.feature_info]
    if len(set(shrinking)) < 2:
        raise ValueError("all levels have one resolution")
    trial, x = deepcopy(backbone).to("meta").eval(), torch.zeros(1, 3, 64, 64, device="meta")
    if levels != "last":
        shapes = [tuple(m.shape) for m in trial.forward_intermediates(x, intermediates_only=True)]
        channels = [level["num_chs"] for level in backbone.feature_info]
    else:
        shapes = [tuple(trial.forward_features(x).shape)]
        channels = [trial.get_classifier().in_features]
    if [(len(shape), shape[1]) for shape in shapes] != [(4, count) for count in channels]:
        raise ValueError(f"its levels have the shapes {shapes}")
