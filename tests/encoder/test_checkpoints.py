import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS
from pipeline.encoder.checkpoints import (
    load_encoder,
    load_weights,
    read_metadata,
    save_encoder,
    start_encoder,
)
from pipeline.encoder.foreign import unwrapped
from pipeline.encoder.preprocessing import Preprocessing
from tests.small_encoder import small, small_encoder

PREPROCESSING = Preprocessing(64, antialias=False)
NORMALISATION = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)


@pytest.mark.parametrize("levels", ["last", "all"])
def test_round_trip(tmp_path, levels):
    path, encoder = tmp_path / "e.safetensors", small_encoder(8, levels, seed=3).eval()
    save_encoder(path, encoder, PREPROCESSING, params={"seed": 1})
    loaded, preprocessing = load_encoder(path)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(x)[0], encoder(x)[0]) and torch.equal(loaded(x)[1], encoder(x)[1])
    assert preprocessing == PREPROCESSING and not loaded.training
    assert read_metadata(path)["params"] == {"seed": 1}


def test_bytes_depend_on_weights_and_metadata_alone(tmp_path):
    meta = {"params": {"seed": 1}, "tags": ["iso"]}
    channels_last: Any = small_encoder(8, seed=3)
    channels_last.to(memory_format=torch.channels_last)
    save_encoder(tmp_path / "a", small_encoder(8, seed=3), PREPROCESSING, **meta)
    save_encoder(tmp_path / "b", channels_last, PREPROCESSING, **dict(reversed(meta.items())))
    save_encoder(tmp_path / "c", small_encoder(8, seed=3), Preprocessing(65), **meta)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_header_is_readable_without_torch(tmp_path):
    encoder = small_encoder(8, normalisation=NORMALISATION)
    save_encoder(tmp_path / "e", encoder, PREPROCESSING)
    content = (tmp_path / "e").read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    meta = json.loads(header["__metadata__"]["encoder"])
    assert (meta["input_size"], meta["resize"], meta["antialias"]) == (64, "bilinear", False)
    assert (meta["mean"], meta["std"]) == ([0.4, 0.5, 0.6], [0.1, 0.2, 0.3])
    assert meta["architecture"]["widths"] == [8, 8, 16]
    assert load_encoder(tmp_path / "e")[0].normalisation == NORMALISATION


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_absent_and_broken_files_are_named(tmp_path, content):
    if content is not None:
        (tmp_path / "e.safetensors").write_bytes(content)
    with pytest.raises(PipelineError, match=r"e\.safetensors: not a readable safetensors"):
        load_encoder(tmp_path / "e.safetensors")


@pytest.mark.parametrize("metadata", [None, {"encoder": '{"format": "encoder-1"}'}])
def test_foreign_files_are_refused(tmp_path, metadata):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign", metadata=metadata)
    with pytest.raises(PipelineError, match=r"foreign: not an encoder of format encoder-2"):
        load_encoder(tmp_path / "foreign")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    encoder = small_encoder(8)
    encoder.heads.weight.data[0, 0] = value
    save_encoder(tmp_path / "e.safetensors", encoder, PREPROCESSING)
    with pytest.raises(PipelineError, match=r"NaN or infinity: heads\.weight"):
        load_encoder(tmp_path / "e.safetensors")


def test_weights_that_no_network_has_are_refused(tmp_path):
    start = small_encoder(8)
    for name, value, message in [
        ("backbone.stem.bn.running_var", -torch.ones(8), "negative variances: backbone"),
        ("heads.bias", torch.full((5,), 1e300, dtype=torch.float64), r"infinity: heads\.bias"),
    ]:
        with pytest.raises(PipelineError, match=message):
            load_weights(start, start.state_dict() | {name: value}, source="file")
        start = small_encoder(8)


def test_missing_counters_of_batches_and_prefixes_of_wrappers_do_not_matter():
    saved, encoder = small_encoder(8, seed=4), small_encoder(8)
    kept = {k: v for k, v in saved.state_dict().items() if "num_batches_tracked" not in k}
    wrapped = {f"module._orig_mod.{name}": value for name, value in kept.items()}
    load_weights(encoder, unwrapped(wrapped), source="file")
    assert torch.equal(encoder.heads.weight, saved.heads.weight)


GOOD = {
    "architecture": small(8).to_json(),
    **{"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "format": "encoder-2"},
    **{"input_size": 64, "resize": "bilinear", "antialias": True, "heads": HEADS},
}


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": None},
        {"heads": HEADS[:-1]},
        {"heads": ["iso", "iso", "manipulation"]},
        {"heads": "iso"},
        {"architecture": {**small(8).to_json(), "widths": None}},
        {"architecture": {**small(8).to_json(), "new": 1}},
        {"mean": [float("nan")] * 3},
        {"mean": [0.1] * 4},
        {"std": [0, 1, 1]},
        {"std": None},
        {"input_size": "big"},
        {"antialias": "yes"},
        {"resize": "lanczos"},
    ],
)
def test_metadata_that_are_not_an_encoders_are_one_sentence(tmp_path, change):
    weights = {k: v.contiguous() for k, v in small_encoder(8).state_dict().items()}
    for name, meta in (("good", GOOD), ("bad", GOOD | change)):
        save_file(weights, tmp_path / name, metadata={"encoder": json.dumps(meta)})
    load_encoder(tmp_path / "good")
    with pytest.raises(PipelineError, match=r"bad: what it says of itself .* train it again"):
        load_encoder(tmp_path / "bad")


