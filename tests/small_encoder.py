"""A tiny encoder, for what holds of any: such as that a run goes on to the same bits."""

from typing import Any

from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder


def small(feature_dim: int = 8, levels: str = "last", pooling: str = "mean") -> Architecture:
    """Three narrow levels for pictures of 32 pixels. Not below 8: with fewer inputs the shortcut's
    convolution writes beyond its memory on processors without AVX-512 (oneDNN of PyTorch 2.12).
    """
    return Architecture("native", levels, pooling, feature_dim, widths=(8, 8, 16))


def small_encoder(
    feature_dim: int = 8, levels: str = "last", pooling: str = "mean", **how: Any
) -> Encoder:
    """The encoder of that architecture."""
    return Encoder(small(feature_dim, levels, pooling), **how)
