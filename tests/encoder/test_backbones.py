"""Networks by name against timm's and torchvision's own; the small one against its definition."""

from typing import Any

import pytest
import timm
import torch
from timm.models.resnet import BasicBlock, downsample_conv
from torch import nn
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.encoder.backbones import Architecture, Block, Native, build


def test_timms_resnet_has_torchvisions_names_and_computes_the_same():
    ours, theirs = (
        build(Architecture("resnet50", "last", "mean", 16)).eval(),
        models.resnet50().eval(),
    )
    theirs.fc = nn.Linear(2048, 16)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 64)
    means = ours.forward_features(x).mean(dim=(2, 3))
    torch.testing.assert_close(ours.get_classifier()(means), theirs(x))


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_all_levels_are_those_of_timms_own_reader(name):
    ours = build(Architecture(name, "all")).eval()
    theirs = timm.create_model(name, features_only=True).eval()
    own = {key.replace(".", "_"): value for key, value in ours.state_dict().items()}
    theirs.load_state_dict(
        {key: own[key.replace(".", "_")] for key in theirs.state_dict()}, strict=True
    )
    x = torch.randn(2, 3, 64, 64)
    found = ours.forward_intermediates(x, intermediates_only=True)
    assert [level["num_chs"] for level in ours.feature_info] == [m.shape[1] for m in found]
    for level, expected in zip(found, theirs(x), strict=True):
        torch.testing.assert_close(level, expected)
    unused = {key.replace(".", "_") for key in ours.state_dict()} - {
        key.replace(".", "_") for key in theirs.state_dict()
    }
    assert not unused, "a weight that no level needs would never get a gradient"


def test_native_keeps_the_resolution_of_its_first_level():
    network = Native((4, 8, 16), 2, classes=0).eval()
    levels = network.forward_intermediates(torch.randn(2, 3, 37, 40))
    assert [tuple(m.shape) for m in levels] == [(2, 4, 37, 40), (2, 8, 19, 20), (2, 16, 10, 10)]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert sum(c.kernel_size == (3, 3) for c in convolutions) == 1 + 3 * 2 * 2
    assert [c.kernel_size for c in convolutions].count((1, 1)) == 3 - 1  # of shortcuts


def test_native_level_by_level():
    """The definition, written out: stem, then act(norm(conv(act(norm(conv(x))))) + shortcut)."""
    network = Native((16, 24), 1, classes=0).eval()
    x = torch.randn(2, 3, 16, 16)
    levels: Any = network.levels
    stem: Any = network.stem
    first, second = levels[0][0], levels[1][0]
    norm = stem.bn
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]
    y = torch.relu((stem.conv(x) - norm.running_mean[:, None, None]) * scale)
    for block in (first, second):
        inner = torch.relu(block.bn1(block.conv1(y)))
        y = torch.relu(block.bn2(block.conv2(inner)) + block.downsample(y))
    torch.testing.assert_close(network.forward_features(x), y)


def test_a_block_is_timms():
    theirs = BasicBlock(4, 8, 2, downsample_conv(4, 8, 1, 2)).eval()
    ours = Block(4, 8, 2, shortcut=True, drop_path=None).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 15, 16)
    assert torch.equal(ours(x), theirs(x))
    channels_last: Any = {"memory_format": torch.channels_last}
    ours.to(**channels_last)  # in which oneDNN wrote a gradient beyond its memory
    for block, faces in ((ours, x.contiguous(**channels_last)), (theirs, x)):
        block(faces).square().sum().backward()
    found, expected = (dict(block.named_parameters()) for block in (ours, theirs))
    name = "downsample.0.weight"
    torch.testing.assert_close(found[name].grad, expected[name].grad)


@pytest.mark.parametrize("name", ["native", "resnet18", "tf_efficientnet_lite0"])
def test_stochastic_depth_drops_branches_in_training_alone(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(Architecture(name, "all", widths=(4, 8)), stochastic_depth=0.5)
        for module in network.modules():  # some begin with branches of weight 0
            if isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
        x = torch.randn(16, 3, 32, 32)
        outputs = []
        for training in (True, True, False, False):
            network.train(training)
            outputs.append(network.forward_intermediates(x, intermediates_only=True)[-1])
    assert not torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[2], outputs[3])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet17", "'resnet17' is not known.*near: resnet1"),
        ("", "'' is not known"),
        ("../resnet18", "is not known"),
        ("hf-hub:timm/resnet18.a1_in1k", "is not known"),  # would ask the network
        ("vit_small_patch16_224", "has no convolutional levels"),
        ("mobilenetv3_small_100", "has no convolutional levels"),  # a layer behind its mean
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(PipelineError, match=f"pretext.architecture.*{message}"):
        build(Architecture(name))


def test_a_network_without_stochastic_depth_says_so():
    with pytest.raises(
        PipelineError, match=r"pretext\.stochastic_depth: densenet121 does not know"
    ):
        build(Architecture("densenet121", "all"), stochastic_depth=0.1)
