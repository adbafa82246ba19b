"""The stage on small pictures, alone and in several processes."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base import params
from pipeline.common import artifacts
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import face_list, feature_sets
from pipeline.stages import extract_features
from tests import picture_world

OPTIONS = ["--root", "root", "--faces", "face_sets/sim_a.csv"]
OPTIONS += ["--encoder", "encoder.safetensors", "--output"]


@pytest.fixture
def sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return picture_world.build(tmp_path)


def test_the_listed_faces_are_encoded(sets, tmp_path, capsys):
    extract_features.main([*OPTIONS, "out/sim_a.npz"])
    found = feature_sets.read(tmp_path / "out/sim_a.npz", "sim_a")
    assert found.names.tolist() == [face.name for face in sets["sim_a"]]
    assert found.persons.tolist() == [face.person for face in sets["sim_a"]]
    assert found.digests.tolist() == [face.sha256 for face in sets["sim_a"]]
    view = View(*load_encoder(tmp_path / "encoder.safetensors"))
    settings = params.load("features").features
    expected = extract({"": view}, tmp_path / "root", {"s": sets["sim_a"]}, settings)[""]["s"]
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.heads, expected.heads)
    assert artifacts.read_npz("out/sim_a.npz")["features"].dtype == np.float32
    shown = capsys.readouterr().out
    assert "sim_a" in shown and "6" in shown


def test_later_processes_write_and_print_nothing(sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(
        extract_features, "extract", lambda *_: {"as they are": {"sim_a": SimpleNamespace()}}
    )
    extract_features.main([*OPTIONS, "out/sim_a.npz"])
    assert not (tmp_path / "out").exists() and capsys.readouterr().out == ""


# ---------------------------------------------------------------- several processes


def launch(folder, root, count, *, threads=None):
    """Run the stage with `count` processes."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    stage = ["-m", "pipeline.stages.extract_features", *OPTIONS, f"{count}.npz"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(root)}
    environment |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
    return subprocess.run(
        [sys.executable, *(torchrun if count > 1 else []), *stage],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_several_processes_write_the_bytes_of_one(sets, tmp_path, root):
    """Nineteen faces are five batches, the last one short."""
    faces = [face for name in sets for face in sets[name]][:19]
    face_list.write(tmp_path / "face_sets/sim_a.csv", faces)
    contents = set()
    for count, threads in ((1, None), (2, None), (3, 2)):
        done = launch(tmp_path, root, count, threads=threads)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Features") == 1, "the first process alone prints"
        contents.add((tmp_path / f"{count}.npz").read_bytes())
    assert len(contents) == 1 and len(artifacts.read_npz(tmp_path / "1.npz")["names"]) == 19


@pytest.mark.slow
def test_an_error_ends_all_processes(sets, tmp_path, root):
    (tmp_path / "root" / sets["sim_a"][0].name).unlink()
    done = launch(tmp_path, root, 2)
    assert done.returncode != 0 and "run dvc repro list_faces" in done.stderr
    assert not (tmp_path / "2.npz").exists()
