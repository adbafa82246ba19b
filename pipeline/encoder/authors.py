"""The authors' checkpoints (.pth), in our names."""

from pathlib import Path

import torch

from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS
from pipeline.encoder.foreign import load_tensors, state_dict

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


def read_pth(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a checkpoint, in our names; no pickle is run (weights_only)."""
    weights = state_dict(load_tensors(path), path)
    try:
        return rename(weights)
    except RuntimeError as error:  # heads that do not fit together
        raise PipelineError(f"{path}: heads of wrong shape ({error})") from error


def rename(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The authors' state dict in our names: model.visual.* -> backbone.*, fc_<tag> -> rows of the
    heads. PipelineError for missing and unknown entries, apart from LEFTOVERS.
    """
    names = [HEAD_NAMES[head] for head in HEADS]
    signs = torch.tensor([-1.0 if head == REVERSED else 1.0 for head in HEADS])  # (5,)
    ours = {k: f"backbone.{k.removeprefix(VISUAL)}" for k in weights if k.startswith(VISUAL)}
    theirs = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    missing = [key for key in theirs if key not in weights]
    unknown = sorted(weights.keys() - ours.keys() - set(theirs) - LEFTOVERS)
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
