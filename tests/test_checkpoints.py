import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.encoder import checkpoints
from pipeline.encoder.checkpoints import load_encoder, save_encoder, start_encoder
from pipeline.encoder.network import Encoder

META = {
    "input_size": 64,
    "mean": (0.4, 0.5, 0.6),
    "tags": ["iso"],
    "params": {"seed": 1},
    "antialias": True,
}


def authors_file(path, dim=8, **extra):
    visual = models.resnet18()
    visual.fc = torch.nn.Linear(512, dim)
    weights = {f"model.visual.{name}": value for name, value in visual.state_dict().items()}
    for name in ("fc_iso", "fc_av", "fc_et", "fc_fl", "fc_face"):
        weights |= {f"{name}.weight": torch.randn(1, dim), f"{name}.bias": torch.randn(1)}
    torch.save(
        {
            "epoch": 3,
            "model": weights | extra,
            "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5}]},
        },
        path,
    )
    return weights


def test_round_trip(tmp_path):
    encoder = Encoder("resnet10", 8, seed=3).eval()
    save_encoder(tmp_path / "e.safetensors", encoder, META)
    loaded, meta = load_encoder(tmp_path / "e.safetensors")
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(x)[0], encoder(x)[0]) and torch.equal(loaded(x)[1], encoder(x)[1])
    assert not loaded.training
    assert meta["architecture"] == "resnet10" and meta["feature_dim"] == 8
    assert {key: meta[key] for key in META} == json.loads(json.dumps(META))


def test_bytes_depend_on_weights_and_meta_alone(tmp_path):
    for name, meta in (
        ("a", META),
        ("b", dict(reversed(META.items()))),
        ("c", META | {"input_size": 65}),
    ):
        save_encoder(tmp_path / name, Encoder("resnet10", 8, seed=3), meta)
    channels_last: Any = Encoder("resnet10", 8, seed=3)
    channels_last.to(memory_format=torch.channels_last)
    save_encoder(tmp_path / "d", channels_last, META)
    a, b, c, d = ((tmp_path / name).read_bytes() for name in "abcd")
    assert a == b == d != c


def test_header_is_readable_without_torch(tmp_path):
    save_encoder(tmp_path / "e", Encoder("resnet10", 8), META)
    content = (tmp_path / "e").read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    assert json.loads(header["__metadata__"]["encoder"])["input_size"] == 64


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "e.safetensors").write_bytes(content)
    with pytest.raises(PipelineError, match=r"e\.safetensors: not a readable safetensors"):
        load_encoder(tmp_path / "e.safetensors")


def test_absent_and_foreign_files_are_named(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(PipelineError, match=r"absent\.safetensors"):
        load_encoder(tmp_path / "absent.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(PipelineError, match="no encoder metadata"):
        load_encoder(tmp_path / "foreign")
    save_file(
        {"x": torch.zeros(1)},
        tmp_path / "old",
        metadata={"encoder": json.dumps({"format": "encoder-0"})},
    )
    with pytest.raises(PipelineError, match="encoder-0"):
        load_encoder(tmp_path / "old")


def test_start_none_is_keyed_by_the_seed():
    a, b = start_encoder("none", "resnet10", 8, seed=1), Encoder("resnet10", 8, seed=1)
    assert torch.equal(a.heads.weight, b.heads.weight)


def test_start_from_ours(tmp_path):
    path = tmp_path / "e.safetensors"
    saved = Encoder("resnet10", 8, seed=9)
    save_encoder(path, saved, META)
    assert torch.equal(
        start_encoder(str(path), "resnet10", 8, seed=1).heads.weight, saved.heads.weight
    )
    with pytest.raises(
        PipelineError,
        match=r"do not fit resnet10 with 16 features.*heads.weight.*\(5, 8\) instead of \(5, 16\)",
    ):
        start_encoder(str(path), "resnet10", 16, seed=1)
    with pytest.raises(PipelineError, match=r"do not fit resnet18.*missing"):
        start_encoder(str(path), "resnet18", 8, seed=1)


def test_start_from_the_authors(tmp_path):
    path = tmp_path / "ckpt.pth"
    weights = authors_file(path)
    encoder = start_encoder(str(path), "resnet18", 8, seed=1)
    assert torch.equal(encoder.backbone.fc.weight, weights["model.visual.fc.weight"])
    assert torch.equal(
        encoder.heads.weight[3], weights["fc_et.weight"][0]
    )  # theirs is named et and ranks the focal length
    with pytest.raises(PipelineError, match="do not fit resnet10"):
        start_encoder(str(path), "resnet10", 8, seed=1)


def test_authors_checkpoint_with_unknown_entries_is_refused(tmp_path):
    authors_file(tmp_path / "ckpt.pth", **{"model.visual.extra": torch.zeros(1)})
    with pytest.raises(PipelineError, match=r"1 unknown .backbone\.extra"):
        start_encoder(str(tmp_path / "ckpt.pth"), "resnet18", 8, seed=1)


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_hostile_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Hostile()}, "hostile.pth")
    with pytest.raises(PipelineError, match=r"hostile\.pth.*refused"):
        start_encoder("hostile.pth", "resnet18", 8, seed=1)
    assert not Path("owned").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_broken_pth_is_named(tmp_path, content):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(PipelineError, match=r"broken\.pth"):
        start_encoder(str(tmp_path / "broken.pth"), "resnet18", 8, seed=1)


