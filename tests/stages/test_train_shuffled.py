"""The whole stage on a few faces: shuffled tags in training, true ones in the metrics, and how it
ends and goes on.
"""

import json
import os
import signal

import numpy as np
import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.encoder.checkpoints import load_encoder
from pipeline.encoder.network import Encoder
from pipeline.pretext import task as pretext
from pipeline.pretext.resume import Store, lock
from pipeline.stages import train_pretext, train_shuffled
from tests.stages.test_train_pretext import PARAMS, write_inputs

SHUFFLED = "shuffled: {epochs: 2}\n"
OUTPUTS = ("encoder.safetensors", "metrics.json")
pytestmark = pytest.mark.usefixtures("narrow_network")


def run(folder, stage=train_shuffled, more=""):
    stage.main(
        f"--faces faces --manipulated manipulated --encoder {folder}/encoder.safetensors --metrics "
        f"{folder}/metrics.json "
        f"{more}".split()
    )


def files(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write_inputs(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.replace("EPOCHS", "5") + SHUFFLED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained_with(monkeypatch):
    """The faces, held-out faces and settings of each call of the training loop."""
    calls = []
    real = pretext.train

    def train(encoder, faces, held_out, settings, **named):
        calls.append((faces, held_out, settings))
        return real(encoder, faces, held_out, settings, **named)

    monkeypatch.setattr(pretext, "train", train)
    return calls


def test_only_the_tags_of_the_training_faces_are_shuffled(workspace, trained_with, capsys):
    run("out")
    faces, held_out, settings = trained_with[0]
    true_faces, true_held_out = pretext.read_faces(
        workspace / "faces", workspace / "manipulated", 1.3
    )
    assert not np.array_equal(faces.tags, true_faces.tags)
    assert np.array_equal(np.sort(faces.tags, axis=0), np.sort(true_faces.tags, axis=0))
    assert np.array_equal(held_out.tags, true_held_out.tags)
    assert (settings.epochs, settings.schedule_epochs, settings.batch_size) == (2, 2, 16)
    assert sorted(path.name for path in (workspace / "out").iterdir()) == [
        pretext.RESUME,
        *OUTPUTS,
    ]  # no speed, no history

    metrics = json.loads((workspace / "out/metrics.json").read_text())
    assert metrics["epochs"] == 2 and metrics["faces"] == {"train": 55, "held_out": 5}
    assert set(metrics["ranking_accuracy"]) == {
        "iso",
        "f_number",
        "exposure_time",
        "focal_length",
        "mean",
    }
    shown = capsys.readouterr().out
    assert "shuffled EXIF tags" in shown and max(len(line) for line in shown.splitlines()) <= 80


def test_the_file_says_that_its_tags_were_shuffled(workspace):
    run("out")
    _, meta = load_encoder(workspace / "out/encoder.safetensors")
    assert meta["params"]["exif_tags"] == "shuffled" and meta["params"]["pretext"]["epochs"] == 2


def test_zero_epochs_are_the_random_weights_of_the_same_start(workspace):
    (workspace / "params.yaml").write_text(
        PARAMS.replace("EPOCHS", "5") + SHUFFLED.replace("epochs: 2", "epochs: 0")
    )
    run("out")
    encoder, _ = load_encoder(workspace / "out/encoder.safetensors")
    assert torch.equal(encoder.heads.weight, Encoder("resnet10", 8, seed=3).heads.weight)


def test_ended_by_a_signal_it_goes_on_to_the_same_bytes_beside_the_states_of_train_pretext(
    workspace, monkeypatch
):
    run("undisturbed")
    looks, found = [], []

    def due(store):
        looks.append(store)
        if len(looks) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    def newest(store):
        found.append(real(store))
        return found[-1]

    real = Store.newest
    monkeypatch.setattr(Store, "due", due)
    monkeypatch.setattr(Store, "newest", newest)
    with pytest.raises(SystemExit) as ended:
        run("out", train_pretext, "--history out/history.csv --speed out/speed.json")
    looks.clear()
    with pytest.raises(SystemExit) as ended_too:
        run("out")
    assert ended.value.code == ended_too.value.code == pretext.ENDED_ON_REQUEST
    assert len(list((workspace / "out" / pretext.RESUME).glob("*/*.state"))) == 2
    run("out")
    assert [state is None for state in found] == [True, True, False]
    assert files(workspace / "out") == files(workspace / "undisturbed")
    assert len(list((workspace / "out" / pretext.RESUME).glob("*/*.state"))) == 1


def test_one_training_at_a_time_writes_beside_an_encoder(workspace):
    with (
        lock(workspace / "out" / pretext.RESUME),
        pytest.raises(PipelineError, match="another run holds the lock"),
    ):
        run("out")


def test_a_wrong_number_of_epochs_is_named(workspace):
    (workspace / "params.yaml").write_text(
        PARAMS.replace("EPOCHS", "5") + SHUFFLED.replace("epochs: 2", "epochs: -1")
    )
    with pytest.raises(PipelineError, match=r"shuffled\.epochs = -1"):
        run("out")
