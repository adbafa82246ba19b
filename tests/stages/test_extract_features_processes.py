"""Several processes write the bytes that one writes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.common import artifacts
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder

PARAMS = """
seed: 3
data: {root: root, person_pattern: ''}
split: {validation: 0.2, calibration: 0.5}
features: {resize: bilinear, antialias: true, batch_size: 4, device: cpu, precision: float32, maximum_unreadable_share: 0.2,
  maximum_fit_faces: 50, maximum_faces: 50}
"""
OUTS = ("a_set.npz", "a_set.json")


@pytest.fixture
def folder(tmp_path):
    """27 pictures of several sizes: seven parts, the last one short, three pictures unreadable for
    two reasons.
    """
    rng = np.random.default_rng(0)
    pictures = tmp_path / "root/data/gen"
    pictures.mkdir(parents=True)
    for i in range(27):
        shape = (36 + i % 3, 40, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(pictures / f"{i:02}.png")
    for i in (5, 6):
        (pictures / f"{i:02}.png").write_bytes(b"nothing")
    (pictures / "20.png").write_bytes(b"")
    (tmp_path / "params.yaml").write_text(PARAMS)
    save_encoder(
        tmp_path / "encoder.safetensors", Encoder("resnet10", 6, seed=1), {"input_size": 32}
    )
    return tmp_path


def run(folder, root, count, *, threads=None, source="data/gen"):
    """The outs of the stage with `count` processes, or its exit status and what it said where it
    fails.
    """
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        if count > 1
        else []
    )
    outs = ["--output", f"{count}/a_set.npz", "--metrics", f"{count}/a_set.json"]
    common = [
        "--root",
        "root",
        "--folder",
        source,
        "--set-name",
        "a_set",
        "--encoder",
        "encoder.safetensors",
    ]
    command = [sys.executable, *launcher, "-m", "pipeline.stages.extract_features", *common, *outs]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(root)} | (
        {"OMP_NUM_THREADS": str(threads)} if threads else {}
    )
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        return done.returncode, done.stderr
    assert done.stdout.count("Features") == 1, "the first process alone prints"
    return [(folder / str(count) / name).read_bytes() for name in OUTS]


@pytest.mark.slow
def test_same_bytes_with_one_two_and_three_processes(folder, root):
    alone = run(folder, root, 1)
    assert run(folder, root, 2) == alone and run(folder, root, 3, threads=2) == alone
    counts = artifacts.read_json(folder / "1/a_set.json")
    assert counts["readable"] == 24 and counts["unreadable"] == {"empty": 1, "not_a_picture": 2}
    assert np.isfinite(artifacts.read_npz(folder / "1/a_set.npz")["features"]).all()


@pytest.mark.slow
def test_an_error_ends_all_processes_and_is_said_once(folder, root):
    status, said = run(folder, root, 2, source="data/absent")
    assert status != 0 and said.count("no such folder of pictures") == 1
    assert not (folder / "2").exists()


def test_later_processes_write_and_print_nothing(folder, monkeypatch, capsys):
    from pipeline.common.process_group import ProcessGroup
    from pipeline.stages import extract_features
    from tests.test_features import pretend

    monkeypatch.chdir(folder)
    monkeypatch.setenv("RANK", "1")
    pretend(monkeypatch, ProcessGroup(1, 2), broadcast=b'["data/gen/00.png"]')
    outs = ["--output", "out/a_set.npz", "--metrics", "out/a_set.json"]
    common = [
        "--root",
        "root",
        "--folder",
        "data/absent",
        "--set-name",
        "a_set",
        "--encoder",
        "encoder.safetensors",
    ]
    extract_features.main([*common, *outs])
    assert not (folder / "out").exists() and capsys.readouterr().out == ""
