"""The authors' checkpoints: heads in our order, text side left out, nothing hostile is run."""

import argparse
import datetime
import zipfile
from pathlib import Path

import pytest
import torch
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.encoder.authors import read_pth, rename
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import start_encoder
from pipeline.encoder.network import Encoder


def authors_weights(dim=8):
    """A state dict as the authors' class writes it, leftovers of CLIP's text side included."""
    visual = models.resnet18()
    visual.fc = torch.nn.Linear(512, dim)
    weights = {f"model.visual.{name}": value for name, value in visual.state_dict().items()}
    for name in ("fc_iso", "fc_av", "fc_et", "fc_fl", "fc_face"):
        weights |= {f"{name}.weight": torch.randn(1, dim), f"{name}.bias": torch.randn(1)}
    return weights | {"model.logit_scale": torch.tensor(1.0)}


def test_heads_are_unswapped_and_exposure_turned():
    weights = authors_weights()
    encoder = Encoder(Architecture("resnet18", "last", "mean", 8)).eval()
    encoder.load_state_dict(rename(weights))
    features, scores = encoder(torch.randn(2, 3, 64, 64))

    def head(name):
        return (features @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])[:, 0]

    heads = [head("fc_iso"), head("fc_av"), -head("fc_fl"), head("fc_et"), head("fc_face")]
    torch.testing.assert_close(scores, torch.stack(heads, dim=1))
    torch.testing.assert_close(encoder.backbone.conv1.weight, weights["model.visual.conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc_joint.weight": torch.zeros(2)}, "1 unknown .fc_joint.weight"),
        ({"fc_face.weight": None}, "1 entries missing .fc_face.weight"),
    ],
)
def test_unknown_and_missing_entries_are_refused(change, message):
    weights = {k: value for k, value in (authors_weights() | change).items() if value is not None}
    with pytest.raises(PipelineError, match=message):
        rename(weights)


def test_training_starts_from_a_checkpoint_with_its_optimiser(tmp_path):
    path, weights = tmp_path / "ckpt.pth", authors_weights()
    optimiser = {"state": {}, "param_groups": [{"lr": 1e-5}]}
    torch.save({"epoch": 3, "model": weights, "optimizer": optimiser}, path)
    encoder = start_encoder(str(path), Architecture("resnet18", "last", "mean", 8), seed=1)
    assert torch.equal(encoder.backbone.fc.weight, weights["model.visual.fc.weight"])
    with pytest.raises(PipelineError, match="do not fit resnet34"):
        start_encoder(str(path), Architecture("resnet34", "last", "mean", 8), seed=1)


@pytest.mark.parametrize("place", ["model", "state_dict", "model_state_dict", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_options_of_a_script_and_prefixes_of_wrappers_are_understood(tmp_path, place, prefix):
    weights = authors_weights()
    wrapped = {f"{prefix}{name}": value for name, value in weights.items()}
    options = {"args": argparse.Namespace(lr=1e-5, device=torch.device("cpu")), "epoch": 3}
    torch.save(wrapped if place is None else {place: wrapped, **options}, tmp_path / "ckpt.pth")
    read = read_pth(tmp_path / "ckpt.pth")
    assert read.keys() == rename(weights).keys()
    assert torch.equal(read["backbone.conv1.weight"], weights["model.visual.conv1.weight"])


@pytest.mark.parametrize("new", [True, False])
def test_other_objects_are_refused_by_name_in_one_plain_line(tmp_path, new):
    path = tmp_path / "ckpt.pth"
    content = {"model": authors_weights(), "when": datetime.date(2020, 1, 1)}
    torch.save(content, path, _use_new_zipfile_serialization=new)
    with pytest.raises(PipelineError, match=r"object of datetime\.date, .*refused") as caught:
        read_pth(path)
    assert str(caught.value).isprintable()


def test_two_state_dicts_are_ambiguous(tmp_path):
    torch.save(dict.fromkeys(("model", "state_dict"), authors_weights()), tmp_path / "two.pth")
    with pytest.raises(PipelineError, match="under model and state_dict; save the one"):
        read_pth(tmp_path / "two.pth")


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_hostile_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Hostile()}, "hostile.pth")
    with pytest.raises(PipelineError, match=r"hostile\.pth.*refused"):
        read_pth(Path("hostile.pth"))
    assert not Path("owned").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"hello world", b"PK\x03\x04 half a zip"])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(PipelineError, match=r"broken\.pth: not a checkpoint"):
        read_pth(tmp_path / "broken.pth")


@pytest.mark.parametrize("content", [[1, 2], {"model": {"x": 3}}, torch.zeros(2)])
def test_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(PipelineError, match="expected a state dict"):
        read_pth(tmp_path / "other.pth")


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model.visual.fc.weight": torch.zeros(1).half().expand(2**40)},
            r"model\.visual\.fc\.weight: an expanded tensor",
        ),
        ({"fc_iso.weight": torch.zeros(1, 1).expand(1, 2**40)}, r"fc_iso\.weight: an expanded"),
        ({"fc_iso.bias": torch.zeros(1, dtype=torch.complex64)}, "complex64"),
        ({"fc_av.weight": torch.zeros(1, 8).to_sparse()}, "sparse"),
        ({"fc_av.weight": torch.tensor(1.0)}, r"fc_av\.weight has the shape \(\)"),
        ({"fc_av.bias": torch.zeros(2)}, r"fc_av\.bias has the shape \(2,\)"),
        ({7: torch.zeros(1)}, "not all texts"),
        ({"x": bytearray(9)}, r"builtins\.bytearray"),
    ],
)
def test_what_would_fill_the_memory_or_is_no_weight_is_refused(tmp_path, change, message):
    torch.save(authors_weights() | change, tmp_path / "a.pth")
    with pytest.raises(PipelineError, match=message):
        start_encoder(str(tmp_path / "a.pth"), Architecture("resnet18", feature_dim=8), seed=1)


@pytest.mark.parametrize("packed_name", ["", "data.pkl"])
def test_a_compressed_checkpoint_is_refused(tmp_path, packed_name):
    """All of it, or what is unpickled alone, in which `bytearray` then does not stand as such."""
    torch.save({"model": authors_weights() | {"x": torch.zeros(10**6)}}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w") as packed,
    ):
        for name in plain.namelist():
            kind = zipfile.ZIP_DEFLATED if name.endswith(packed_name) else zipfile.ZIP_STORED
            packed.writestr(name, plain.read(name), kind)
    with pytest.raises(PipelineError, match="could unpack to any size"):
        read_pth(tmp_path / "b.pth")
