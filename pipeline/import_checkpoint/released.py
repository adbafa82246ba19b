"""A released checkpoint, read and saved as an encoder: a ResNet-50 with a feature layer, in
torchvision's names below `model.visual.`, perhaps the authors' heads, and what is left of CLIP.
"""

from pathlib import Path

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import HEADS, TAGS
from pipeline.encoder.authors import HEAD_NAMES, OF_HEADS, VISUAL, check_heads, read_parts, rename
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import load_weights, save_encoder
from pipeline.encoder.foreign import Weights
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

FEATURE = f"{VISUAL}fc.weight"
PREPROCESSING = Preprocessing(224, antialias=False)  # the authors'; theirs is CLIP's mean and std
FACE_SCALE = 1.3
MOST_FEATURES = 65_536
BACKBONE, KEPT_HEADS, IGNORED = "backbone", "heads", "ignored"
NEW_HEADS = "heads with random weights"


def convert(source: Path, out: Path) -> dict[str, list[str]]:
    """Write the encoder; returns what became of the checkpoint's entries, names by use.

    Without any of the heads (EXIF as Language) they are random, keyed by seed 0, as the authors
    begin. PipelineError where a file is no such checkpoint, or has only some of the heads."""
    weights, used, kept = read_parts(source)
    feature_dim = _feature_dim(used, source)
    check_heads(kept, feature_dim, source)
    encoder = Encoder(Architecture("resnet50", feature_dim=feature_dim))
    became = {
        BACKBONE: list(used),
        KEPT_HEADS: list(kept),
        NEW_HEADS: [] if kept else list(OF_HEADS),
        IGNORED: sorted(weights.keys() - used.keys() - kept.keys()),
    }
    try:
        ours = rename(used | (kept or _fresh_heads(encoder)))
    except PipelineError as error:  # some are missing
        raise PipelineError(f"{source}: {error}") from error
    load_weights(encoder, ours, source=str(source))
    imported = {"file": source.name, "sha256": artifacts.sha256(source), "heads": bool(kept)}
    meta = {"face_scale": FACE_SCALE, "tags": TAGS}
    save_encoder(out, encoder, PREPROCESSING, params={"imported": imported}, **meta)
    return became


def _feature_dim(weights: Weights, source: Path) -> int:
    """Rows of the feature layer. PipelineError where there is none, or none of a possible size."""
    if FEATURE not in weights or weights[FEATURE].ndim != 2:
        raise PipelineError(
            f"{source}: no matrix {FEATURE}: neither the authors' checkpoint nor one of EXIF as "
            "Language; for timm's or ImageNet's weights see pretext.start"
        )
    rows = len(weights[FEATURE])
    if not 1 <= rows <= MOST_FEATURES:
        raise PipelineError(
            f"{source}: {FEATURE} has {rows:,} rows; allowed are 1 to {MOST_FEATURES:,} features"
        )
    return rows


def _fresh_heads(encoder: Encoder) -> Weights:
    """The heads that the encoder has, in the authors' names."""
    heads = encoder.heads.state_dict()
    return {
        f"{HEAD_NAMES[head]}.{part}": value[row : row + 1]
        for part, value in heads.items()
        for row, head in enumerate(HEADS)
    }
