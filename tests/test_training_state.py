import json

import numpy as np
import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.encoder.network import Encoder
from pipeline.pretext import state as training_state
from pipeline.pretext.resume import Store
from pipeline.pretext.state import from_bytes, start_training, to_bytes
from pipeline.pretext.training import Interrupted, train
from tests.test_training import bright_faces, pretext, same, weights_of

pytestmark = pytest.mark.usefixtures("narrow_network")


def trained(steps=3, seed=1, **changes):
    """A state some steps after its start."""
    settings = pretext(**changes)
    encoder = Encoder("resnet10", 8, seed=seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = start_training(encoder, settings)
    for step in range(steps):
        inputs = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        state.optimiser.zero_grad()
        encoder(inputs)[1].square().sum().backward()
        state.optimiser.step()
    state.step, state.epoch, state.seconds = steps, 1, 2.5
    state.losses = np.random.default_rng(0).normal(size=(steps, 6))
    state.history, state.metrics = (
        [{"epoch": 1, "loss": 0.1 + 0.2, "auc": None}],
        {"ranking_accuracy": {"iso": 1 / 3}},
    )
    return state


def test_a_state_survives_bytes_to_the_last_bit_and_goes_on_alike():
    state = trained()
    other = Encoder("resnet10", 8, seed=9)
    other.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    copy = start_training(other, pretext())
    from_bytes(copy, to_bytes(state))
    assert to_bytes(copy) == to_bytes(state)
    assert (copy.epoch, copy.step, copy.seconds) == (1, 3, 2.5)
    assert list(copy.history[0]) == list(state.history[0])  # the order of the columns, too
    assert (
        copy.history == state.history
        and copy.metrics == state.metrics
        and np.array_equal(copy.losses, state.losses)
    )
    for one in (state, copy):
        one.optimiser.zero_grad()
        one.encoder(torch.ones(4, 3, 32, 32))[1].square().sum().backward()
        one.optimiser.step()
    assert to_bytes(copy) == to_bytes(state) != to_bytes(trained())


def test_moments_come_back_in_the_layout_of_the_weights():
    copy = start_training(Encoder("resnet10", 8).to(memory_format=torch.channels_last), pretext())  # type: ignore[call-overload]
    from_bytes(copy, to_bytes(trained()))
    for parameter, moments in copy.optimiser.state.items():
        assert moments["exp_avg"].stride() == parameter.stride()


def test_the_state_before_the_first_step_has_no_moments():
    copy = start_training(Encoder("resnet10", 8, seed=2), pretext())
    from_bytes(copy, to_bytes(trained(steps=0)))
    assert not copy.optimiser.state


def test_a_state_that_has_diverged_is_not_kept():
    state = trained()
    with torch.no_grad():
        state.encoder.heads.weight[0, 0] = torch.inf
    with pytest.raises(
        PipelineError,
        match=r"encoder\.heads\.weight not finite in epoch 2, step 3, at learning rate",
    ):
        to_bytes(state)


# --- a run that is ended and goes on


class Requests:
    """Asks a run to end at its n-th look."""

    def __init__(self, after):
        self.left = after

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("compiled", [False, True])
def test_a_run_ended_anywhere_goes_on_to_the_same_bits(tmp_path, monkeypatch, compiled):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    faces, held_out, settings = (
        bright_faces(20),
        bright_faces(9, "v"),
        pretext(epochs=2, compile=compiled),
    )
    straight = Encoder("resnet10", 8, seed=1)
    expected = train(straight, faces, held_out, settings, seed=1)
    ended = 0
    for after in range(40):  # through every step, held-out batch and end of an epoch
        encoder = Encoder("resnet10", 8, seed=1)
        store = Store(tmp_path, "run")
        try:
            result = train(
                encoder,
                faces,
                held_out,
                settings,
                seed=1,
                store=store,
                asked_to_end=Requests(after % 10),
            )
            break
        except Interrupted:
            ended += 1
    assert ended >= 5
    assert same(weights_of(straight), weights_of(encoder))
    assert (result.history, result.metrics) == (expected.history, expected.metrics)


def test_a_state_due_by_time_is_saved_within_an_epoch(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Store, "due", lambda self: True)
    monkeypatch.setattr(
        Store, "save", lambda self, place, content, **_: seen.append((place, content))
    )
    train(
        Encoder("resnet10", 8),
        bright_faces(20),
        bright_faces(4, "v"),
        pretext(),
        seed=1,
        store=Store(tmp_path, "run"),
    )
    places = [place for place, _ in seen]
    assert places[:3] == [(0, 1), (0, 2), (0, 3)] and places[-1] == (1, 0)


def test_a_run_killed_after_its_last_epoch_has_nothing_left_to_train(tmp_path, monkeypatch):
    store, settings = Store(tmp_path, "run"), pretext(epochs=2)
    faces, held_out = bright_faces(20), bright_faces(4, "v")
    first = train(Encoder("resnet10", 8), faces, held_out, settings, seed=1, store=store)
    monkeypatch.setattr("pipeline.pretext.training.forward", None)  # computing anything would fail
    second = train(Encoder("resnet10", 8), faces, held_out, settings, seed=1, store=store)
    assert (first.history, first.metrics) == (second.history, second.metrics)


def test_divergence_keeps_the_last_good_state(tmp_path):
    store = Store(tmp_path, "run")
    with pytest.raises(PipelineError, match="diverged"):
        settings = pretext(learning_rate=1e30, epochs=3)
        train(
            Encoder("resnet10", 8), bright_faces(24), bright_faces(2), settings, seed=1, store=store
        )
    kept = store.newest()
    if kept is not None:
        state = start_training(Encoder("resnet10", 8), pretext())
        from_bytes(state, kept)
        assert all(weight.isfinite().all() for weight in state.encoder.state_dict().values())


def test_the_metadata_is_plain_json():
    content = to_bytes(trained())
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(json.loads(header["__metadata__"]["training"])) == {
        "epoch",
        "step",
        "seconds",
        "history",
        "metrics",
    }
    assert training_state.start_training(Encoder("resnet10", 8), pretext()).losses.shape == (0, 6)