@pytest.mark.parametrize("content", [[1, 2], {"model": {"x": 3}}, torch.zeros(2)])
def test_pth_that_is_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(PipelineError, match="expected a state dict"):
        start_encoder(str(tmp_path / "other.pth"), "resnet18", 8, seed=1)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("absent.pth", "does not exist"),
        ("absent.safetensors", "does not exist"),
        ("nothing", "allowed are none, imagenet"),
    ],
)
def test_wrong_start_says_what_is_allowed(start, message):
    with pytest.raises(PipelineError, match=rf"pretext\.start: .*{message}"):
        start_encoder(start, "resnet10", 8, seed=1)


class Weights:
    """Stands for torchvision's weights, with or without a network."""

    def __init__(self, error=None):
        self.error, self.DEFAULT = error, self
        self.state = models.resnet18().state_dict()

    def get_state_dict(self, **_):
        if self.error:
            raise self.error
        return self.state


def test_imagenet_fills_all_but_the_feature_layer_and_heads(monkeypatch):
    weights = Weights()
    monkeypatch.setattr(models, "get_model_weights", lambda name: weights)
    encoder, fresh = (
        start_encoder("imagenet", "resnet18", 8, seed=1),
        Encoder("resnet18", 8, seed=1),
    )
    assert torch.equal(encoder.backbone.conv1.weight, weights.state["conv1.weight"])
    assert torch.equal(encoder.backbone.layer4[1].bn2.weight, weights.state["layer4.1.bn2.weight"])
    assert torch.equal(encoder.backbone.fc.weight, fresh.backbone.fc.weight)


def test_imagenet_offline_says_what_to_do(monkeypatch):
    monkeypatch.setattr(
        models, "get_model_weights", lambda name: Weights(OSError("no route to host"))
    )
    with pytest.raises(
        PipelineError, match=r"cannot be downloaded .no route to host.*set pretext.start to none"
    ):
        start_encoder("imagenet", "resnet18", 8, seed=1)


def test_imagenet_has_no_resnet10():
    with pytest.raises(PipelineError, match="no ImageNet weights for resnet10"):
        start_encoder("imagenet", "resnet10", 8, seed=1)


def test_nothing_is_left_half_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_encoder(tmp_path / "e", Encoder("resnet10", 8), {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == [] and checkpoints.FORMAT == "encoder-1"


def test_a_text_file_named_pth_is_refused(tmp_path):
    (tmp_path / "notes.pth").write_text("hello world")
    with pytest.raises(PipelineError, match="not a checkpoint"):
        checkpoints.start_encoder(str(tmp_path / "notes.pth"), "resnet18", 8, seed=1)
