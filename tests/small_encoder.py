"""A tiny encoder, for what holds of any: such as that a run goes on to the same bits."""

from typing import Any, Literal

from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder

Levels = Literal["last", "all"]
Pooling = Literal["mean", "statistics"]


def small(feature_dim: int = 8, levels: Levels = "last", pooling: Pooling = "mean") -> Architecture:
    """Three narrow levels for pictures of 32 pixels."""
    return Architecture("native", levels, pooling, feature_dim, widths=(8, 8, 16))


def small_encoder(
    feature_dim: int = 8, levels: Levels = "last", pooling: Pooling = "mean", **how: Any
) -> Encoder:
    """The encoder of that architecture."""
    return Encoder(small(feature_dim, levels, pooling), **how)
