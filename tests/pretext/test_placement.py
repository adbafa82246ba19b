"""Training, validation, saving and resuming on a device that refuses tensors left on the CPU, and
how often each waits for it. With a real one: tests/cuda.
"""

from typing import Any

import pytest
import torch

from pipeline.common.process_group import ProcessGroup
from pipeline.pretext import training
from pipeline.pretext.batches import batch_slices, validation_plan
from pipeline.pretext.checkpoint import CheckpointFile
from pipeline.pretext.model import PretextModel
from pipeline.pretext.optimisation import optimiser
from pipeline.pretext.training import Run, score, train
from tests.elsewhere import META, elsewhere
from tests.pretext_world import bright_faces, pretext
from tests.small_encoder import small_encoder

FACES, VALIDATION = bright_faces(12), bright_faces(3, "v")
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "adamw, one cycle": {"optimiser": "adamw", "schedule": "one_cycle", "warmup": 0.3},
    "augmented": {"augmentation": {"flip": True, "crop": 0.75, "histories": 0.5}},
    "without antialiasing": {"antialias": False},
    "in pairs": {"photograph_probability": "paired"},
}


@pytest.fixture
def device(monkeypatch):
    """The device, on which the optimiser is not fused and losses are read every second step."""

    def unfused(encoder, settings):
        found = optimiser(encoder, settings)
        for group in found.param_groups:
            group["fused"] = False
        return found

    monkeypatch.setattr(training, "optimiser", unfused)
    monkeypatch.setitem(training.READ_EVERY, "meta", 2)
    with elsewhere(monkeypatch, training) as device:
        yield device


@pytest.mark.parametrize(
    ("way", "batch_size"), [("plain", 4), *((way, 6) for way in WAYS), ("plain", 64)]
)
def test_training_puts_everything_on_the_device_and_seldom_waits(device, way, batch_size):
    settings = pretext(batch_size=batch_size, **WAYS[way])
    encoder = small_encoder(8)
    assert train(encoder, FACES, VALIDATION, settings, seed=1) is not None
    steps, validation = (len(batch_slices(n, batch_size)) for n in (12, 15))
    losses = [(min(2, steps - i), 5) for i in range(0, steps, 2)]
    # Whether each weight is finite, the scores; then the trained weights.
    expected = [*losses, (len(encoder.state_dict()),), (15, 5)]
    assert device.reads[: len(expected)] == expected
    assert (15, 5) not in device.reads[len(expected) :]
    assert device.pinned == 4 * (steps + validation) and device.operations > 100


@pytest.mark.parametrize("batch_size", [4, 7, 99])
def test_validation_waits_once_however_many_batches(device, batch_size):
    settings = pretext(batch_size=batch_size)
    model = PretextModel(small_encoder(8).to(META), settings)
    run = Run(model, model, settings, 1, META, ProcessGroup(), None, lambda: False)
    scores = score(run, VALIDATION, validation_plan(VALIDATION))
    assert scores is not None and scores.shape == (15, 5)
    assert device.reads == [(15, 5)] and device.pinned == 4 * len(batch_slices(15, batch_size))


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # of no content
@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_a_checkpoint_is_saved_from_the_device_and_restored_to_it(device, tmp_path, kind):
    settings = pretext(optimiser=kind, batch_size=4)
    file, started = CheckpointFile(tmp_path / "checkpoint", "run"), small_encoder(8)
    how: dict[str, Any] = {"seed": 1, "checkpoint": file}
    assert train(started, FACES, VALIDATION, settings, **how, asked_to_end=lambda: True) is None
    before = len(device.reads)
    assert train(small_encoder(8), FACES, VALIDATION, settings, **how) is not None
    weights = len(started.state_dict())
    assert device.reads[before : before + 3] == [(1, 5), (weights,), (15, 5)]  # the third step's


def test_the_device_refuses_what_was_left_on_the_cpu(device):
    """The test's own test: each of these would pass on a CPU."""
    there, here = torch.ones(3, device=META), torch.ones(3)
    assert (there * 2 + torch.tensor(1.0)).is_meta
    for mixed in (lambda: there * here, lambda: torch.cat([here, there]), lambda: there[here > 0]):
        with pytest.raises(AssertionError, match="left on the CPU"):
            mixed()
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(there.sum())
