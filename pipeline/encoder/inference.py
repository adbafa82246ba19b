"""The encoder after training, made fast: batch norm, sums and rectifiers computed with the
convolutions.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing


class Inference(nn.Module):
    """Computes from pixels what an encoder in evaluation mode computes from normalised faces, with
    weights of its own.

    In float32 features differ from the encoder's by about 1e-6 of their spread.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, encoder: Encoder, preprocessing: Preprocessing) -> None:
        super().__init__()
        for name in ("mean", "std"):  # buffers: a copy at each batch would wait for a GPU
            values = torch.tensor(getattr(preprocessing, name))
            self.register_buffer(name, 255 * values[:, None, None])  # (3, 1, 1)
        backbone = encoder.backbone
        levels = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
        self.stem = fuse_conv_bn_eval(backbone.conv1, backbone.bn1)
        self.shrink, self.average = backbone.maxpool, backbone.avgpool
        self.blocks = nn.ModuleList(Block(block) for level in levels for block in level)
        self.features = nn.Linear(backbone.fc.in_features, encoder.feature_dim)
        self.features.load_state_dict(backbone.fc.state_dict())
        self.heads = nn.Linear(encoder.feature_dim, encoder.heads.out_features)
        self.heads.load_state_dict(encoder.heads.state_dict())
        self.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (n, 3, size, size) in 0..255 -> features (n, feature_dim), scores (n, 5) in the
        order of HEADS.
        """
        faces = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        x = self.shrink(rectified(self.stem, faces))  # (n, 64, size / 4, size / 4)
        for block in self.blocks:
            x = block(x)
        features = self.features(self.average(x).flatten(1))  # (n, feature_dim)
        return features, self.heads(features)


class Block(nn.Module):
    """A basic or bottleneck block of torchvision's ResNet: two or three convolutions beside a
    shortcut.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        numbers = [i for i in (1, 2, 3) if hasattr(block, f"conv{i}")]
        pairs = [(getattr(block, f"conv{i}"), getattr(block, f"bn{i}")) for i in numbers]
        self.convolutions = nn.ModuleList(fuse_conv_bn_eval(*pair) for pair in pairs)
        self.shortcut = (
            fuse_conv_bn_eval(*block.downsample) if block.downsample is not None else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, h, w) -> (n, c', h', w'); x may be overwritten."""
        shortcut = self.shortcut(x)
        for convolution in self.convolutions[:-1]:
            x = rectified(convolution, x)
        return rectified(self.convolutions[-1], x, onto=shortcut)


def rectified(convolution: Any, x: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
    """max(0, convolution(x)), or max(0, convolution(x) + onto), where the result may overwrite
    `onto`.

    On a CPU in float32 as one operation of oneDNN, the one that torch.compile uses: the result is
    written to memory once instead of being read and written again by each step."""
    single = (
        x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    )
    if not single or torch.is_autocast_enabled("cpu"):
        y = convolution(x)
        return (y if onto is None else y + onto).relu_()
    c, operation = convolution, torch.ops.mkldnn
    how = (c.weight, c.bias, c.padding, c.stride, c.dilation, c.groups)
    if onto is None:
        return operation._convolution_pointwise(x, *how, "relu", [], "")
    return operation._convolution_pointwise_.binary(onto, x, *how, "add", 1.0, "relu", [], "")


def resize(pictures: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Whole pictures, uint8 (n, H, W, 3), as float32 (n, 3, size, size) in 0..255, not rounded,
    each side scaled by itself.

    With `antialias` as PIL's `Image.resize`, without as torch's (align_corners=False), to 0.01."""
    size, antialias = (preprocessing.input_size,) * 2, preprocessing.antialias
    whole = pictures.permute(0, 3, 1, 2).float()  # (n, 3, H, W)
    if whole.shape[2:] == size:
        return whole
    return interpolate(whole, size, mode="bilinear", antialias=antialias, align_corners=False)
