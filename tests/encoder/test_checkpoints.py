import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.encoder.checkpoints import load_encoder, read_metadata, save_encoder, start_encoder
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(64, antialias=False, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))


def test_round_trip(tmp_path):
    path, encoder = tmp_path / "e.safetensors", Encoder("resnet10", 8, seed=3).eval()
    save_encoder(path, encoder, PREPROCESSING, params={"seed": 1})
    loaded, preprocessing = load_encoder(path)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(x)[0], encoder(x)[0]) and torch.equal(loaded(x)[1], encoder(x)[1])
    assert preprocessing == PREPROCESSING and not loaded.training
    assert read_metadata(path)["params"] == {"seed": 1}


def test_bytes_depend_on_weights_and_metadata_alone(tmp_path):
    meta = {"params": {"seed": 1}, "tags": ["iso"]}
    channels_last: Any = Encoder("resnet10", 8, seed=3)
    channels_last.to(memory_format=torch.channels_last)
    save_encoder(tmp_path / "a", Encoder("resnet10", 8, seed=3), PREPROCESSING, **meta)
    save_encoder(tmp_path / "b", channels_last, PREPROCESSING, **dict(reversed(meta.items())))
    save_encoder(tmp_path / "c", Encoder("resnet10", 8, seed=3), Preprocessing(65), **meta)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_header_is_readable_without_torch(tmp_path):
    save_encoder(tmp_path / "e", Encoder("resnet10", 8), PREPROCESSING)
    content = (tmp_path / "e").read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    meta = json.loads(header["__metadata__"]["encoder"])
    assert (meta["input_size"], meta["resize"], meta["antialias"]) == (64, "bilinear", False)
    assert (meta["mean"], meta["std"]) == ([0.4, 0.5, 0.6], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_absent_and_broken_files_are_named(tmp_path, content):
    if content is not None:
        (tmp_path / "e.safetensors").write_bytes(content)
    with pytest.raises(PipelineError, match=r"e\.safetensors: not a readable safetensors"):
        load_encoder(tmp_path / "e.safetensors")


@pytest.mark.parametrize("metadata", [None, {"encoder": '{"format": "encoder-0"}'}])
def test_foreign_files_are_refused(tmp_path, metadata):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign", metadata=metadata)
    with pytest.raises(PipelineError, match=r"foreign: not an encoder of format encoder-1"):
        load_encoder(tmp_path / "foreign")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    encoder = Encoder("resnet10", 8)
    encoder.heads.weight.data[0, 0] = value
    save_encoder(tmp_path / "e.safetensors", encoder, PREPROCESSING)
    with pytest.raises(PipelineError, match=r"NaN or infinity: heads\.weight"):
        load_encoder(tmp_path / "e.safetensors")


def test_nothing_is_left_half_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_encoder(tmp_path / "e", Encoder("resnet10", 8), PREPROCESSING, loss=float("nan"))
    assert list(tmp_path.iterdir()) == []


# --- where training starts


def test_start_none_is_keyed_by_the_seed():
    a, b = start_encoder("none", "resnet10", 8, seed=1), Encoder("resnet10", 8, seed=1)
    assert torch.equal(a.heads.weight, b.heads.weight)


def test_start_from_ours(tmp_path):
    path, saved = str(tmp_path / "e.safetensors"), Encoder("resnet10", 8, seed=9)
    save_encoder(Path(path), saved, PREPROCESSING)
    started = start_encoder(path, "resnet10", 8, seed=1)
    assert torch.equal(started.heads.weight, saved.heads.weight)
    with pytest.raises(PipelineError, match=r"do not fit resnet10 with 16 features.*size mismatch"):
        start_encoder(path, "resnet10", 16, seed=1)
    with pytest.raises(PipelineError, match=r"do not fit resnet18.*Missing key"):
        start_encoder(path, "resnet18", 8, seed=1)


@pytest.mark.parametrize("start", ["absent.pth", "absent.safetensors", "nothing"])
def test_wrong_start_says_what_is_allowed(start):
    with pytest.raises(PipelineError, match=rf"pretext\.start: '{start}'.*none, imagenet"):
        start_encoder(start, "resnet10", 8, seed=1)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where torchvision keeps its file of resnet18's ImageNet weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / Path(models.ResNet18_Weights.DEFAULT.url).name


def test_imagenet_fills_all_but_the_feature_layer_and_heads(cache):
    theirs = models.resnet18()
    torch.save(theirs.state_dict(), cache)
    started, fresh = (start_encoder(start, "resnet18", 8, seed=1) for start in ("imagenet", "none"))
    for name, value in started.backbone.state_dict().items():
        other = fresh.backbone if name.startswith("fc.") else theirs
        assert torch.equal(value, other.state_dict()[name]), name
    assert torch.equal(started.heads.weight, fresh.heads.weight)


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_a_pickle_in_torchvisions_cache_is_not_run(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Hostile()}, cache)
    with pytest.raises(PipelineError, match=r"ImageNet weights of resnet18 are not readable"):
        start_encoder("imagenet", "resnet18", 8, seed=1)
    assert not (tmp_path / "owned").exists()


def test_imagenet_offline_says_what_to_do(cache, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(PipelineError, match=r"no route to host.*set pretext.start to none"):
        start_encoder("imagenet", "resnet18", 8, seed=1)


def test_imagenet_has_no_resnet10():
    with pytest.raises(PipelineError, match="no ImageNet weights for resnet10"):
        start_encoder("imagenet", "resnet10", 8, seed=1)
