"""Crop, resize and encode as one graph, compiled once; what is said where nothing compiles."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.base.errors import PipelineError
from pipeline.encoder.preprocessing import crop_resize
from pipeline.pretext import model
from pipeline.pretext.model import PretextModel, check_compiler, compiled
from tests.pretext_world import bright_faces, pretext
from tests.small_encoder import small_encoder

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def batch(number=0):
    """Eight pictures, every second one manipulated, and boxes that no other batch has."""
    faces = 8 * number + np.arange(8)
    loaded = bright_faces(24).load(faces, np.where(faces % 2, -1, 4 * faces))
    moved = torch.rand(8, 4, generator=torch.Generator().manual_seed(number)) * 3
    return loaded.pixels, loaded.boxes + moved


class Seen(nn.Module):
    """In place of an encoder: returns its inputs."""

    def forward(self, faces):
        return None, faces


@pytest.mark.parametrize("changes", [{}, {"antialias": False}, {"precision": "bfloat16"}])
def test_the_encoder_gets_crops_in_float32_whatever_it_computes_in(changes):
    pictures, boxes = batch()
    expected = crop_resize(pictures, boxes, 32, antialias=changes.get("antialias", True))
    found = PretextModel(Seen(), pretext(**changes))(pictures, boxes)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_crop_comes_from_the_box():
    faces = bright_faces(2)
    faces.boxes[:] = [0, 26, 48, 48]  # within the lower half, which the manipulation leaves alone
    shown = faces.load(np.array([0, 0]), np.array([-1, 0]))
    first, second = PretextModel(Seen(), pretext())(shown.pixels, shown.boxes)
    assert first.shape == (3, 32, 32)
    torch.testing.assert_close(first, second)


def test_bfloat16_is_for_the_backbone_and_not_for_feature_and_heads():
    seen, encoder = [], small_encoder(8).eval()
    for layer in (encoder.backbone.stem.conv, encoder.backbone.fc, encoder.heads):
        layer.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    with torch.no_grad():
        assert PretextModel(encoder, pretext(precision="bfloat16"))(*batch()).dtype == torch.float32
        PretextModel(encoder, pretext())(*batch())
    assert seen == [torch.bfloat16, torch.float32, torch.float32, *[torch.float32] * 3]


# --- compiled


@pytest.mark.parametrize(
    "changes", [{}, {"antialias": False}, {"precision": "bfloat16"}], ids=["", "plain", "bfloat16"]
)
def test_all_is_one_graph_compiled_once_for_all_batches(changes):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    encoder = small_encoder(8, "all", "statistics", dropout=0.1, stochastic_depth=0.1).train()
    whole = PretextModel(encoder, pretext(**changes))
    torch.compiler.reset()
    quick = torch.compile(whole, dynamic=False, fullgraph=True, backend=backend)
    for number in range(3):
        quick(*batch(number)).sum().backward()
    assert len(graphs) == 1
    called = {str(node.target) for node in graphs[0].graph.nodes}
    assert any("bmm" in name for name in called) and any("conv" in name for name in called)


@pytest.mark.slow
@pytest.mark.parametrize("antialias", [True, False])
def test_compiled_crops_are_those_of_the_formula(antialias):
    """Which is PIL's and torch's own, to 2e-3: tests/encoder/test_preprocessing.py."""
    changes = {"antialias": antialias, "compile": True}
    whole = PretextModel(Seen(), pretext(**changes))
    quick = compiled(whole, pretext(**changes))
    for number in range(3):
        torch.testing.assert_close(quick(*batch(number)), whole(*batch(number)), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_a_compiled_model_has_the_gradients_of_the_plain_one():
    """On noise: of flat pictures gradients are rounding, divided by next to nothing."""
    encoder = small_encoder(8, "all", "statistics").train()
    whole = PretextModel(encoder, pretext(compile=True))
    noise = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (8, 48, 48, 3), dtype=torch.uint8, generator=noise)
    found = []
    for each in (whole, compiled(whole, pretext(compile=True))):
        encoder.zero_grad()
        each(pictures, batch()[1]).square().sum().backward()
        found.append([weight.grad for weight in encoder.parameters()])
    for plain, quick in zip(*found, strict=True):
        assert (quick - plain).norm() <= 1e-3 * plain.norm()


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"compile": True}, {"deterministic": True, "triton.cudagraphs": False}),
        (
            {"compile": "cuda_graphs", "deterministic": False},
            {"deterministic": False, "triton.cudagraphs": True},
        ),
    ],
)
def test_options_are_those_of_the_parameters(monkeypatch, changes, options):
    """Names that PyTorch knows: it refuses others."""
    seen, real = [], torch.compile

    def noted(given, **how):
        seen.append(how)
        return real(given, **how)

    monkeypatch.setattr(torch, "compile", noted)
    whole = PretextModel(Seen(), pretext())
    assert compiled(whole, pretext()) is whole and not seen
    assert compiled(whole, pretext(**changes)) is not whole
    assert seen == [{"dynamic": False, "options": options}]


# --- where it cannot be had


def test_without_a_compiler_it_is_said_in_one_sentence():
    from torch._inductor import config

    model._try_to_compile.cache_clear()
    torch.compiler.reset()
    message = r"^pretext\.compile: PyTorch cannot compile here \(.*No working C\+\+ compiler.*false"
    absent, expected = (None, "no-such-compiler"), pytest.raises(PipelineError, match=message)
    with config.patch("cpp.cxx", absent), expected as error:
        check_compiler(pretext(compile=True), CPU)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_nothing_is_tried_where_nothing_is_to_be_compiled(monkeypatch):
    monkeypatch.setattr(model, "_try_to_compile", lambda device: pytest.fail("tried"))
    check_compiler(pretext(), CPU)


@pytest.mark.parametrize(("device", "processes"), [(CPU, "1"), (GPU, "2")])
def test_cuda_graphs_are_for_one_process_with_a_gpu(monkeypatch, device, processes):
    tried: list[torch.device] = []
    monkeypatch.setattr(model, "_try_to_compile", tried.append)
    settings = pretext(compile="cuda_graphs")
    check_compiler(settings, GPU)
    assert tried == [GPU]
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(PipelineError, match=r"pretext\.compile: cuda_graphs is for one process"):
        check_compiler(settings, device)
