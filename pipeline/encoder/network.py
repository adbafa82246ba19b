"""The encoder: a ResNet that turns a face into a feature, and five linear heads that the pretext
task trains.
"""

from typing import Any

import torch
from torch import nn

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.names import HEADS

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of pixels in 0..1
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Entries of CLIP's text side that the authors' class deletes incompletely and their checkpoints
# therefore carry.
AUTHORS_LEFTOVERS = {
    f"model.{name}"
    for name in (
        "positional_embedding",
        "logit_scale",
        "token_embedding.weight",
        "ln_final.weight",
        "ln_final.bias",
    )
}


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
        order of HEADS.
        """
        features = self.backbone(faces)  # (n, feature_dim)
        return features, self.heads(
            features
        )  # (n, 5); higher = larger tag value, more likely manipulated


def build_resnet(architecture: str) -> Any:
    """A torchvision ResNet with random weights; PipelineError for an unknown name, with the known
    ones.
    """
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


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (n, 3, h, w) float in 0..255 -> CLIP's normalisation, on the same device and in the
    same layout.
    """
    # Sent without waiting for a GPU, which `new_tensor` would do.
    mean, std = (
        255 * torch.tensor(values, dtype=pixels.dtype)[:, None, None]
        for values in (CLIP_MEAN, CLIP_STD)
    )  # (3, 1, 1)
    return (pixels - mean.to(pixels.device, non_blocking=True)) / std.to(
        pixels.device, non_blocking=True
    )


def from_authors(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The authors' state dict in our names: model.visual.* -> backbone.*, fc_<tag> -> rows of the
    heads.

    Two facts of their training: the labels of exposure time and focal length are swapped (label
    'et' is the focal length), so that head fc_et ranks the focal length and fc_fl the exposure
    time; and their exposure time "1/60" reads as 60, the speed, so that fc_fl ranks short exposures
    high. Our exposure row is therefore -fc_fl. Unknown and missing entries are errors, except for
    what CLIP's text side left in their files."""
    heads = {
        "iso": "fc_iso",
        "f_number": "fc_av",
        "exposure_time_s": "fc_fl",
        "focal_length_mm": "fc_et",
    }
    names = [{**heads, "manipulation": "fc_face"}[head] for head in HEADS]
    signs = torch.tensor([-1.0 if head == "exposure_time_s" else 1.0 for head in HEADS])
    ours = {
        key: f"backbone.{key.removeprefix('model.visual.')}"
        for key in weights
        if key.startswith("model.visual.")
    }
    theirs = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    missing = [key for key in theirs if key not in weights]
    unknown = sorted(weights.keys() - ours.keys() - set(theirs) - AUTHORS_LEFTOVERS)
    if missing or unknown:
        raise PipelineError(
            f"authors' checkpoint: {len(missing)} entries missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} unknown "
            f"({', '.join(unknown[:3])}); expected model.visual.* and fc_iso, fc_av, fc_et, fc_fl, "
            "fc_face"
        )
    converted = {
        new: weights[old].float() if weights[old].is_floating_point() else weights[old]
        for old, new in ours.items()
    }
    converted["heads.weight"] = (
        torch.cat([weights[f"{name}.weight"].float() for name in names]) * signs[:, None]
    )  # (5, d)
    converted["heads.bias"] = (
        torch.cat([weights[f"{name}.bias"].float() for name in names]) * signs
    )  # (5,)
    return converted
