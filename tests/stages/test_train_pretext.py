"""The whole stage on a few faces: files written, the same bytes twice, and the errors a user can
cause.
"""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards
from pipeline.encoder.checkpoints import load_encoder
from pipeline.encoder.network import Encoder
from pipeline.stages import train_pretext

PARAMS = """
seed: 3
pretext: {architecture: resnet10, feature_dim: 8, start: none, input_size: 32, face_scale: 1.3, antialias: true,
  photograph_probability: 0.5, epochs: EPOCHS, batch_size: 16, learning_rate: 0.001, betas: [0.9, 0.98], epsilon: 1e-6,
  weight_decay: 1e-4, schedule_epochs: 2, minimum_learning_rate: 1e-7, device: cpu, precision: float32, channels_last: true,
  compile: false}
"""
OUTPUTS = ("encoder.safetensors", "metrics.json", "history.csv", "speed.json")
pytestmark = pytest.mark.usefixtures("narrow_network")


def write_inputs(folder, faces=60, held_out=5, box=(30.0, 30.0, 90.0, 100.0)):
    """Faces and manipulations as the stages before write them."""
    rng = np.random.default_rng(0)
    level = rng.uniform(size=faces)
    table = pd.DataFrame({"face_id": [f"f{i}" for i in range(faces)], "row": np.arange(faces)})
    table["split"] = ["validation" if i < held_out else "train" for i in range(faces)]
    for name, value in zip(("box_x0", "box_y0", "box_x1", "box_y1"), box, strict=True):
        table[name] = value
    for tag in ("iso", "f_number", "exposure_time_s", "focal_length_mm"):
        table[tag] = 50 * 2 ** (4 * level)
    operations = pd.DataFrame({"row": np.arange(4 * faces), "face_row": np.arange(4 * faces) // 4})
    pixels = (
        40 + 180 * level[:, None, None, None] + rng.uniform(0, 9, (faces, 128, 128, 3))
    ).astype(np.uint8)
    for name, rows, pictures, file in (
        ("faces", table, pixels, "faces.parquet"),
        ("manipulated", operations, pixels.repeat(4, axis=0)[:, ::-1], "manipulated.parquet"),
    ):
        writer = shards.ShardWriter(folder / name, (128, 128, 3))
        writer.append(pictures)
        writer.close()
        artifacts.write_table(folder / name / file, rows)


def run(folder):
    train_pretext.main(
        f"--faces faces --manipulated manipulated --encoder {folder}/encoder.safetensors --metrics "
        f"{folder}/metrics.json "
        f"--history {folder}/history.csv --speed {folder}/speed.json".split()
    )


def written(folder):
    """The outs in a folder, without the folder of saved states."""
    return sorted(path.name for path in folder.iterdir() if path.name != train_pretext.RESUME)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write_inputs(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.replace("EPOCHS", "2"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_say_what_was_trained(workspace, capsys):
    run("out")
    assert written(workspace / "out") == sorted(OUTPUTS)
    metrics = json.loads((workspace / "out/metrics.json").read_text())
    assert set(metrics["ranking_accuracy"]) == {
        "iso",
        "f_number",
        "exposure_time",
        "focal_length",
        "mean",
    }
    assert (
        metrics["faces"] == {"train": 55, "held_out": 5} and 0 <= metrics["manipulation_auc"] <= 1
    )
    assert "second" not in json.dumps(metrics)
    assert (
        json.loads((workspace / "out/speed.json").read_text())["train_pretext"]["faces_per_second"]
        > 0
    )

    rows = list(csv.DictReader((workspace / "out/history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["learning_rate"]) == 0.001 and len(rows[0]) == 2 + 6 + 6 + 5 + 1

    _, meta = load_encoder(workspace / "out/encoder.safetensors")
    assert (meta["input_size"], meta["face_scale"], meta["resize"], meta["antialias"]) == (
        32,
        1.3,
        "bilinear",
        True,
    )
    assert (
        meta["tags"] == ["iso", "f_number", "exposure_time_s", "focal_length_mm"]
        and meta["mean"][0] == 0.48145466
    )
    assert meta["params"]["seed"] == 3 and meta["params"]["pretext"]["batch_size"] == 16
    shown = capsys.readouterr().out
    assert "55 training and 5 held-out faces" in shown and "faces per second" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_same_bytes_twice(workspace):
    run("first")
    run("second")
    for name in OUTPUTS[:3]:
        assert (workspace / "first" / name).read_bytes() == (
            workspace / "second" / name
        ).read_bytes(), name


def test_zero_epochs_save_random_weights(workspace):
    (workspace / "params.yaml").write_text(PARAMS.replace("EPOCHS", "0"))
    run("out")
    encoder, _ = load_encoder(workspace / "out/encoder.safetensors")
    assert torch.equal(encoder.heads.weight, Encoder("resnet10", 8, seed=3).heads.weight)
    assert (
        json.loads((workspace / "out/speed.json").read_text())["train_pretext"]["faces_per_second"]
        is None
    )
    assert (workspace / "out/history.csv").read_text().splitlines()[1].startswith("0,,")


@pytest.mark.parametrize("held_out", [0, 1])
def test_nearly_no_held_out_face_gives_null_and_a_reason(workspace, held_out, capsys):
    write_inputs(workspace, faces=6, held_out=held_out)
    run("out")
    metrics = json.loads((workspace / "out/metrics.json").read_text())
    assert metrics["ranking_accuracy"]["mean"] is None and metrics["not_computed"]
    assert "not computed" in capsys.readouterr().out


def test_start_from_an_earlier_encoder(workspace):
    run("first")
    (workspace / "params.yaml").write_text(
        PARAMS.replace("EPOCHS", "0").replace("none", "first/encoder.safetensors")
    )
    run("second")
    first, second = (
        load_encoder(workspace / name / "encoder.safetensors")[0] for name in ("first", "second")
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_wrong_box_is_named(workspace):
    write_inputs(workspace, box=(90.0, 30.0, 30.0, 100.0))
    with pytest.raises(PipelineError, match=r"faces\.parquet, split train: box .* is empty"):
        run("out")


def test_nothing_is_written_when_training_fails(workspace):
    (workspace / "params.yaml").write_text(
        PARAMS.replace("EPOCHS", "2").replace("learning_rate: 0.001", "learning_rate: 1e30")
    )
    with pytest.raises(PipelineError, match="training diverged"):
        run("out")
    assert written(workspace / "out") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("resnet10", "resnet17", r"pretext\.architecture: 'resnet17'"),
        ("start: none", "start: absent.pth", r"pretext\.start: absent\.pth does not exist"),
        ("device: cpu", "device: tpu", r"pretext\.device = 'tpu'"),
    ],
)
def test_wrong_parameters_stop_the_stage(workspace, old, new, message):
    (workspace / "params.yaml").write_text(PARAMS.replace("EPOCHS", "1").replace(old, new))
    with pytest.raises(PipelineError, match=message):
        run("out")
