import pytest
import torch
from torchvision import models

from pipeline.base.errors import PipelineError
from pipeline.common.names import HEADS, TAGS
from pipeline.encoder import network as module
from pipeline.encoder.network import Encoder, build_resnet, from_authors, normalise


def authors_weights(dim=8):
    """A state dict as the authors' class writes it, leftovers of CLIP's text side included."""
    visual = models.resnet18()
    visual.fc = torch.nn.Linear(512, dim)
    weights = {f"model.visual.{name}": value for name, value in visual.state_dict().items()}
    for name in ("fc_iso", "fc_av", "fc_et", "fc_fl", "fc_face"):
        weights |= {f"{name}.weight": torch.randn(1, dim), f"{name}.bias": torch.randn(1)}
    return weights | {
        "model.logit_scale": torch.tensor(1.0),
        "model.ln_final.weight": torch.ones(4),
    }


def test_heads_are_the_tags_in_order_and_the_manipulation():
    assert (
        HEADS
        == (*TAGS, "manipulation")
        == ("iso", "f_number", "exposure_time_s", "focal_length_mm", "manipulation")
    )


@pytest.mark.parametrize("architecture", ["resnet10", "resnet18"])
def test_shapes(architecture):
    features, scores = Encoder(architecture, 24)(torch.randn(2, 3, 48, 48))
    assert features.shape == (2, 24) and scores.shape == (2, 5)


def test_backbone_is_torchvisions():
    ours = Encoder("resnet18", 16).eval()
    theirs = models.resnet18()
    theirs.fc = torch.nn.Linear(512, 16)
    theirs.load_state_dict(ours.backbone.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x)[0], theirs.eval()(x))


@pytest.mark.parametrize("name", ["resnet34", "resnext50_32x4d", "wide_resnet50_2"])
def test_other_resnets_by_name(name):
    with torch.device("meta"):
        assert build_resnet(name).fc.in_features == (512 if name == "resnet34" else 2048)


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
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert not torch.equal(first.heads.weight, other.heads.weight)


def test_normalise_is_clips():
    from torchvision.transforms import Normalize

    pixels = torch.randint(0, 256, (2, 3, 4, 4)).float()
    expected = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))(
        pixels / 255
    )
    torch.testing.assert_close(normalise(pixels), expected)


def test_authors_heads_are_unswapped_and_exposure_turned():
    weights = authors_weights()
    encoder = Encoder("resnet18", 8).eval()
    encoder.load_state_dict(from_authors(weights))
    x = torch.randn(2, 3, 64, 64)
    features, scores = encoder(x)

    def head(name):
        return (features @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])[:, 0]

    for column, expected in enumerate(
        [head("fc_iso"), head("fc_av"), -head("fc_fl"), head("fc_et"), head("fc_face")]
    ):
        torch.testing.assert_close(scores[:, column], expected)
    torch.testing.assert_close(encoder.backbone.conv1.weight, weights["model.visual.conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc_joint.weight": torch.zeros(2)}, "1 unknown .fc_joint.weight"),
        ({"fc_face.weight": None}, "1 entries missing .fc_face.weight"),
    ],
)
def test_authors_unknown_and_missing_entries_are_refused(change, message):
    weights = {
        name: value for name, value in (authors_weights() | change).items() if value is not None
    }
    with pytest.raises(PipelineError, match=message):
        from_authors(weights)


def test_authors_leftovers_are_only_clips_text_side():
    assert all(
        name.startswith("model.") and "visual" not in name for name in module.AUTHORS_LEFTOVERS
    )
