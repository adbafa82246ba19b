"""The encoder: a ResNet that turns a face into a feature, and five linear heads that the pretext
task trains.
"""

from typing import Any

import torch
from torch import nn

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.names import HEADS


class Encoder(nn.Module):
    """ResNet backbone with a linear feature layer, and five heads with one output each (one matrix,
    rows as HEADS).

    architecture: a torchvision ResNet by name (resnet18 ... wide_resnet101_2), or resnet10, one
    basic block per level, for machines without a GPU. The weights are drawn from `seed` alone;
    torch's global state stays as it was."""

    def __init__(self, architecture: str, feature_dim: int, *, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.feature_dim = feature_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(randomness.key(seed, "encoder start", architecture) % 2**63)
            self.backbone = build_resnet(architecture)
            self.backbone.fc = nn.Linear(self.backbone.fc.in_features, feature_dim)
            self.heads = nn.Linear(feature_dim, len(HEADS))

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised faces (n, 3, size, size) -> features (n, feature_dim), scores (n, 5) in the
        order of HEADS; higher = larger tag value, more likely manipulated.
        """
        features = self.backbone(faces)  # (n, feature_dim)
        return features, self.heads(features)  # (n, 5)


def build_resnet(architecture: str) -> Any:
    """A torchvision ResNet with random weights; PipelineError for an unknown name."""
    from torchvision import models
    from torchvision.models.resnet import BasicBlock, ResNet

    if architecture == "resnet10":
        return ResNet(BasicBlock, [1, 1, 1, 1])
    known = [
        name
        for name in models.list_models(models)
        if getattr(models, name).__module__ == models.resnet.__name__
    ]
    if architecture not in known:
        raise PipelineError(
            f"pretext.architecture: {architecture!r}; allowed are resnet10, {', '.join(known)}"
        )
    return models.get_model(architecture, weights=None)
