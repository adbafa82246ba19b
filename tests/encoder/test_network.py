import pytest
import torch
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.encoder.network import Encoder, build_resnet


def test_backbone_is_torchvisions():
    ours, theirs = Encoder("resnet18", 16).eval(), models.resnet18()
    theirs.fc = torch.nn.Linear(512, 16)
    theirs.load_state_dict(ours.backbone.state_dict())
    x = torch.randn(2, 3, 64, 64)
    features, scores = ours(x)
    torch.testing.assert_close(features, theirs.eval()(x))
    assert scores.shape == (2, 5)


@pytest.mark.parametrize("name", ["resnet10", "resnet34", "resnext50_32x4d", "wide_resnet50_2"])
def test_other_resnets_by_name(name):
    with torch.device("meta"):
        width = build_resnet(name).fc.in_features
    assert width == (512 if name in ("resnet10", "resnet34") else 2048)


@pytest.mark.parametrize("name", ["resnet17", "vit_b_16", "BasicBlock", "", "../resnet18"])
def test_unknown_architecture_names_the_known_ones(name):
    with pytest.raises(PipelineError, match=r"pretext.architecture.*resnet10.*resnet50"):
        build_resnet(name)


def test_start_depends_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = Encoder("resnet10", 8, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)  # the global state is left alone
    torch.manual_seed(6)
    again, other = Encoder("resnet10", 8, seed=1), Encoder("resnet10", 8, seed=2)
    for name, value in again.state_dict().items():
        assert torch.equal(value, first.state_dict()[name])
    assert not torch.equal(first.heads.weight, other.heads.weight)
