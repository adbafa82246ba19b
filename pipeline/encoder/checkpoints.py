"""Encoders on disk: our self-describing safetensors files, and the weights that training starts
from.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import ConfigDict, Field, TypeAdapter

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS, MANIPULATION
from pipeline.encoder import authors
from pipeline.encoder.backbones import NATIVE, Architecture
from pipeline.encoder.foreign import check_plain, unwrapped
from pipeline.encoder.network import CLIP_MEAN, CLIP_STD, Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.encoder.pretrained import imagenet

FORMAT = "encoder-2"
MAXIMUM_SIZE = 4096  # pixels of a side that an encoder may ask for
Number = Annotated[float, Field(ge=-1e3, le=1e3)]  # of pixels in 0..1
Colour = tuple[Number, Number, Number]  # red, green, blue


def save_encoder(path: Path, encoder: Encoder, preprocessing: Preprocessing, **meta: Any) -> None:
    """Write weights and metadata as safetensors: same weights and metadata, same bytes.

    meta: further JSON values by name (face_scale, tags, params, ...)."""
    from safetensors.torch import save

    own: dict[str, Any] = {"architecture": encoder.architecture.to_json(), "format": FORMAT}
    own["heads"] = encoder.head_names
    normalisation = dict(zip(("mean", "std"), encoder.normalisation, strict=True))
    described = {**meta, **asdict(preprocessing), **normalisation, **own}
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
    described = _describe(path, meta)
    _check_fits(described, weights, source=str(path))
    encoder = Encoder(
        described.architecture, described.heads, normalisation=described.normalisation
    )
    load_weights(encoder, weights, source=str(path))
    return encoder.eval(), described.preprocessing


def read_metadata(path: Path) -> dict[str, Any]:
    """All that an encoder's file says of itself: preprocessing, face_scale, tags, heads, params."""
    return _read(path)[0]


class Described(NamedTuple):
    """What an encoder's file says of the encoder."""

    architecture: Architecture
    heads: tuple[str, ...]  # the last is of manipulations
    normalisation: tuple[Colour, Colour]  # mean and deviation, of pixels in 0..1
    preprocessing: Preprocessing


def _describe(path: Path, meta: dict[str, Any]) -> Described:
    """What the metadata say, checked. PipelineError where a part is missing, unknown or wrong."""
    names = [field.name for field in fields(Preprocessing)]
    parts = {
        "architecture": meta.get("architecture"),
        "heads": meta.get("heads"),
        "normalisation": [meta.get("mean"), meta.get("std")],
        "preprocessing": {name: meta.get(name) for name in names},
    }
    try:
        known = {field.name for field in fields(Architecture)}
        if set(parts["architecture"]) != known:  # type: ignore[arg-type]
            raise ValueError(f"the architecture has not the entries {', '.join(sorted(known))}")
        adapter = TypeAdapter(Described, config=ConfigDict(strict=True))
        found: Described = adapter.validate_json(json.dumps(parts))
        if found.heads[-1:] != (MANIPULATION,) or len(set(found.heads)) < len(found.heads):
            raise ValueError(f"heads must differ, and the last must be {MANIPULATION}")
        own = found.architecture
        if not (len(own.widths) > 1 and min(*own.widths, own.blocks, own.feature_dim) > 0):
            raise ValueError("the architecture has levels or features without channels")
        if not 1 <= found.preprocessing.input_size <= MAXIMUM_SIZE:
            raise ValueError(f"input_size must be 1 to {MAXIMUM_SIZE:,} pixels")
        if found.preprocessing.resize != Preprocessing.resize or min(found.normalisation[1]) < 1e-6:
            raise ValueError(f"resize must be {Preprocessing.resize}, and each std at least 1e-6")
    except (TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
        problems: list[Any] = getattr(error, "errors", list)()
        what = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems[:1]]
        raise PipelineError(
            f"{path}: what it says of itself is not what an encoder says "
            f"({''.join(what) or error}); train it again"
        ) from None
    return found


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("encoder", "{}")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{path}: not a readable safetensors file ({error})") from error
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise PipelineError(
            f"{path}: not an encoder of format {FORMAT}; give a file that train_pretext wrote, or "
            "train again"
        )
    check_plain(weights, path)
    return meta, unwrapped(weights)