@pytest.mark.parametrize("text", ["{", "[]", "1", "[" * 10_000])
def test_metadata_that_are_no_object_are_refused(tmp_path, text):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign", metadata={"encoder": text})
    with pytest.raises(PipelineError, match=r"foreign: not an encoder of format encoder-2"):
        load_encoder(tmp_path / "foreign")


def test_nothing_is_left_half_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_encoder(tmp_path / "e", small_encoder(8), PREPROCESSING, loss=float("nan"))
    assert list(tmp_path.iterdir()) == []


# --- where training starts


def test_start_none_is_keyed_by_the_seed():
    a, b = start_encoder("none", small(8), seed=1), small_encoder(8, seed=1)
    assert torch.equal(a.heads.weight, b.heads.weight)


def test_start_from_ours(tmp_path):
    path = str(tmp_path / "e.safetensors")
    saved = small_encoder(8, seed=9, normalisation=NORMALISATION)
    save_encoder(Path(path), saved, PREPROCESSING)
    started = start_encoder(path, small(8), seed=1)
    assert torch.equal(started.heads.weight, saved.heads.weight)
    assert started.normalisation == NORMALISATION
    with pytest.raises(PipelineError, match=r"do not fit native with 16 features.*size mismatch"):
        start_encoder(path, small(16), seed=1)
    with pytest.raises(PipelineError, match=r"do not fit native with all levels.*Missing key"):
        start_encoder(path, small(levels="all"), seed=1)


def test_heads_are_taken_from_a_start_by_name_and_others_begin_afresh(tmp_path):
    saved, path = small_encoder(8, seed=9), tmp_path / "e.safetensors"
    save_encoder(path, saved, PREPROCESSING)
    heads = ("focal_length_mm", "brightness", "manipulation")
    started = start_encoder(str(path), small(8), heads, seed=1)
    fresh = start_encoder("none", small(8), heads, seed=1)
    for part in ("weight", "bias"):
        new, old, own = (getattr(one.heads, part) for one in (started, saved, fresh))
        assert new[0].equal(old[3]) and new[1].equal(own[1]) and new[2].equal(old[4])
    save_encoder(path, started, PREPROCESSING)
    assert load_encoder(path)[0].head_names == heads


@pytest.mark.parametrize("start", ["absent.pth", "absent.safetensors", "nothing"])
def test_wrong_start_says_what_is_allowed(start):
    with pytest.raises(PipelineError, match=rf"pretext\.start: '{start}'.*none, imagenet"):
        start_encoder(start, small(8), seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [10**6, 10**6]}, "fewer weights than"),
        ({"widths": [8, -8, 16]}, "without channels"),
        ({"widths": [8]}, "without channels"),
        ({"blocks": 10**9}, "fewer weights than"),
        ({"blocks": 0}, "without channels"),
        ({"feature_dim": 10**12}, "fewer weights than"),
        ({"name": "resnet50"}, "do not fit"),
        ({"name": "resnet18", "feature_dim": 10**17}, "fewer weights than"),
        ({"pooling": "x"}, "not what an encoder says"),
    ],
)
def test_an_architecture_of_any_size_is_refused_before_it_is_built(tmp_path, change, message):
    path, own = tmp_path / "a.safetensors", small_encoder(6)
    save_encoder(path, own, Preprocessing(32))
    text = json.dumps(
        read_metadata(path) | {"architecture": {**own.architecture.to_json(), **change}}
    )
    save_file(own.state_dict(), path, metadata={"encoder": text})
    with pytest.raises(PipelineError, match=message):
        load_encoder(path)


@pytest.mark.parametrize(
    "change",
    [{"input_size": 10**6}, {"input_size": 0}, {"std": [1e-300, 1, 1]}, {"mean": [1e9] * 3}],
)
def test_inputs_that_no_encoder_has_are_refused(tmp_path, change):
    path, own = tmp_path / "a.safetensors", small_encoder(6)
    save_encoder(path, own, Preprocessing(32))
    text = json.dumps(read_metadata(path) | change)
    save_file(own.state_dict(), path, metadata={"encoder": text})
    with pytest.raises(PipelineError, match="not what an encoder says"):
        load_encoder(path)


def test_weights_of_complex_numbers_are_refused(tmp_path):
    path, own = tmp_path / "a.safetensors", small_encoder(6)
    save_encoder(path, own, Preprocessing(32))
    weights = own.state_dict() | {"heads.bias": torch.ones(5, dtype=torch.complex64)}
    save_file(weights, path, metadata={"encoder": json.dumps(read_metadata(path))})
    with pytest.raises(PipelineError, match=r"heads\.bias: .*complex64"):
        load_encoder(path)
