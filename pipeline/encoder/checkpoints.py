"""Read and write encoders on disk: our safetensors files, the authors' checkpoints and
torchvision's weights.
"""

import json
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.encoder.network import Encoder, from_authors

FORMAT = "encoder-1"


def save_encoder(path: Path, encoder: Encoder, meta: dict[str, Any]) -> None:
    """Write weights and self-describing metadata as safetensors: same weights and meta, same bytes.

    meta is any JSON value by name (input_size, face_scale, resize, antialias, mean, std, tags,
    params, ...); architecture and feature_dim come from the encoder."""
    from safetensors.torch import save

    described = {
        **meta,
        "architecture": encoder.architecture,
        "feature_dim": encoder.feature_dim,
        "format": FORMAT,
    }
    weights = {
        name: weight.detach().cpu().contiguous() for name, weight in encoder.state_dict().items()
    }
    # One metadata entry: safetensors writes several in hash order, which differs from run to run.
    content = save(
        weights, metadata={"encoder": json.dumps(described, sort_keys=True, allow_nan=False)}
    )
    with artifacts.atomic(path) as temporary:
        Path(temporary).write_bytes(content)


def load_encoder(path: Path) -> tuple[Encoder, dict[str, Any]]:
    """The encoder (on the CPU, in evaluation mode) and its metadata. PipelineError for any other
    file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get("encoder")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{path}: not a readable safetensors file ({error})") from error
    if described is None:
        raise PipelineError(f"{path}: no encoder metadata; give a file that train_pretext wrote")
    meta = json.loads(described)
    if meta.get("format") != FORMAT:
        raise PipelineError(
            f"{path}: format {meta.get('format')!r}, expected {FORMAT!r}; train the encoder again"
        )
    encoder = Encoder(meta["architecture"], meta["feature_dim"])
    load_weights(encoder, weights, source=str(path))
    return encoder.eval(), meta


def load_weights(encoder: Encoder, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into the encoder; unknown, missing or differently shaped entries are a
    PipelineError.
    """
    expected = encoder.state_dict()
    missing, unknown = (
        sorted(expected.keys() - weights.keys()),
        sorted(weights.keys() - expected.keys()),
    )
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if weights[name].shape != expected[name].shape
    ]
    problems = {"missing": missing, "unknown": unknown, "of another shape": sorted(shapes)}
    found = [
        f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names
    ]
    if found:
        raise PipelineError(
            f"{source}: weights do not fit {encoder.architecture} with {encoder.feature_dim} "
            "features: "
            f"{'; '.join(found)}. Set pretext.architecture and pretext.feature_dim to those of the "
            "checkpoint."
        )
    encoder.load_state_dict(weights)


def start_encoder(start: str, architecture: str, feature_dim: int, *, seed: int) -> Encoder:
    """The encoder that training starts from.

    start: `none` (random, keyed by seed), `imagenet` (torchvision's weights; feature layer and
    heads random), or the path of a checkpoint: `.safetensors` of ours or the authors' `.pth`."""
    encoder = Encoder(architecture, feature_dim, seed=seed)
    if start == "imagenet":
        _load_imagenet(encoder)
    elif start.endswith(".safetensors"):
        loaded, meta = load_encoder(_existing(start))
        load_weights(encoder, loaded.state_dict(), source=f"{start} ({meta['architecture']})")
    elif start.endswith(".pth"):
        load_weights(encoder, _read_pth(_existing(start)), source=start)
    elif start != "none":
        raise PipelineError(
            f"pretext.start: {start!r}; allowed are none, imagenet, or a .safetensors or .pth file"
        )
    return encoder


def _existing(start: str) -> Path:
    if not Path(start).is_file():
        raise PipelineError(
            f"pretext.start: {start} does not exist; give an existing checkpoint, none or imagenet"
        )
    return Path(start)


def _read_pth(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PipelineError(
            f"{path}: not a checkpoint of plain tensors ({reason}); refused"
        ) from error
    content = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise PipelineError(
            f"{path}: expected a state dict of tensors, or one under the key 'model'"
        )
    try:
        return from_authors(content)
    except RuntimeError as error:  # heads that do not fit together
        raise PipelineError(f"{path}: heads of wrong shape ({error})") from error


def _load_imagenet(encoder: Encoder) -> None:
    from torchvision.models import get_model_weights

    name = encoder.architecture
    try:
        weights = get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
    except ValueError as error:
        raise PipelineError(
            f"pretext.start: there are no ImageNet weights for {name}; use none"
        ) from error
    except (
        OSError,
        RuntimeError,
    ) as error:  # URLError is an OSError; a wrong hash is a RuntimeError
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise PipelineError(
            f"pretext.start: the ImageNet weights of {name} are not in {folder} and cannot be "
            f"downloaded ({error}). "
            "Connect once, copy torchvision's file into that folder, or set pretext.start to none."
        ) from error
    own = encoder.state_dict()
    for key, value in weights.items():
        if not key.startswith("fc."):  # their 1,000 classes are not ours
            own[f"backbone.{key}"] = value
    encoder.load_state_dict(own)
