"""Encoders on disk: our self-describing safetensors files, and the weights that training starts
from.
"""

import json
import pickle
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.encoder import authors
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

FORMAT = "encoder-1"


def save_encoder(path: Path, encoder: Encoder, preprocessing: Preprocessing, **meta: Any) -> None:
    """Write weights and metadata as safetensors: same weights and metadata, same bytes.

    meta: further JSON values by name (face_scale, tags, heads, params, ...)."""
    from safetensors.torch import save

    described = {
        **meta,
        **asdict(preprocessing),
        "architecture": encoder.architecture,
        "feature_dim": encoder.feature_dim,
        "format": FORMAT,
    }
    weights = {name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}
    # One entry: safetensors writes several in hash order, which differs from run to run.
    text = json.dumps(described, sort_keys=True, allow_nan=False)
    content = save(weights, metadata={"encoder": text})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def load_encoder(path: Path) -> tuple[Encoder, Preprocessing]:
    """The encoder (on the CPU, in evaluation mode) and its preprocessing. PipelineError for any
    other file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    meta = read_metadata(path)
    try:
        encoder = Encoder(meta["architecture"], meta["feature_dim"])
        values = {field.name: meta[field.name] for field in fields(Preprocessing)}
    except (KeyError, TypeError) as error:
        raise PipelineError(
            f"{path}: incomplete metadata ({error}); train the encoder again"
        ) from error
    if values["resize"] != "bilinear":
        raise PipelineError(f"{path}: resize {values['resize']!r}; only bilinear is supported")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{path}: not a readable safetensors file ({error})") from error
    load_weights(encoder, weights, source=str(path))
    mean, std = tuple(values.pop("mean")), tuple(values.pop("std"))
    return encoder.eval(), Preprocessing(**values, mean=mean, std=std)


def read_metadata(path: Path) -> dict[str, Any]:
    """All that an encoder's file says of itself: preprocessing, face_scale, tags, heads, params."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("encoder")
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{path}: not a readable safetensors file ({error})") from error
    if text is None:
        raise PipelineError(f"{path}: no encoder metadata; give a file that train_pretext wrote")
    meta: dict[str, Any] = json.loads(text)
    if meta.get("format") != FORMAT:
        raise PipelineError(
            f"{path}: format {meta.get('format')!r}, expected {FORMAT!r}; train the encoder again"
        )
    return meta


def load_weights(encoder: Encoder, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into the encoder. PipelineError names unknown, missing and differently shaped
    entries, and those that are not finite.
    """
    own = encoder.state_dict()
    common = sorted(own.keys() & weights.keys())
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in common
        if weights[name].shape != own[name].shape
    ]
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "unknown": sorted(weights.keys() - own.keys()),
        "of another shape": shapes,
    }
    texts = [f"{len(v)} {k} ({', '.join(v[:3])})" for k, v in problems.items() if v]
    if texts:
        raise PipelineError(
            f"{source}: weights do not fit {encoder.architecture} with {encoder.feature_dim} "
            f"features: {'; '.join(texts)}. Set pretext.architecture and pretext.feature_dim to "
            "those of the checkpoint."
        )
    broken = [name for name in common if not weights[name].isfinite().all()]
    if broken:
        raise PipelineError(f"{source}: weights with NaN or infinity: {', '.join(broken[:3])}")
    encoder.load_state_dict(weights)


def start_encoder(start: str, architecture: str, feature_dim: int, *, seed: int) -> Encoder:
    """The encoder that training starts from.

    start: `none` (random, keyed by seed), `imagenet` (torchvision's weights; feature layer and
    heads random), or the path of a checkpoint: `.safetensors` of ours or the authors' `.pth`."""
    encoder = Encoder(architecture, feature_dim, seed=seed)
    if start == "none":
        return encoder
    path = Path(start)
    if start != "imagenet" and path.suffix not in (".safetensors", ".pth"):
        raise PipelineError(
            f"pretext.start: {start!r}; allowed are none, imagenet, or a .safetensors or .pth file"
        )
    if start == "imagenet":
        weights = encoder.state_dict() | _imagenet_weights(architecture)
    elif not path.is_file():
        raise PipelineError(
            f"pretext.start: {start} does not exist; give an existing checkpoint, none or imagenet"
        )
    elif path.suffix == ".pth":
        weights = authors.read_pth(path)
    else:
        weights = load_encoder(path)[0].state_dict()
    load_weights(encoder, weights, source=start)
    return encoder


def _imagenet_weights(architecture: str) -> dict[str, torch.Tensor]:
    """torchvision's weights in our names, without their 1,000 classes. No pickle is run."""
    from torchvision.models import get_model_weights

    try:
        url = get_model_weights(architecture).DEFAULT.url
    except ValueError as error:
        raise PipelineError(
            f"pretext.start: there are no ImageNet weights for {architecture}; use none"
        ) from error
    try:
        weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    # URLError is an OSError; a wrong hash is a RuntimeError
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise PipelineError(
            f"pretext.start: the ImageNet weights of {architecture} are not readable in {folder} "
            f"and cannot be downloaded ({error}). Connect once, copy torchvision's file into that "
            "folder, or set pretext.start to none."
        ) from error
    return {f"backbone.{k}": v for k, v in weights.items() if not k.startswith("fc.")}
