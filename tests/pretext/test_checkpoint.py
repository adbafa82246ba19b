"""The checkpoint: every bit of a state, and a file that survives damage and a full disk. Runs that
are ended and resumed: test_resume.py.
"""

import json
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load, save

from pipeline.base.errors import PipelineError
from pipeline.pretext import checkpoint
from pipeline.pretext.checkpoint import CheckpointFile, State, diverged, restore, to_bytes
from pipeline.pretext.optimisation import optimiser
from tests.pretext_world import pretext
from tests.small_encoder import small_encoder


def started(seed=1, kind="adam"):
    encoder = small_encoder(8, seed=seed)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return State(encoder, optimiser(encoder, pretext(optimiser=kind)))


def step(state, inputs):
    state.optimiser.zero_grad()
    state.encoder(inputs)[1].square().sum().backward()
    state.optimiser.step()


def advanced(steps=3, kind="adam"):
    """A state some steps after its start."""
    state = started(kind=kind)
    for number in range(steps):
        generator = torch.Generator().manual_seed(number)
        step(state, torch.rand(4, 3, 32, 32, generator=generator))
    state.epoch, state.step, state.faces = 1, steps, 12
    state.loss_sums, state.loss_faces = [1 / 3, 0.1, 2.0, 3.0, 4.0], [12, 12, 9, 0, 12]
    state.history = [{"epoch": 1, "loss": 0.1 + 0.2, "auc": None}]
    state.metrics = {"ranking_accuracy": {"iso": 1 / 3}}
    return state


@pytest.mark.parametrize("kind", ["adam", "adamw"])  # with one group of weights, and with two
def test_a_state_survives_bytes_to_the_last_bit_and_continues_alike(kind):
    state, copy = advanced(kind=kind), started(seed=9, kind=kind)
    restore(copy, to_bytes(state))
    assert to_bytes(copy) == to_bytes(state)
    plain = ("epoch", "step", "faces", "loss_sums", "loss_faces", "history", "metrics")
    assert all(getattr(copy, name) == getattr(state, name) for name in plain)
    assert list(copy.history[0]) == ["epoch", "loss", "auc"]  # the order of the columns, too
    for parameter, moments in copy.optimiser.state.items():
        assert moments["exp_avg"].stride() == parameter.stride()
    step(state, torch.ones(4, 3, 32, 32))
    step(copy, torch.ones(4, 3, 32, 32))
    assert to_bytes(copy) == to_bytes(state) != to_bytes(advanced(kind=kind))


def test_the_state_before_the_first_step_has_no_moments():
    copy = started(seed=2)
    restore(copy, to_bytes(advanced(steps=0)))
    assert not copy.optimiser.state


def test_a_state_that_has_diverged_is_not_kept():
    state = advanced()
    state.encoder.heads.weight.data[0, 0] = torch.inf
    message = r"encoder\.heads\.weight not finite in epoch 2, step 3, at learning rate"
    with pytest.raises(PipelineError, match=message):
        to_bytes(state)


def test_before_any_step_the_start_is_to_blame():
    state = advanced()
    state.epoch = state.step = 0
    error = diverged(state, "loss of iso", 1)
    assert "pretext.start" in str(error) and "learning_rate" not in str(error)


# --- the file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder/encoder.checkpoint"


def test_a_checkpoint_is_read_by_its_own_run_until_cleared(path, capsys):
    file = CheckpointFile(path, "run")
    assert file.read() is None
    file.save(advanced())
    assert CheckpointFile(path, "run").read() == to_bytes(advanced())
    assert CheckpointFile(path, "other run").read() is None
    assert "training starts afresh" in capsys.readouterr().err
    file.clear()
    file.clear()  # a run that saved nothing has nothing to remove
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[:-9] + b"?" + c[-8:], lambda c: b""]
)
def test_a_damaged_checkpoint_is_reported_and_not_used(path, capsys, damage):
    CheckpointFile(path, "run").save(advanced())
    path.write_bytes(damage(path.read_bytes()))
    assert CheckpointFile(path, "run").read() is None
    assert f"{path} is damaged" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(path, monkeypatch):
    file = CheckpointFile(path, "run")
    file.save(advanced(steps=1))

    @contextmanager
    def full(path):
        raise OSError(28, "No space left on device", str(path))
        yield

    monkeypatch.setattr(checkpoint, "atomic", full)
    with pytest.raises(OSError, match="No space left"):
        file.save(advanced(steps=2))
    assert file.read() == to_bytes(advanced(steps=1))


def changed(content, change):
    """A kept state whose JSON entry is changed."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    plain = json.loads(header["__metadata__"]["state"])
    header["__metadata__"]["state"] = json.dumps(change(plain))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: [],
        lambda plain: plain | {"encoder": {}},
        lambda plain: {name: value for name, value in plain.items() if name != "step"},
        lambda plain: plain | {"step": -1},
        lambda plain: plain | {"epoch": "1"},
        lambda plain: plain | {"loss_sums": [float("nan")] * 5},
        lambda plain: plain | {"loss_faces": [1]},
        lambda plain: plain | {"history": [1]},
    ],
)
def test_a_state_with_other_entries_is_refused(change):
    with pytest.raises(PipelineError, match="none of this run"):
        restore(started(), changed(to_bytes(advanced()), change))


@pytest.mark.parametrize("name", ["adam.0.exp_avg", "encoder.heads.bias"])
@pytest.mark.parametrize(
    ("value", "message"),
    [(None, "none of this run"), (torch.ones(1), "none of this run"), ("nan", "not finite")],
)
def test_a_state_with_other_tensors_is_refused(name, value, message):
    content = to_bytes(advanced())
    tensors = load(content)
    kept = tensors.pop(name)
    if value is not None:
        tensors[name] = torch.full_like(kept, torch.nan) if value == "nan" else value
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    with pytest.raises(PipelineError, match=message):
        restore(started(), save(tensors, metadata=metadata))


def test_a_full_gpu_is_not_blamed_on_the_file(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    state, content = started(), to_bytes(advanced())
    monkeypatch.setattr(torch, "empty_like", full)
    with pytest.raises(torch.OutOfMemoryError):
        restore(state, content)


@pytest.mark.parametrize("content", [b"", b"\xff" * 9, bytes(8), b"\2\0\0\0\0\0\0\0{}"])
def test_what_is_no_state_is_refused(content):
    with pytest.raises(PipelineError, match="none of this run"):
        restore(started(), content)
