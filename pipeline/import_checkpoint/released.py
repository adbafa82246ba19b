"""A released checkpoint, read and saved as an encoder: a ResNet-50 with a feature layer, in
torchvision's names below `model.visual.`, perhaps the authors' heads, and what is left of CLIP.
"""

from pathlib import Path

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import HEADS, TAGS
from pipeline.encoder.authors import HEAD_NAMES, VISUAL, rename
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import load_weights, save_encoder
from pipeline.encoder.foreign import Weights, load_tensors, state_dict
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

FEATURE = f"{VISUAL}fc.weight"
PREPROCESSING = Preprocessing(224, antialias=False)  # the authors'; theirs is CLIP's mean and std
FACE_SCALE = 1.3
BACKBONE, KEPT_HEADS, IGNORED = "backbone", "heads", "ignored"
NEW_HEADS = "heads with random weights"


def convert(source: Path, out: Path) -> dict[str, list[str]]:
    """Write the encoder; returns what became of the checkpoint's entries, names by use.

    Without any of the heads (EXIF as Language) they are random, keyed by seed 0, as the authors
    begin. PipelineError where a file is no such checkpoint, or has only some of the heads."""
    content = load_tensors(source)
    weights = state_dict(content, source)
    if FEATURE not in weights or weights[FEATURE].ndim != 2:
        raise PipelineError(
            f"{source}: no matrix {FEATURE}: neither the authors' checkpoint nor one of EXIF as "
            "Language; for timm's or ImageNet's weights see pretext.start"
        )
    encoder = Encoder(Architecture("resnet50", feature_dim=len(weights[FEATURE])))
    of_heads = [f"{name}.{part}" for name in HEAD_NAMES.values() for part in ("weight", "bias")]
    used = {name: value for name, value in weights.items() if name.startswith(VISUAL)}
    kept = {name: weights[name] for name in of_heads if name in weights}
    became = {
        BACKBONE: list(used),
        KEPT_HEADS: list(kept),
        NEW_HEADS: [] if kept else of_heads,
        IGNORED: sorted(weights.keys() - used.keys() - kept.keys()),
    }
    try:
        ours = rename(used | (kept or _fresh_heads(encoder)))
    except (PipelineError, RuntimeError) as error:  # some are missing, or do not fit together
        raise PipelineError(f"{source}: {error}") from error
    load_weights(encoder, ours, source=str(source))
    imported = {"file": source.name, "sha256": artifacts.sha256(source), "heads": bool(kept)}
    meta = {"face_scale": FACE_SCALE, "tags": TAGS, "heads": HEADS}
    save_encoder(out, encoder, PREPROCESSING, params={"imported": imported}, **meta)
    return became


def _fresh_heads(encoder: Encoder) -> Weights:
    """The heads that the encoder has, in the authors' names."""
    heads = encoder.heads.state_dict()
    return {
        f"{HEAD_NAMES[head]}.{part}": value[row : row + 1]
        for part, value in heads.items()
        for row, head in enumerate(HEADS)
    }
