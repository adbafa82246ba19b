import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.encoder.backbones import Architecture
from pipeline.encoder.inference import fused, resize
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing, crop_resize
from tests.small_encoder import small


def trained(architecture: Architecture) -> Encoder:
    """An encoder whose batch norms have statistics and weights of their own, as after training."""
    encoder = Encoder(architecture, seed=3, normalisation=((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)))
    generator = torch.Generator().manual_seed(0)
    for module in encoder.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.weight, 0.5),
                (module.bias, -0.5),
                (module.running_mean, -0.5),
                (module.running_var, 0.5),
            ):
                assert isinstance(values, torch.Tensor)
                values.data.uniform_(low, low + 1, generator=generator)
    return encoder.eval()


def pixels(n: int, size: int) -> torch.Tensor:
    return 255 * torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def norms(encoder: Encoder) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())


@pytest.mark.parametrize(
    "architecture",
    [
        small(12),
        small(levels="all", pooling="statistics"),
        *(
            Architecture(name, "last", "mean", 12)
            for name in ("resnet18", "resnet50", "resnext50_32x4d")
        ),
        Architecture("tf_efficientnet_lite0", "all"),
    ],
    ids=str,
)
@torch.inference_mode()
def test_computes_what_the_encoder_computes_without_its_norms(architecture):
    encoder, faces = trained(architecture), pixels(3, 40)
    features, scores = encoder(faces)
    quick = fused(encoder)
    assert norms(encoder) > 0 == norms(quick)
    assert float(features.std()) > 0.01
    for ours, theirs in zip(quick(faces), (features, scores), strict=True):
        assert ours.shape == theirs.shape and ours.dtype == torch.float32
        assert ours.numpy() == pytest.approx(theirs.numpy(), abs=5e-5 * float(theirs.abs().max()))


@torch.inference_mode()
def test_a_norm_that_is_not_applied_behind_its_neighbour_stays():
    class Before(nn.Module):  # the norm is named behind the convolution and applied before it
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(self.norm(x)))

    encoder, faces = Encoder(small(12), seed=3), pixels(2, 32)
    encoder.backbone.stem = nn.Sequential(Before(), encoder.backbone.stem)
    norm = encoder.backbone.stem[0].norm
    norm.running_mean.fill_(0.5)
    norm.weight.data.fill_(3.0)
    encoder.eval()
    quick = fused(encoder)
    assert norms(quick) == norms(encoder)
    torch.testing.assert_close(quick(faces), encoder(faces))


@torch.inference_mode()
def test_leaves_the_encoder_as_it_was():
    encoder, faces = trained(small(12)), pixels(2, 32)
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    model = fused(encoder)
    first = model(faces)[0]
    assert all(torch.equal(weight, before[name]) for name, weight in encoder.state_dict().items())
    for parameter in encoder.parameters():
        parameter.data.zero_()
    assert torch.equal(model(faces)[0], first) and first.any()


# --- resize


def picture(height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    )


@pytest.mark.parametrize("shape", [(61, 83), (20, 90), (200, 17)])
def test_antialiased_resize_is_pils(shape):
    pictures = picture(*shape)
    ours = resize(pictures, Preprocessing(32))
    assert ours.shape == (2, 3, 32, 32) and ours.dtype == torch.float32
    for i, channel in np.ndindex(2, 3):
        plane = pictures[i, ..., channel].numpy().astype(np.float32)  # float: PIL does not round it
        theirs = np.asarray(Image.fromarray(plane).resize((32, 32), Image.Resampling.BILINEAR))
        assert ours[i, channel].numpy() == pytest.approx(theirs, abs=0.01)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("shape", [(61, 83), (20, 90), (32, 32)])
def test_whole_pictures_are_resized_as_in_training(shape, antialias):
    pictures = picture(*shape)
    whole = torch.tensor([[0.0, 0, shape[1], shape[0]]] * 2)
    theirs = crop_resize(pictures, whole, 32, antialias=antialias)
    ours = resize(pictures, Preprocessing(32, antialias=antialias))
    assert ours.numpy() == pytest.approx(theirs.numpy(), abs=0.01)
