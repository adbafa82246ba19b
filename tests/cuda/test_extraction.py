"""Features computed on a GPU against those of the CPU."""

import numpy as np
import pytest
from PIL import Image

from pipeline.base.schema import FeatureExtraction
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.extraction import features
from pipeline.extraction.features import View, extract
from tests.picture_world import listed, picture

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("largest", [0, features.PIXELS_ON_DEVICE])  # resized there, if no larger
@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("native", "all"),
        Architecture("resnet50", "last", "mean", 16),
        Architecture("tf_efficientnet_lite0", "all"),
    ],
    ids=str,
)
def test_a_gpu_agrees_with_the_cpu(tmp_path, monkeypatch, architecture, largest):
    monkeypatch.setattr(features, "PIXELS_ON_DEVICE", largest)
    names = [f"{i}_0.png" for i in range(9)]
    for i, name in enumerate(names):
        Image.fromarray(picture(i, 40 + 9 * i, 96)).save(tmp_path / name)
    encoder = Encoder(architecture, seed=1).eval()
    views = {"v": View(encoder, Preprocessing(64)), "other": View(encoder, Preprocessing(48))}
    sets = {"a": listed(tmp_path, names)}
    there, here = (
        extract(
            views,
            tmp_path,
            sets,
            FeatureExtraction(batch_size=4, device=device, precision="float32"),
        )
        for device in ("cuda", "cpu")
    )
    for view in views:
        for column in ("features", "heads"):
            found, expected = (getattr(side[view]["a"], column) for side in (there, here))
            np.testing.assert_allclose(found, expected, atol=1e-3)
