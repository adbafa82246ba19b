"""A run that is asked to end, at any place, ends with its checkpoint saved, and resumes to the same
bits. Real signals and processes: test_killed.py, test_processes.py.
"""

import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.pretext import training
from pipeline.pretext.checkpoint import CheckpointFile, State, restore
from pipeline.pretext.optimisation import optimiser
from pipeline.pretext.training import Run, save_if_due, train
from tests.pretext_world import bright_faces, pretext, same, weights_of
from tests.small_encoder import small_encoder

FACES, VALIDATION = bright_faces(20), bright_faces(9, "v")


class Requests:
    """Asks a run to end at its n-th look, and from then on."""

    def __init__(self, after):
        self.left = after

    def __call__(self):
        self.left -= 1
        return self.left < 0


def dropping():
    """An encoder that drops out a third of the feature before its heads, and branches."""
    return small_encoder(8, seed=1, dropout=1 / 3, stochastic_depth=0.3)


CYCLE = {"optimiser": "adamw", "schedule": "one_cycle", "warmup": 0.4}
DRAWN = {"augmentation": {"flip": True, "crop": 0.75, "histories": 0.5}}


@pytest.mark.parametrize("changes", [{}, {"compile": True}, {**CYCLE, **DRAWN}])
def test_a_run_ended_anywhere_resumes_to_the_same_bits(tmp_path, monkeypatch, changes):
    monkeypatch.setattr(torch, "compile", lambda model, **how: model)
    monkeypatch.setattr(training, "check_compiler", lambda *_: None)
    settings, straight = pretext(epochs=2, **changes), dropping()
    expected = train(straight, FACES, VALIDATION, settings, seed=1)
    assert expected is not None
    places = set()
    for after in range(40):  # through every step, validation batch and end of an epoch
        encoder = dropping()
        file = CheckpointFile(tmp_path / "checkpoint", "run")
        requests = Requests(after % 10)
        result = train(
            encoder, FACES, VALIDATION, settings, seed=1, checkpoint=file, asked_to_end=requests
        )
        if result:
            break
        state = State(encoder, optimiser(encoder, settings))
        restore(state, file.read() or b"")
        places.add((state.epoch, state.step))
    assert len(places) >= 5 and {(0, 1), (0, 3), (1, 0)} <= places
    assert result is not None and same(weights_of(straight), weights_of(encoder))
    assert (result.history, result.metrics) == (expected.history, expected.metrics)


def test_a_checkpoint_due_by_time_is_saved_within_an_epoch(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(CheckpointFile, "due", lambda self: True)
    monkeypatch.setattr(
        CheckpointFile, "save", lambda self, state: places.append((state.epoch, state.step))
    )
    file = CheckpointFile(tmp_path / "checkpoint", "run")
    train(small_encoder(8), FACES, VALIDATION, pretext(), seed=1, checkpoint=file)
    assert places == [(0, 1), (0, 2), (0, 3), (1, 0)]


def test_a_run_killed_after_its_last_epoch_has_nothing_left_to_train(tmp_path, monkeypatch):
    file, settings, encoder = (
        CheckpointFile(tmp_path / "checkpoint", "run"),
        pretext(epochs=2),
        small_encoder(8),
    )
    first = train(encoder, FACES, VALIDATION, settings, seed=1, checkpoint=file)
    monkeypatch.setattr(training, "batches", None)  # computing anything would fail
    second = train(small_encoder(8), FACES, VALIDATION, settings, seed=1, checkpoint=file)
    assert first and second and first.history == second.history


def test_divergence_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    file, encoder = CheckpointFile(tmp_path / "checkpoint", "run"), small_encoder(8)
    monkeypatch.setattr(CheckpointFile, "due", lambda self: True)
    train(encoder, FACES, VALIDATION, pretext(), seed=1, checkpoint=file)
    broken = pretext(learning_rate=1e30, epochs=3)
    with pytest.raises(PipelineError, match="diverged"):
        train(encoder, FACES, VALIDATION, broken, seed=1, checkpoint=file)
    state = State(encoder, optimiser(encoder, broken))
    restore(state, file.read() or b"")
    assert all(weight.isfinite().all() for weight in weights_of(encoder))


@pytest.mark.parametrize(("every", "looks"), [(1, [1, 2, 3]), (2, [2, 3]), (20, [3])])
def test_a_request_is_heard_after_the_last_step_however_rarely_losses_are_read(
    monkeypatch, every, looks
):
    """Validation follows, during which several processes cannot end."""
    seen = []

    def look(run, state, now=False):
        seen.append("end" if now else state.step)
        return False

    monkeypatch.setitem(training.READ_EVERY, "cpu", every)
    monkeypatch.setattr(training, "save_if_due", look)
    train(small_encoder(8), FACES, bright_faces(0), pretext(), seed=1)
    assert seen == [*looks, "end"]


class Log:
    """A process of two and its checkpoint file, which note what they are called for."""

    count = 2

    def __init__(self, rank, other_asked=False):
        self.first, self.other_asked, self.calls = rank == 0, other_asked, []

    def any(self, flag):
        self.calls.append("any")
        return flag or self.other_asked

    def wait(self):
        self.calls.append("wait")

    def due(self):
        return False

    def save(self, state):
        self.calls.append("save")


@pytest.mark.parametrize(("asked", "other"), [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("rank", [0, 1])
def test_no_process_leaves_before_the_first_one_has_saved(asked, other, rank):
    log = Log(rank, other)
    cpu, parts = torch.device("cpu"), (log, log, lambda: asked)
    run = Run(None, None, pretext(), 1, cpu, *parts)  # type: ignore[arg-type]
    ends = save_if_due(run, None)  # type: ignore[arg-type]
    assert ends == (asked or other)
    expected = ["any", "save", "wait"] if rank == 0 else ["any", "wait"]
    assert log.calls == (expected if ends else ["any"])
