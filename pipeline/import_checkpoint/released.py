"""A released checkpoint, read and saved as an encoder: a ResNet-50 with a feature layer, in
torchvision's names below `model.visual.`, perhaps the authors' heads, and what is left of CLIP.
"""

from pathlib import Path

import torch

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
MOST_FEATURES = 65_536
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTER = ".num_batches_tracked"
BACKBONE, KEPT_HEADS, IGNORED = "backbone", "heads", "ignored"
NEW_HEADS = "heads with random weights"


def convert(source: Path, out: Path) -> dict[str, list[str]]:
    """Write the encoder; returns what became of the checkpoint's entries, names by use.

    Without any of the heads (EXIF as Language) they are random, keyed by seed 0, as the authors
    begin. PipelineError where a file is no such checkpoint, or has only some of the heads."""
    weights = _named_tensors(source)
    of_heads = [f"{name}.{part}" for name in HEAD_NAMES.values() for part in ("weight", "bias")]
    used = {name: value for name, value in weights.items() if name.startswith(VISUAL)}
    kept = {name: weights[name] for name in of_heads if name in weights}
    _check_plain(used | kept, source)
    feature_dim = _feature_dim(used, source)
    _check_heads(kept, feature_dim, source)
    encoder = Encoder(Architecture("resnet50", feature_dim=feature_dim))
    became = {
        BACKBONE: list(used),
        KEPT_HEADS: list(kept),
        NEW_HEADS: [] if kept else of_heads,
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


def _named_tensors(source: Path) -> Weights:
    """The file's state dict. PipelineError where names are not texts."""
    content = load_tensors(source)
    try:
        return state_dict(content, source)
    except TypeError:
        raise PipelineError(
            f"{source}: a state dict whose names are not all texts; save model.state_dict()"
        ) from None


def _check_plain(weights: Weights, source: Path) -> None:
    """PipelineError for a tensor that is not dense, real and stored in full: to convert an expanded
    one could take any amount of memory.
    """
    for name, value in weights.items():
        plain = value.layout == torch.strided and not value.is_nested and value.device.type == "cpu"
        counter = name.endswith(COUNTER) and value.dtype == torch.int64
        if not plain or not (counter or value.dtype in FLOATS):
            raise PipelineError(
                f"{source}: {name}: expected a dense tensor of real floating-point numbers, found "
                f"{value.dtype}, {value.layout}, {value.device.type}; save the weights as float32"
            )
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise PipelineError(
                f"{source}: {name}: an expanded tensor of {value.numel():,} numbers, most of which "
                "are not in the file; save the weights with .contiguous()"
            )


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


def _check_heads(heads: Weights, feature_dim: int, source: Path) -> None:
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


def _fresh_heads(encoder: Encoder) -> Weights:
    """The heads that the encoder has, in the authors' names."""
    heads = encoder.heads.state_dict()
    return {
        f"{HEAD_NAMES[head]}.{part}": value[row : row + 1]
        for part, value in heads.items()
        for row, head in enumerate(HEADS)
    }