def _check_fits(described: Described, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """PipelineError where the weights are of another architecture than the file says, before one
    of any size is built.
    """
    own, numbers = described.architecture, sum(value.numel() for value in weights.values())
    if own.levels == "last" and own.feature_dim > numbers:
        raise PipelineError(f"{source}: fewer weights than {own} has; use another file")
    if own.name == NATIVE:
        least = 9 * own.blocks * sum(width * width for width in own.widths)  # of convolutions
        least += own.feature_dim * own.widths[-1] if own.levels == "last" else 0
        if own.blocks * len(own.widths) > len(weights) or least > numbers:
            raise PipelineError(f"{source}: fewer weights than {own} has; use another file")
        return
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is copied
        _copy(Encoder(own, described.heads), weights, source=source)


def load_weights(encoder: Encoder, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into the encoder. PipelineError where names or shapes do not fit, or a weight is
    none to compute with: not finite in the encoder's precision, or a negative variance.

    Counters of batches that are missing, as in files of before there were any, start anew: nothing
    is computed from them."""
    _copy(encoder, weights, source=source)
    check_finite(encoder, source)


def _copy(encoder: Encoder, weights: dict[str, torch.Tensor], *, source: str) -> None:
    own = encoder.state_dict()
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    try:
        encoder.load_state_dict(counters | weights)
    except RuntimeError as error:  # a line each on missing, unexpected, differently shaped ones
        reasons = "; ".join(f"{line.strip():.150}" for line in str(error).splitlines()[1:4])
        raise PipelineError(
            f"{source}: weights do not fit {encoder.architecture} ({reasons}). Set architecture, "
            "levels, pooling, feature_dim, widths and blocks of pretext to those of the checkpoint."
        ) from None


def check_finite(encoder: Encoder, source: str) -> None:
    """PipelineError where weights cannot be computed with. Some layers turn NaN into 0, so that no
    figure behind them would tell.
    """
    weights = encoder.state_dict()
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise PipelineError(
            f"{source}: weights with NaN or infinity: {', '.join(broken[:3])}; use another file"
        )
    variances = {name: value for name, value in weights.items() if name.endswith("running_var")}
    if negative := [name for name, value in variances.items() if (value < 0).any()]:
        raise PipelineError(f"{source}: negative variances: {', '.join(negative[:3])}")


def start_encoder(
    start: str,
    architecture: Architecture,
    heads: Sequence[str] = HEADS,
    *,
    seed: int,
    **regularisation: float,
) -> Encoder:
    """The encoder with these heads that training starts from, with the normalisation that its
    weights know.

    start: `none` (random, keyed by seed), `imagenet` (what the backbone has of timm's weights; the
    feature layer and heads random), or the path of a checkpoint: `.safetensors` of ours or the
    authors' `.pth`, whose heads of the same names are taken. regularisation: dropout and
    stochastic_depth of `Encoder`."""
    if start == "none":
        return Encoder(architecture, heads, seed=seed, **regularisation)  # type: ignore[arg-type]
    path, known = Path(start), tuple[str, ...](HEADS)
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] = CLIP_MEAN, CLIP_STD
    if start == "imagenet":
        weights, mean, std = imagenet(architecture.name)
        normalisation = mean, std
    elif not path.is_file() or path.suffix not in (".safetensors", ".pth"):
        raise PipelineError(
            f"pretext.start: {start!r} is no checkpoint; allowed are none, imagenet, or an "
            "existing .safetensors or .pth file"
        )
    elif path.suffix == ".pth":
        weights = authors.read_pth(path)
    else:
        meta, weights = _read(path)
        described = _describe(path, meta)
        normalisation, known = described.normalisation, described.heads
    encoder = Encoder(architecture, heads, seed=seed, normalisation=normalisation, **regularisation)
    if start == "imagenet":
        weights = with_backbone(encoder, weights)
    else:
        weights = with_heads(encoder, weights, known)
    load_weights(encoder, weights, source=start)
    return encoder


def with_heads(
    encoder: Encoder, weights: dict[str, torch.Tensor], known: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The weights with the encoder's heads: by name those that are known, the others as the encoder
    starts. Weights of another shape are left for `load_weights` to refuse.
    """
    own, found = encoder.state_dict(), dict(weights)
    for part in ("heads.weight", "heads.bias"):
        given = weights.get(part)
        shape = (len(known), *own[part].shape[1:])
        if given is not None and given.shape == shape:
            rows = dict(zip(known, given, strict=True))
            pairs = zip(encoder.head_names, own[part], strict=True)
            found[part] = torch.stack([rows.get(name, start) for name, start in pairs])
    return found


def with_backbone(encoder: Encoder, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's weights with those of a backbone in place; what only a classifier of theirs
    needs is left out. PipelineError where the backbone needs more than they have.
    """
    own = encoder.state_dict()
    fresh = ("heads.", "scale.", *_classifier_names(encoder))
    wanted = [name for name in own if not name.startswith(fresh)]
    wanted = [name for name in wanted if not name.endswith("num_batches_tracked")]
    missing = [name for name in wanted if name.removeprefix("backbone.") not in weights]
    if missing:
        raise PipelineError(
            f"pretext.start: the ImageNet weights of {encoder.architecture.name} lack "
            f"{len(missing)} entries ({', '.join(missing[:3])})"
        )
    return own | {name: weights[name.removeprefix("backbone.")] for name in wanted}


def _classifier_names(encoder: Encoder) -> list[str]:
    layer = encoder.backbone.get_classifier()
    return [f"{name}." for name, module in encoder.named_modules() if module is layer]
