"""When a run is asked to end: what its processes do, in which order, and how often they look."""

import signal
from typing import Any

import pytest
import torch

from pipeline.base import terminal
from pipeline.encoder.network import Encoder
from pipeline.pretext import training
from pipeline.pretext.state import start_training
from pipeline.pretext.training import Interrupted, Run, train
from tests.test_training import bright_faces, pretext, same, weights_of

pytestmark = pytest.mark.usefixtures("narrow_network")


class Log:
    """A team of two and its saved states, which note what they are called for."""

    count = 2

    def __init__(self, rank, others_are_asked=False):
        self.first, self.others_are_asked = rank == 0, others_are_asked
        self.calls: list[str] = []

    def any(self, flag):
        self.calls.append("any")
        return flag or self.others_are_asked

    def wait(self):
        self.calls.append(f"wait {signal.getitimer(signal.ITIMER_REAL)[0]:.0f}")

    def due(self):
        return False

    def save(self, place, content, *, started):
        self.calls.append(f"save {signal.getitimer(signal.ITIMER_REAL)[0]:.0f}")


def test_no_process_of_a_team_leaves_before_the_first_one_has_saved_and_none_is_ended_meanwhile(
    monkeypatch,
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    state = start_training(Encoder("resnet10", 8), pretext())
    for rank, expected in ((0, ["any", "save 0", "wait 0"]), (1, ["any", "wait 0"])):
        log: Any = Log(rank)
        with pytest.raises(Interrupted), terminal.requests_to_end() as asked:
            run = Run(pretext(), 1, log, log if log.first else None, asked)
            run.save_if(state, now=False)
            assert log.calls == ["any"]
            log.calls.clear()
            signal.raise_signal(signal.SIGTERM)
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
            run.save_if(state, now=False)
        assert log.calls == expected


def test_a_process_ends_with_the_one_that_was_asked():
    log: Any = Log(0, others_are_asked=True)
    with pytest.raises(Interrupted):
        Run(pretext(), 1, log, log, lambda: False).save_if(
            start_training(Encoder("resnet10", 8), pretext()), now=False
        )
    assert log.calls == ["any", "save 0", "wait 0"]


@pytest.mark.parametrize(("every", "looks"), [(1, [1, 2, 3]), (2, [2, 3]), (20, [3])])
def test_a_request_is_heard_after_the_last_step_however_rarely_losses_are_read(
    monkeypatch, every, looks
):
    """The held-out pass follows, during which a team cannot end."""
    seen = []
    monkeypatch.setattr(training, "read_every", lambda device: every)
    monkeypatch.setattr(
        Run, "save_if", lambda run, state, now: None if now else seen.append(state.step)
    )
    train(Encoder("resnet10", 8), bright_faces(20), bright_faces(0), pretext(), seed=1)
    assert seen == looks


def test_how_rarely_losses_are_read_changes_nothing(monkeypatch):
    assert [training.read_every(torch.device(name)) for name in ("cpu", "cuda")] == [1, 20]
    results = []
    for every in (1, 2, 20):
        monkeypatch.setattr(training, "read_every", lambda device: every)  # noqa: B023 (called within the loop)
        encoder = Encoder("resnet10", 8, seed=1)
        results.append(
            (
                train(encoder, bright_faces(20), bright_faces(4, "v"), pretext(), seed=1).history,
                weights_of(encoder),
            )
        )
    assert results[0][0] == results[1][0] == results[2][0]
    assert same(results[0][1], results[1][1]) and same(results[0][1], results[2][1])
