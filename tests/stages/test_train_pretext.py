"""The whole stage on a few faces: files written, shuffled tags, the same bytes twice and after an
end on request, and the errors a user can cause.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.checkpoints import load_encoder, read_metadata
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.pretext.checkpoint import CheckpointFile
from pipeline.pretext.faces import read_faces
from pipeline.stages import train_pretext
from tests.pretext_world import PARAMS, same, weights_of, write_inputs

OUTPUTS = ["details.json", "encoder.safetensors", "history.csv", "metrics.json"]
TAGS = ["iso", "f_number", "exposure_time", "focal_length", "mean"]


def run(folder, *more):
    paths = f"--encoder {folder}/encoder.safetensors --details {folder}/details.json"
    paths += f" --metrics {folder}/metrics.json --history {folder}/history.csv"
    train_pretext.main([*f"--faces faces --manipulated manipulated {paths}".split(), *more])


def outs(folder):
    """The content of each out, without the folder of checkpoints."""
    files = sorted(path for path in folder.iterdir() if path.name != train_pretext.RESUME)
    return {path.name: path.read_bytes() for path in files}


def read(path):
    return json.loads(path.read_text())


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write_inputs(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(workspace, old, new):
    text = (workspace / "params.yaml").read_text()
    assert old in text
    (workspace / "params.yaml").write_text(text.replace(old, new, 1))


def test_files_say_what_was_trained(workspace, capsys):
    run("out")
    assert list(outs(workspace / "out")) == OUTPUTS
    details, metrics = (read(workspace / f"out/{name}.json") for name in ("details", "metrics"))
    assert details["faces"] == {"train": 55, "validation": 5} and details["epochs"] == 2
    assert sorted(metrics["ranking_accuracy"]) == sorted(TAGS)
    assert metrics.pop("ranking_accuracy") == details["ranking_accuracy"]
    assert list(metrics["tie_rate"]) == sorted(TAGS[:-1])
    assert metrics == {
        "tie_rate": details["tie_rate"],
        "manipulation_auc": details["manipulation_auc"],
        "train_loss": details["losses"]["train"]["total"],
        "validation_loss": details["losses"]["validation"]["total"],
    }
    rows = list(csv.DictReader((workspace / "out/history.csv").open()))
    names = ["iso", "f_number", "exposure_time", "focal_length", "manipulation", "total"]
    assert list(rows[0]) == [
        *("epoch", "learning_rate"),
        *(f"train_loss_{name}" for name in names),
        *(f"validation_loss_{name}" for name in names),
        *(f"ranking_accuracy_{name}" for name in TAGS),
        "manipulation_auc",
    ]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    path = workspace / "out/encoder.safetensors"
    assert load_encoder(path)[1] == Preprocessing(32, antialias=True)
    meta = read_metadata(path)
    assert meta["tags"] == ["iso", "f_number", "exposure_time_s", "focal_length_mm"]
    assert meta["face_scale"] == 1.3 and meta["params"]["seed"] == 3
    assert meta["params"]["pretext"]["tie_stops"] == 0.1667 and "exif_tags" not in meta["params"]
    shown = capsys.readouterr().out
    assert "55 training and 5 validation faces" in shown and "faces per second" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.fixture
def trained_with(monkeypatch):
    """The faces, the validation set and the settings of each call of the training loop."""
    calls, real = [], train_pretext.train

    def train(encoder, faces, validation, settings, **named):
        calls.append((faces, validation, settings))
        return real(encoder, faces, validation, settings, **named)

    monkeypatch.setattr(train_pretext, "train", train)
    return calls


def test_shuffled_trains_on_tags_of_other_faces_and_validates_on_true_ones(
    workspace, trained_with, capsys
):
    run("out", "--shuffled")
    faces, validation, settings = trained_with[0]
    true, true_validation = read_faces(workspace / "faces", workspace / "manipulated", 1.3)
    assert not np.array_equal(faces.tags, true.tags)
    assert np.array_equal(np.sort(faces.tags, axis=0), np.sort(true.tags, axis=0))
    assert np.array_equal(validation.tags, true_validation.tags)
    assert (settings.epochs, settings.schedule_epochs, settings.batch_size) == (1, 1, 16)
    assert list(outs(workspace / "out")) == OUTPUTS
    assert read(workspace / "out/details.json")["epochs"] == 1
    meta = read_metadata(workspace / "out/encoder.safetensors")
    assert meta["params"]["exif_tags"] == "shuffled" and meta["params"]["pretext"]["epochs"] == 1
    shown = capsys.readouterr().out
    assert "shuffled EXIF tags" in shown and max(len(line) for line in shown.splitlines()) <= 80


def test_the_control_trains_no_longer_than_the_encoder(workspace, trained_with):
    change(workspace, "shuffled: {epochs: 1}", "shuffled: {epochs: 3}")
    run("out", "--shuffled")
    assert trained_with[0][2].epochs == trained_with[0][2].schedule_epochs == 2


@pytest.mark.parametrize("more", [[], ["--shuffled"]])
def test_ended_by_a_signal_it_exits_with_75_and_resumes_to_the_same_bytes(
    workspace, monkeypatch, more
):
    run("undisturbed", *more)
    looks, read_back, read = [], [], CheckpointFile.read

    def remembered(file):
        read_back.append(read(file))
        return read_back[-1]

    def due(file):
        looks.append(file)
        if len(looks) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    monkeypatch.setattr(CheckpointFile, "due", due)
    monkeypatch.setattr(CheckpointFile, "read", remembered)
    with pytest.raises(SystemExit) as ended:
        run("out", *more)
    assert ended.value.code == 75 and outs(workspace / "out") == {}
    run("out", *more)
    assert [content is None for content in read_back] == [True, False]
    assert outs(workspace / "out") == outs(workspace / "undisturbed")
    assert not list((workspace / "out" / train_pretext.RESUME).glob("*.checkpoint"))


@pytest.mark.parametrize("more", [[], ["--shuffled"]])
def test_zero_epochs_save_random_weights(workspace, more):
    before, after = ("{epochs: 1", "{epochs: 0") if more else ("  epochs: 2", "  epochs: 0")
    change(workspace, before, after)
    run("out", *more)
    encoder, _ = load_encoder(workspace / "out/encoder.safetensors")
    fresh = Encoder(Architecture.of(params.load("pretext").pretext), seed=3)
    assert same(weights_of(encoder), weights_of(fresh))
    assert (workspace / "out/history.csv").read_text().splitlines()[1].startswith("0,,")
    assert read(workspace / "out/metrics.json")["train_loss"] is None


@pytest.mark.parametrize("validation", [0, 1])
def test_nearly_no_validation_face_gives_null_and_a_reason(workspace, validation, capsys):
    write_inputs(workspace, faces=6, validation=validation)
    run("out")
    details = read(workspace / "out/details.json")
    assert details["ranking_accuracy"]["mean"] is None and details["not_computed"]
    assert "not computed" in capsys.readouterr().out


def test_start_from_an_earlier_encoder(workspace):
    run("first")
    change(workspace, "epochs: 2", "epochs: 0")
    change(workspace, "start: none", "start: first/encoder.safetensors")
    run("second")
    first, second = (
        load_encoder(workspace / name / "encoder.safetensors")[0] for name in ("first", "second")
    )
    assert same(weights_of(first), weights_of(second))


@pytest.mark.parametrize("native", [True, False])
def test_the_precision_that_auto_means_is_written_down(workspace, monkeypatch, native):
    abilities = {"avx512_bf16": native}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    change(workspace, "precision: float32", "precision: auto")
    run("out")
    expected = "bfloat16" if native else "float32"
    assert read(workspace / "out/details.json")["precision"] == expected
    meta = read_metadata(workspace / "out/encoder.safetensors")
    assert meta["params"]["pretext"]["precision"] == expected


def test_a_rate_that_rises_again_is_said_before_training(workspace, trained_with, capsys):
    run("out")
    assert "rises again" not in capsys.readouterr().err
    change(workspace, "schedule_epochs: 2", "schedule_epochs: 1")
    run("out")
    assert "rises again after epoch 1 of 2" in capsys.readouterr().err
    run("out", "--shuffled")  # its schedule is as long as its training
    assert "rises again" not in capsys.readouterr().err


def test_wrong_box_is_named(workspace):
    write_inputs(workspace, box=(90.0, 30.0, 30.0, 100.0))
    with pytest.raises(PipelineError, match=r"faces\.parquet, split train: box .* is empty"):
        run("out")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate: 0.001", "learning_rate: 1e30", "training diverged"),
        ("architecture: native", "architecture: resnet17", r"pretext\.architecture: 'resnet17'"),
        ("start: none", "start: absent.pth", r"pretext\.start: 'absent\.pth'"),
        ("device: cpu", "device: tpu", r"pretext\.device = 'tpu'"),
        ("{epochs: 1}", "{epochs: -1}", r"shuffled\.epochs = -1"),
        ("dropout: 0,", "dropout: 1,", r"pretext\.dropout = 1: .*less than or equal to 0\.9"),
        ("crop: 1", "crop: 0.2", r"pretext\.augmentation\.crop = 0.2"),
    ],
)
def test_wrong_parameters_stop_the_stage_before_it_writes(workspace, old, new, message):
    change(workspace, old, new)
    with pytest.raises(PipelineError, match=message):
        run("out")
    assert not (workspace / "out").exists() or outs(workspace / "out") == {}


def test_torch_keeps_its_global_state(workspace):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    run("out")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["CXX", "PATH"])
def test_without_a_compiler_the_stage_says_so_before_it_reads_anything(workspace, root, variable):
    shutil.rmtree("faces")
    change(workspace, "compile: false", "compile: true")
    paths = (
        "--faces faces --manipulated manipulated --encoder e --details d --metrics m --history h"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.stages.train_pretext", *paths.split()],
        env=os.environ | {"PYTHONPATH": str(root), variable: "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: pretext.compile: PyTorch cannot compile here (")
