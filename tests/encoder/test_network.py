"""The encoder's feature and heads against their definitions, its normalisation, and its start."""

from typing import Any

import pytest
import torch
from torchvision.transforms import Normalize

from pipeline.encoder.network import CLIP_MEAN, CLIP_STD
from tests.small_encoder import small_encoder


def faces(n=5):
    return 255 * torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def levels(encoder, pixels):
    """The maps of the backbone, of faces normalised by torchvision."""
    normalised = Normalize(CLIP_MEAN, CLIP_STD)(pixels / 255)
    return encoder.backbone.forward_intermediates(normalised)


@torch.no_grad()
def test_the_papers_feature_is_a_linear_layer_on_the_mean_of_the_last_level():
    encoder = small_encoder(8).eval()
    features, scores = encoder(faces())
    last = levels(encoder, faces())[-1]
    expected = torch.stack([encoder.backbone.fc(face.flatten(1).mean(dim=1)) for face in last])
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(scores, encoder.heads(expected))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "statistics"])
@torch.no_grad()
def test_all_levels_are_channel_statistics_on_one_scale(pooling, training):
    encoder: Any = small_encoder(levels="all", pooling=pooling).train(training)
    encoder.scale.running_mean.uniform_(0, 1)
    encoder.scale.running_var.uniform_(1, 2)
    shift, spread = encoder.scale.running_mean.clone(), encoder.scale.running_var.clone()
    features, scores = encoder(faces())
    pooled = []
    for level in levels(encoder, faces()):
        pooled.append(level.mean(dim=(2, 3)))
        if pooling == "statistics":
            pooled.append(level.flatten(2).std(dim=2, correction=0))
    whole = torch.cat(pooled, dim=1)
    if training:
        shift, spread = whole.mean(dim=0), whole.var(dim=0, correction=0)
    scaled = (whole - shift) / (spread + encoder.scale.eps).sqrt()
    assert encoder.feature_dim == len(pooled) // 3 * (8 + 8 + 16) == features.shape[1]
    close: Any = {"rtol": 1e-3, "atol": 2e-3}  # a silent channel's deviation is not quite 0
    torch.testing.assert_close(features, scaled, **close)
    torch.testing.assert_close(scores, encoder.heads(scaled), **close)


def test_a_silent_channel_has_a_gradient():
    encoder: Any = small_encoder(levels="all", pooling="statistics")
    torch.nn.init.constant_(encoder.backbone.stem.bn.bias, -9)  # behind it nothing passes
    encoder(faces())[1].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("kind", ["last", "all"])
@torch.no_grad()
def test_features_and_heads_are_float32_whatever_the_backbone_computes_in(kind):
    encoder = small_encoder(levels=kind, pooling="statistics").eval()
    with torch.autocast("cpu", torch.bfloat16):
        low, scores = encoder(faces())
    assert low.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(scores, encoder.heads(low))
    high = encoder(faces())[0]
    assert not torch.equal(low, high)
    torch.testing.assert_close(low, high, rtol=0, atol=0.05 * float(high.abs().max()))


@torch.no_grad()
def test_dropout_stands_before_the_heads_and_acts_in_training_alone():
    encoder = small_encoder(dropout=0.5)
    with torch.random.fork_rng():
        (feature, first), (again, second) = encoder(faces()), encoder(faces())
    torch.testing.assert_close(feature, again)
    assert not torch.equal(first, second)
    feature, scores = encoder.eval()(faces())
    torch.testing.assert_close(scores, encoder.heads(feature))


def test_start_depends_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = small_encoder(8, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)  # the global state is left alone
    torch.manual_seed(6)
    again, other = small_encoder(8, seed=1), small_encoder(8, seed=2)
    for name, value in again.state_dict().items():
        assert torch.equal(value, first.state_dict()[name])
    assert not torch.equal(first.heads.weight, other.heads.weight)
