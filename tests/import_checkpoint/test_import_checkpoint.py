"""Released checkpoints, made here in their shape with random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models, transforms

from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import load_encoder, read_metadata, start_encoder
from pipeline.extraction.features import View, extract
from pipeline.import_checkpoint.__main__ import main
from tests.picture_world import listed, picture

HEADS = ("fc_iso", "fc_av", "fc_et", "fc_fl", "fc_face")
CLIP = {"positional_embedding": (7, 4), "token_embedding.weight": (9, 4), "ln_final.weight": (4,)}
TEXT = {"transformer.embeddings.word_embeddings.weight": (9, 4), "text_projection": (4, 4)}
# As the authors' dataset has them (feature_vis_utils/dataset.py)
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def visual() -> torch.nn.Module:
    """torchvision's ResNet-50 with a feature layer, its norms as after training."""
    torch.manual_seed(5)
    network = models.resnet50()
    network.fc = torch.nn.Linear(2048, 768)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.3, 0.6)
            for values, low in ((module.running_mean, -0.1), (module.running_var, 0.5)):
                assert values is not None
                values.uniform_(low, low + 0.8)
    return network.eval()


def weights(visual, heads=HEADS, **others):
    """A state dict of that shape."""
    found = {f"model.visual.{name}": value for name, value in visual.state_dict().items()}
    for name in heads:
        found |= {f"{name}.weight": torch.randn(1, 768), f"{name}.bias": torch.randn(1)}
    return found | {f"model.{name}": torch.zeros(shape) for name, shape in others.items()}


def imported(content, *more):
    """Save a checkpoint, run the command on it; the encoder and what it says of itself."""
    optimiser = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-5}]}
    torch.save({"epoch": 75, "model": content, "optimizer": optimiser}, "released.pth")
    main(["released.pth", *more])
    return load_encoder(Path("released.safetensors"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_features_are_those_of_torchvision_on_the_authors_preprocessing(visual, tmp_path, capsys):
    view = View(*imported(weights(visual, **CLIP)))
    assert [line.split() for line in capsys.readouterr().out.splitlines()[3:]] == [
        ["model.visual", "320", "backbone"],
        *([head, "2", "heads"] for head in ("fc_iso", "fc_av", "fc_fl", "fc_et", "fc_face")),
        ["model.ln_final", "1", "ignored"],
        ["model.positional_embedding", "1", "ignored"],
        ["model.token_embedding", "1", "ignored"],
    ]
    see = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Resize((224, 224), antialias=False),
            transforms.Normalize(MEAN, STD),
        ]
    )
    pictures = [picture(1, 300, 260), picture(2, 150, 128)]
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(f"{number}.png")
    with torch.inference_mode():
        wanted = visual(torch.stack([see(Image.fromarray(pixels)) for pixels in pictures]))
    settings = FeatureExtraction(batch_size=2, device="cpu", precision="float32")
    faces = listed(tmp_path, ["0.png", "1.png"])
    found = extract({"": view}, tmp_path, {"set": faces}, settings)[""]["set"]
    assert found.features.shape == (2, 768) and np.std(found.features) > 0.01
    scale = float(wanted.abs().max())
    np.testing.assert_allclose(found.features, wanted.numpy(), rtol=0, atol=1e-5 * max(1, scale))


def test_training_starts_from_the_file_and_from_the_checkpoint_alike(visual):
    imported(weights(visual))
    ours, theirs = (
        start_encoder(f"released.{suffix}", Architecture("resnet50"), seed=1).state_dict()
        for suffix in ("safetensors", "pth")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_metadata(Path("released.safetensors"))["params"]["imported"]["heads"]


def test_exif_as_language_gives_the_network_and_random_heads(visual, capsys):
    content = weights(visual, heads=(), **CLIP, **TEXT) | {"sink_temp": torch.tensor(2.0)}
    encoder, _ = imported(content)
    lines = capsys.readouterr().out.splitlines()
    assert sum("heads with random weights" in line for line in lines) == 5
    ignored = {line.split()[0] for line in lines if line.endswith("ignored")}
    assert {"model.transformer", "model.text_projection", "sink_temp"} <= ignored
    assert torch.equal(encoder.backbone.fc.weight, visual.fc.weight)
    assert encoder.heads.weight.std() > 0
    assert not read_metadata(Path("released.safetensors"))["params"]["imported"]["heads"]


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.visual.fc.weight": None}, r"released\.pth: no matrix model\.visual\.fc\.weight"),
        ({"fc_face.bias": None}, r"released\.pth: .*1 entries missing \(fc_face\.bias\)"),
        ({"fc_iso.weight": torch.zeros(1, 3)}, r"released\.pth: fc_iso\.weight .*\(1, 768\)"),
        (  # together the rows of five heads
            {"fc_iso.weight": torch.zeros(2, 768), "fc_av.weight": torch.zeros(0, 768)},
            r"released\.pth: fc_iso\.weight .*\(2, 768\)",
        ),
        ({"fc_av.bias": torch.tensor(0.0)}, r"released\.pth: fc_av\.bias has the shape \(\)"),
        ({7: torch.zeros(1)}, r"released\.pth: .*not all texts"),
        (
            {"model.visual.fc.weight": torch.zeros(1, 1).expand(10**10, 2048)},
            r"released\.pth: model\.visual\.fc\.weight: an expanded tensor",
        ),
        (
            {"model.visual.conv1.weight": torch.zeros(64, 3, 7, 7, dtype=torch.complex64)},
            r"released\.pth: model\.visual\.conv1\.weight: .*complex64",
        ),
        (
            {"model.visual.conv1.weight": torch.zeros(64, 3, 7, 7).to_sparse()},
            r"released\.pth: model\.visual\.conv1\.weight: .*sparse",
        ),
        (
            {"model.visual.conv1.weight": torch.zeros(64, 3, 7, 7, device="meta")},
            r"released\.pth: model\.visual\.conv1\.weight: .*meta",
        ),
        ({"model.visual.fc.weight": torch.zeros(0, 2048)}, r"released\.pth: .* has 0 rows"),
        ({"model.visual.fc.weight": torch.zeros(65_537, 1)}, r"released\.pth: .* 65,537 rows"),
        ({"model.visual.conv1.weight": None}, r"released\.pth: weights do not fit resnet50"),
        ({"model.visual.fc.bias": torch.full((768,), torch.nan)}, "NaN or infinity"),
    ],
)
def test_what_is_no_such_checkpoint_is_refused(visual, change, message):
    content = weights(visual) | change
    with pytest.raises(PipelineError, match=message):
        imported({name: value for name, value in content.items() if value is not None})
    assert not Path("released.safetensors").exists()


@pytest.mark.parametrize("more", [[], ["--out", "other.pth"], ["--out", "kept.safetensors"]])
def test_no_file_is_overwritten_and_none_of_another_suffix_is_written(more):
    kept = ("released.safetensors", "kept.safetensors")
    for name in kept:
        Path(name).write_text("kept")
    with pytest.raises(PipelineError, match=r"exists already|end the name in \.safetensors"):
        main(["released.pth", *more])
    assert {path.name: path.read_text() for path in Path().iterdir()} == dict.fromkeys(kept, "kept")
