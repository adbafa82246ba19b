"""Training on a GPU: it learns, repeats and resumes to the bit, and waits for no single batch."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.common.process_group import ProcessGroup
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from pipeline.pretext import training
from pipeline.pretext.batches import validation_plan
from pipeline.pretext.checkpoint import CheckpointFile
from pipeline.pretext.faces import Batch
from pipeline.pretext.model import PretextModel
from pipeline.pretext.training import Run, score, train
from tests.pretext_world import bright_faces, pretext, same, weights_of

pytestmark = pytest.mark.cuda
RESNET, NATIVE = Architecture("resnet18", "last", "mean", 8), Architecture("native", "all")
FACES, VALIDATION = bright_faces(64), bright_faces(20, "v")
DRAWN = {"augmentation": {"flip": True, "crop": 0.75, "histories": 0.5}}
CYCLE = {"optimiser": "adamw", "schedule": "one_cycle", "warmup": 0.2}


def trained(encoder=None, **changes):
    """An encoder trained on the GPU, and its result."""
    encoder = encoder or Encoder(RESNET, seed=1)
    settings = pretext(**{"device": "cuda", "epochs": 3, **changes})
    result = train(encoder, FACES, VALIDATION, settings, seed=1)
    assert result is not None
    return encoder, result


def learns(result):
    losses = [row["train_loss_total"] for row in result.history]
    return losses[-1] < losses[0] and result.metrics["ranking_accuracy"]["mean"] > 0.9


@pytest.mark.parametrize("architecture", [RESNET, NATIVE], ids=str)
@pytest.mark.parametrize("changes", [{}, CYCLE, {"tf32": True}, {"deterministic": False}])
def test_it_learns(architecture, changes):
    encoder, result = trained(Encoder(architecture, seed=1), **changes)
    assert learns(result)
    assert all(not w.is_cuda and w.isfinite().all() for w in weights_of(encoder))


@pytest.mark.parametrize("changes", [{}, {**CYCLE, **DRAWN}, {"precision": "bfloat16"}])
def test_it_is_the_same_twice(changes):
    (one, first), (two, second) = (trained(**changes) for _ in range(2))
    assert same(weights_of(one), weights_of(two))
    assert (first.history, first.metrics) == (second.history, second.metrics)


def dropping():
    """An encoder that drops out a third of the feature before its heads, and branches."""
    return Encoder(RESNET, seed=1, dropout=1 / 3, stochastic_depth=0.1)


@pytest.mark.parametrize("changes", [{}, {**CYCLE, **DRAWN}])
def test_a_run_ended_anywhere_resumes_to_the_same_bits(tmp_path, monkeypatch, changes):
    monkeypatch.setitem(training.READ_EVERY, "cuda", 3)
    state = torch.cuda.get_rng_state()
    straight, expected = trained(dropping(), **changes)
    assert torch.equal(torch.cuda.get_rng_state(), state)  # although dropout draws there
    settings = pretext(**{"device": "cuda", "epochs": 3, **changes})
    file, result, ended, encoder = CheckpointFile(tmp_path / "c", "run"), None, 0, dropping()
    while not result:
        looks, encoder = iter([False] * (3 + 2 * ended)), dropping()
        how: Any = {"checkpoint": file, "asked_to_end": lambda looks=looks: next(looks, True)}
        result = train(encoder, FACES, VALIDATION, settings, seed=1, **how)
        ended += 1
        assert ended < 20
    assert ended > 2 and same(weights_of(straight), weights_of(encoder))
    assert (result.history, result.metrics) == (expected.history, expected.metrics)


def test_bfloat16_learns_and_weights_stay_float32():
    encoder, result = trained(precision="bfloat16")
    assert learns(result)
    assert {w.dtype for w in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize("how", [True, "cuda_graphs"])
def test_compiled_learns_as_it_does_uncompiled_and_is_the_same_twice(how):
    """Losses of many steps are kept, until they are read: no replayed graph may overwrite them."""
    _, plain = trained(epochs=2)
    (one, first), (two, second) = (trained(epochs=2, compile=how) for _ in range(2))
    losses = [[row["train_loss_total"] for row in result.history] for result in (plain, first)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert same(weights_of(one), weights_of(two)) and first.history == second.history


def test_cuda_graphs_drop_out_anew_in_every_step(monkeypatch):
    """By the seed of the step, which replayed graphs must follow: otherwise the same losses as
    without them were a matter of luck.
    """
    (_, plain), (_, graphs) = (
        trained(dropping(), epochs=2, compile=how) for how in (True, "cuda_graphs")
    )
    losses = [[row["train_loss_total"] for row in result.history] for result in (plain, graphs)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


# --- validation


def scores_on(name, encoder, **changes):
    device = torch.device(name, 0) if name == "cuda" else torch.device(name)
    settings, group = pretext(device=name, **changes), ProcessGroup()
    encoder.to(device).to(memory_format=torch.channels_last)
    model = PretextModel(encoder, settings)
    run = Run(model, model, settings, 1, device, group, None, lambda: False)
    return score(run, VALIDATION, validation_plan(VALIDATION))


@pytest.mark.parametrize("batch_size", [8, 33, 256])
def test_streamed_validation_scores_as_the_cpu_does(batch_size):
    encoder = Encoder(RESNET, seed=1)
    with training.arithmetic():
        here = scores_on("cpu", encoder, batch_size=batch_size)
        there = scores_on("cuda", encoder, batch_size=batch_size)
    assert there.shape == (100, 5)
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_no_batch_is_waited_for(monkeypatch):
    """PyTorch itself refuses what waits, while a batch is sent, a step computed, or scores."""
    unpinned: list[torch.Tensor] = []

    def without_waiting(function):
        def call(*given, **named):
            before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("error")
            try:
                return function(*given, **named)
            finally:
                torch.cuda.set_sync_debug_mode(before)

        return call

    def to(batch, device):
        unpinned.extend(part for part in vars(batch).values() if not part.is_pinned())
        return send(batch, device)

    trained(epochs=1)  # what is set up once may wait
    send = without_waiting(Batch.to)
    monkeypatch.setattr(Batch, "to", to)
    for where, name in ((training, "step"), (PretextModel, "forward")):
        monkeypatch.setattr(where, name, without_waiting(getattr(where, name)))
    _, result = trained(epochs=2, batch_size=4)
    assert len(result.history) == 2 and not unpinned
