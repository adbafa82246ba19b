"""Targets: weights of others and of ours, and the state of a run that is to go on."""

import functools
import io
import json
import math
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import timm  # noqa: F401  imported late otherwise, with all that it imports
import torch
from safetensors.torch import save

from pipeline.encoder import authors
from pipeline.encoder.checkpoints import load_encoder, start_encoder
from pipeline.encoder.foreign import unwrapped
from pipeline.import_checkpoint import released
from pipeline.pretext.checkpoint import CheckpointFile, State, restore, to_bytes
from pipeline.pretext.optimisation import optimiser
from tests.fuzz.target import Target, must, put
from tests.picture_world import write_encoder
from tests.pretext_world import pretext
from tests.small_encoder import small, small_encoder

FINGERPRINT = "0123456789abcdef"


def encoder(data: bytes, folder: Path) -> None:
    mode, content = data[:1], data[1:]
    path = folder / "a.safetensors"
    if mode == b"\1":  # what it says of itself, beside weights that are whole
        text = content.decode("utf-8", "replace")
        content = save(small_encoder(6).state_dict(), metadata={"encoder": text})
    elif mode == b"\2":  # a header of the right length
        header, _, numbers = content.partition(b"\0\0")
        content = struct.pack("<Q", len(header)) + header + numbers
    found, _ = load_encoder(put(path, content))
    must(all(v.isfinite().all() for v in found.state_dict().values()), "not finite")
    with torch.no_grad():
        features, _ = found(torch.full((1, 3, 32, 32), 99.0))
    must(features.isfinite().all() or not _are_tame(found), "NaN features")
    start_encoder(str(path), small(6), seed=1)


def _are_tame(network: torch.nn.Module) -> bool:
    """Whether weights are such that no sum of products overflows: others are found behind."""
    weights = network.state_dict().values()
    variances = [v for name, v in network.state_dict().items() if name.endswith("running_var")]
    return max(float(v.abs().max()) for v in weights) < 1e3 and all(
        (v > 1e-6).all() for v in variances
    )


def encoder_seeds() -> list[bytes]:
    content, text = _own()
    length = struct.unpack("<Q", content[:8])[0]
    short = (
        b'{"__metadata__":{"encoder":"{}"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    return [
        b"\0" + content,
        b"\1" + text,
        b"\2" + content[8 : 8 + length] + b"\0\0" + content[8 + length :],
        b"\2" + short + bytes(6),
    ]


@functools.cache
def _own() -> tuple[bytes, bytes]:
    """An encoder's file, and what it says of itself."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "a.safetensors")
        write_encoder(path, 1, 5)
        content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return content, header["__metadata__"]["encoder"].encode()


def archive(pickled: bytes) -> bytes:
    """A file as torch.save writes it, around any pickle, with storages 0 to 11 of 64 bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/byteorder", "little")
        for number in range(12):
            file.writestr(f"archive/data/{number}", bytes(range(64)))
        file.writestr("archive/version", "3\n")
    return buffer.getvalue()


def checkpoint(data: bytes, folder: Path) -> None:
    content = archive(data[1:]) if data[:1] == b"\1" else data[1:]
    path, out = put(folder / "a.pth", content), folder / "out.safetensors"
    out.unlink(missing_ok=True)
    for read in (authors.read_pth, lambda file: released.convert(file, out)):
        try:
            read(path)
        except Exception as error:  # each of the two is to be tried
            if type(error).__name__ != "PipelineError":
                raise
    weights = authors.read_pth(path)
    must(all(map(torch.is_tensor, weights.values())), "no tensor")
    unwrapped(weights)


def checkpoint_seeds() -> list[bytes]:
    heads = {f"{name}.weight": _tensor(1, 2) for name in authors.HEAD_NAMES.values()}
    heads |= {f"{name}.bias": _tensor(1) for name in authors.HEAD_NAMES.values()}
    half = {name: value.view(torch.float16)[..., ::2] for name, value in heads.items()}
    plain = {"model.visual.a.num_batches_tracked": _tensor(1).view(torch.int32), **heads}
    expanded = {**heads, "model.visual.a": _tensor(1).view(torch.float16)[:1].expand(1 << 12)}
    contents: list[Any] = [
        plain,
        {"model": {f"module.{k}": v for k, v in half.items()}, "epoch": 3, "set": {1}},
        {"state_dict": {**heads, "model.visual.fc.weight": _tensor(3, 2)}},
        expanded,
        {"a": torch.eye(3).to_sparse(), "b": bytearray(b"abc"), "c": 1 + 2j},
    ]
    saved = [_saved(content) for content in contents]
    pickles = [zipfile.ZipFile(io.BytesIO(one)).read("archive/data.pkl") for one in saved]
    old = [_saved(content, _use_new_zipfile_serialization=False) for content in contents[:1]]
    hostile = b"cos\nsystem\n(S'true'\ntR."
    return [
        *(b"\1" + one for one in (*pickles, hostile)),
        *(b"\0" + one for one in (saved[0], *old)),
    ]


def _tensor(*shape: int) -> torch.Tensor:
    """Numbers in a storage of 64 bytes, as `archive` has them."""
    return torch.arange(16.0)[: math.prod(shape)].view(shape)


def _saved(content: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def resume(data: bytes, folder: Path) -> None:
    mode, content = data[:1], data[1:]
    file = CheckpointFile(folder / "a.checkpoint", FINGERPRINT)
    if mode == b"\1":
        header, _, numbers = content.partition(b"\0\0")
        content = struct.pack("<Q", len(header)) + header + numbers
    whole = content if mode == b"\2" else file._header(content) + b"\n" + content
    put(folder / "a.checkpoint", whole)
    if (saved := file.read()) is None:
        return
    state = _state()
    restore(state, saved)
    must(to_bytes(state), "not to be kept")
    must(set(vars(state)) == set(vars(_state())), "another attribute")


def _state() -> State:
    network = small_encoder(8, seed=1)
    return State(network, optimiser(network, pretext(optimiser="adam")))


def resume_seeds() -> list[bytes]:
    state = _state()
    before = to_bytes(state)
    state.encoder(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)))[
        1
    ].square().sum().backward()
    state.optimiser.step()
    state.history = [{"epoch": 1, "loss": 0.5, "auc": None}]
    after = to_bytes(state)
    length = struct.unpack("<Q", after[:8])[0]
    return [
        b"\0" + before,
        b"\0" + after,
        b"\1" + after[8 : 8 + length] + b"\0\0" + after[8 + length :],
        b"\2" + before,
    ]


TARGETS = {
    "encoder": Target(encoder, encoder_seeds, megabytes=256, longest=65536),
    "checkpoint": Target(checkpoint, checkpoint_seeds, megabytes=256, longest=16384),
    "resume": Target(resume, resume_seeds, megabytes=256, longest=131072),
}
