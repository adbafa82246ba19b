import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.encoder.inference import Inference, resize
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing, crop_resize, normalise

PREPROCESSING = Preprocessing(32, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))


def trained(architecture: str) -> Encoder:
    """An encoder whose batch norms have statistics and weights of their own, as after training."""
    encoder = Encoder(architecture, 12, seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in (
                (module.weight, 0.5),
                (module.bias, -0.5),
                (module.running_mean, -0.5),
                (module.running_var, 0.5),
            ):
                assert isinstance(values, torch.Tensor)
                values.data.uniform_(low, low + 1, generator=generator)
    return encoder


def pixels(n: int, size: int) -> torch.Tensor:
    return 255 * torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", ["resnet10", "resnet18", "resnet50", "resnext50_32x4d"])
@pytest.mark.parametrize("one_operation", [True, False])
@torch.inference_mode()
def test_computes_what_the_encoder_computes(architecture, one_operation, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: one_operation)
    encoder, faces = trained(architecture), pixels(3, 40)
    features, scores = encoder(normalise(faces, PREPROCESSING.mean, PREPROCESSING.std))
    found = Inference(encoder, PREPROCESSING).eval()(faces)
    assert float(features.std()) > 0.01
    for ours, theirs in zip(found, (features, scores), strict=True):
        assert ours.shape == theirs.shape and ours.dtype == torch.float32
        assert ours.numpy() == pytest.approx(theirs.numpy(), abs=2e-5 * float(theirs.abs().max()))


@torch.inference_mode()
def test_leaves_the_encoder_and_the_pixels_as_they_were():
    encoder, faces = trained("resnet10"), pixels(2, 32)
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}, faces.clone()
    model = Inference(encoder, PREPROCESSING).eval()
    first = model(faces)[0]
    assert all(
        torch.equal(weight, before[0][name]) for name, weight in encoder.state_dict().items()
    )
    assert torch.equal(faces, before[1])
    for parameter in encoder.parameters():
        parameter.data.zero_()
    assert torch.equal(model(faces)[0], first) and first.any()


@torch.inference_mode()
def test_bfloat16_is_computed_in_bfloat16():
    model, faces = Inference(trained("resnet10"), PREPROCESSING).eval(), pixels(2, 32)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(faces)[0]
    high = model(faces)[0]
    assert low.dtype == torch.bfloat16 and high.dtype == torch.float32
    assert low.float().numpy() == pytest.approx(high.numpy(), abs=0.05 * float(high.abs().max()))


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
    whole = np.tile([0.0, 0.0, shape[1], shape[0]], (2, 1))
    theirs = crop_resize(pictures, whole, 32, antialias=antialias)
    ours = resize(pictures, Preprocessing(32, antialias=antialias))
    assert ours.numpy() == pytest.approx(theirs.numpy(), abs=0.01)
