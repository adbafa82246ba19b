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

    architecture = {"architecture": encoder.architecture, "feature_dim": encoder.feature_dim}
    described = {**meta, **asdict(preprocessing), **architecture, "format": FORMAT}
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
    meta, weights = _read(path)
    encoder = Encoder(meta["architecture"], meta["feature_dim"])
    load_weights(encoder, weights, source=str(path))
    values = {field.name: meta[field.name] for field in fields(Preprocessing)}
    values |= {name: tuple(values[name]) for name in ("mean", "std")}
    return encoder.eval(), Preprocessing(**values)


def read_metadata(path: Path) -> dict[str, Any]:
    """All that an encoder's file says of itself: preprocessing, face_scale, tags, heads, params."""
    return _read(path)[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("encoder", "{}")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{path}: not a readable safetensors file ({error})") from error
    meta = json.loads(text)
    if meta.get("format") != FORMAT:
        raise PipelineError(
            f"{path}: not an encoder of format {FORMAT}; give a file that train_pretext wrote, or "
            "train again"
        )
    return meta, weights


def load_weights(encoder: Encoder, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into the encoder. PipelineError where names or shapes do not fit, or a weight is
    not finite.
    """
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise PipelineError(f"{source}: weights with NaN or infinity: {', '.join(broken[:3])}")
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:  # a line each on missing, unexpected, differently shaped ones
        reasons = "; ".join(f"{line.strip():.150}" for line in str(error).splitlines()[1:4])
        raise PipelineError(
            f"{source}: weights do not fit {encoder.architecture} with {encoder.feature_dim} "
            f"features ({reasons}). Set pretext.architecture and pretext.feature_dim to those of "
            "the checkpoint."
        ) from None


def start_encoder(start: str, architecture: str, feature_dim: int, *, seed: int) -> Encoder:
    """The encoder that training starts from.

    start: `none` (random, keyed by seed), `imagenet` (torchvision's weights; feature layer and
    heads random), or the path of a checkpoint: `.safetensors` of ours or the authors' `.pth`."""
    encoder = Encoder(architecture, feature_dim, seed=seed)
    if start == "none":
        return encoder
    path = Path(start)
    if start == "imagenet":
        weights = encoder.state_dict() | _imagenet_weights(architecture)
    elif not path.is_file() or path.suffix not in (".safetensors", ".pth"):
        raise PipelineError(
            f"pretext.start: {start!r} is no checkpoint; allowed are none, imagenet, or an "
            "existing .safetensors or .pth file"
        )
    else:
        weights = authors.read_pth(path) if path.suffix == ".pth" else _read(path)[1]
    load_weights(encoder, weights, source=start)
    return encoder


def _imagenet_weights(architecture: str) -> dict[str, torch.Tensor]:
    """torchvision's weights in our names, without their 1,000 classes. No pickle is run."""
    from torchvision.models import get_model_weights

    try:
        url = get_model_weights(architecture).DEFAULT.url
        weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except ValueError as error:
        raise PipelineError(
            f"pretext.start: there are no ImageNet weights for {architecture}; use none"
        ) from error
    # URLError is an OSError; a wrong hash is a RuntimeError
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise PipelineError(
            f"pretext.start: the ImageNet weights of {architecture} are not readable in {folder} "
            f"and cannot be downloaded ({error}). Connect once, copy torchvision's file into that "
            "folder, or set pretext.start to none."
        ) from error
    return {f"backbone.{k}": v for k, v in weights.items() if not k.startswith("fc.")}
