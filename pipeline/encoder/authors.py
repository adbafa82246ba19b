"""The authors' checkpoints (.pth), in our names."""

from pathlib import Path

import torch

from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS
from pipeline.encoder.foreign import Weights, check_plain, load_tensors, state_dict

VISUAL = "model.visual."
# What the authors' class leaves of CLIP's text side, and their checkpoints therefore carry.
LEFTOVERS = {
    "model.positional_embedding",
    "model.logit_scale",
    "model.token_embedding.weight",
    "model.ln_final.weight",
    "model.ln_final.bias",
}
# Their labels of exposure time and focal length are swapped: label 'et' is the focal length, so
# that head fc_et ranks it and fc_fl the exposure time. And their exposure time "1/60" reads as 60,
# the speed, so that fc_fl ranks short exposures high: our row is -fc_fl.
HEAD_NAMES = {
    "iso": "fc_iso",
    "f_number": "fc_av",
    "exposure_time_s": "fc_fl",
    "focal_length_mm": "fc_et",
    "manipulation": "fc_face",
}
REVERSED = "exposure_time_s"
OF_HEADS = tuple(f"{name}.{part}" for name in HEAD_NAMES.values() for part in ("weight", "bias"))


def read_pth(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a checkpoint, in our names; no pickle is run (weights_only)."""
    weights, _, heads = read_parts(path)
    widths = [value.numel() for name, value in heads.items() if name.endswith("weight")]
    check_heads(heads, widths[0] if widths else 0, path)
    return rename(weights)


def read_parts(path: Path) -> tuple[Weights, Weights, Weights]:
    """The whole state dict of a checkpoint; what of it is the network's, and what the heads'. These
    two hold no more than the file does. PipelineError for anything else.
    """
    weights = state_dict(load_tensors(path), path)
    visual = {name: value for name, value in weights.items() if name.startswith(VISUAL)}
    heads = {name: weights[name] for name in OF_HEADS if name in weights}
    check_plain(visual | heads, path)
    return weights, visual, heads


def check_heads(heads: Weights, feature_dim: int, source: Path) -> None:
    """PipelineError for a head that is not (1, feature_dim) with a bias (1,): several that are not
    could fit together all the same.
    """
    for name, value in heads.items():
        wanted = (1, feature_dim) if name.endswith(".weight") else (1,)
        if value.shape != wanted:
            raise PipelineError(
                f"{source}: {name} has the shape {tuple(value.shape)}, a head has {wanted}; "
                "use another file"
            )


def rename(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The authors' state dict in our names: model.visual.* -> backbone.*, fc_<tag> -> rows of the
    heads. PipelineError for missing and unknown entries, apart from LEFTOVERS.
    """
    names = [HEAD_NAMES[head] for head in HEADS]
    signs = torch.tensor([-1.0 if head == REVERSED else 1.0 for head in HEADS])  # (5,)
    ours = {k: f"backbone.{k.removeprefix(VISUAL)}" for k in weights if k.startswith(VISUAL)}
    missing = [key for key in OF_HEADS if key not in weights]
    unknown = sorted(weights.keys() - ours.keys() - set(OF_HEADS) - LEFTOVERS)
    if missing or unknown:
        raise PipelineError(
            f"authors' checkpoint: {len(missing)} entries missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} unknown ({', '.join(unknown[:3])}); expected model.visual.* and "
            f"{', '.join(HEAD_NAMES.values())}"
        )
    renamed = {
        new: weights[old].float() if weights[old].is_floating_point() else weights[old]
        for old, new in ours.items()
    }
    rows = torch.cat([weights[f"{name}.weight"].float() for name in names])  # (5, d)
    biases = torch.cat([weights[f"{name}.bias"].float() for name in names])  # (5,)
    return renamed | {"heads.weight": rows * signs[:, None], "heads.bias": biases * signs}
