"""The encoder: a convolutional network that turns a face into a feature, and linear heads that the
pretext task trains: one for each tag, one for manipulations.
"""

from collections.abc import Sequence

import torch
from torch import nn

from pipeline.common import randomness
from pipeline.common.names import HEADS
from pipeline.encoder.backbones import Architecture, build

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of pixels in 0..1; the authors' normalisation
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Encoder(nn.Module):
    """A backbone, its feature, and heads with one output each (one matrix, rows as `head_names`).

    With `last` the feature is a linear layer on the mean of the last level, as the paper's. With
    `all` it is the mean of each channel of every level, and with the pooling `statistics` also its
    standard deviation (Snyder et al. 2018, "X-vectors", section 2.1): early levels keep the traces
    of single pixels that later ones have averaged away. Each is brought to one scale by its running
    mean and variance. Features and heads compute in float32 under autocast, too: rankings live on
    small differences.

    mean, std: of pixels in 0..1, by which the encoder normalises its inputs. dropout: before the
    heads; stochastic_depth: of the last block, rising linearly to it; both in training alone. The
    weights are drawn from `seed` alone; torch's global state stays as it was."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        architecture: Architecture,
        head_names: Sequence[str] = HEADS,
        *,
        seed: int = 0,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] = (CLIP_MEAN, CLIP_STD),
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        self.architecture, self.normalisation = architecture, normalisation
        self.head_names = tuple(head_names)
        for name, values in zip(("mean", "std"), normalisation, strict=True):
            constant = 255 * torch.tensor(values)[:, None, None]  # (3, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(randomness.key(seed, "encoder start", architecture.name) % 2**63)
            self.backbone = build(architecture, stochastic_depth=stochastic_depth)
            width, self.scale = architecture.feature_dim, None
            if architecture.levels == "all":
                channels = sum(level["num_chs"] for level in self.backbone.feature_info)
                width = channels * (2 if architecture.pooling == "statistics" else 1)
                self.scale = nn.BatchNorm1d(width, affine=False)
            self.dropout = nn.Dropout(dropout)
            self.heads = nn.Linear(width, len(self.head_names))

    @property
    def feature_dim(self) -> int:
        """Length of the feature."""
        return self.heads.in_features

    @property
    def output_dim(self) -> int:
        """Length of the feature with the head scores behind it."""
        return self.heads.in_features + self.heads.out_features

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (n, 3, size, size) in 0..255 -> features (n, feature_dim), scores (n, heads) in
        the order of `head_names`; higher = larger tag value, more likely manipulated. Both float32.
        """
        faces = (pixels - self.mean) / self.std
        faces = faces.contiguous(memory_format=torch.channels_last)
        wide = torch.promote_types(self.heads.weight.dtype, torch.float32)
        if self.architecture.levels == "all":
            maps = self.backbone.forward_intermediates(faces, intermediates_only=True)
        else:
            maps = [self.backbone.forward_features(faces)]  # (n, c, h, w)
        with torch.autocast(pixels.device.type, enabled=False):
            pooled = torch.cat([self._pool(level.to(wide)) for level in maps], dim=1)
            features = self.scale(pooled) if self.scale else self.backbone.get_classifier()(pooled)
            return features, self.heads(self.dropout(features))

    def _pool(self, level: torch.Tensor) -> torch.Tensor:
        """A level (n, c, h, w) -> (n, c), or (n, 2 c) with deviations."""
        if self.architecture.levels == "last" or self.architecture.pooling == "mean":
            return level.mean(dim=(2, 3))
        # Faster than torch.var_mean, forwards and backwards, by a tenth of a training step.
        mean, size = level.mean(dim=(2, 3)), level[0, 0].numel()
        squares = torch.linalg.vector_norm(level, dim=(2, 3)).square() / size
        # The square root has no slope at 0, where a channel is silent.
        variance = (squares - mean.square()).clamp_min(0)
        return torch.cat([mean, (variance + 1e-6).sqrt()], dim=1)
