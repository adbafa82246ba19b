"""The stage end to end on a mixture, an encoder, features and pictures made here."""

import csv
import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.names import HEADS
from pipeline.density.density import Density
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.face_sets import feature_sets
from pipeline.stages import explain
from tests import small_features
from tests.small_encoder import small_encoder

D = 4
PARAMS = """
seed: 3
features: {batch_size: 16, device: cpu, precision: float32}
explanation: {projected_faces: 7, faces: 2}
generators: [sim_a, sim_b]
"""
SETS = {
    "photographic_fit": 9, "photographic_calibration": 3, "photographic_test": 8,
    "sim_a": 6, "sim_b": 1,
}  # fmt: skip
MIXTURE = small_features.normal(D)
THRESHOLD = {
    "rates": {"at_5_percent": {"threshold": 4.0}, "at_1_percent": {"threshold": 9.0}},
    "review": "at_5_percent",
    "flag": "at_1_percent",
    "paper_protocol": {"threshold": 3.5},
}


def write_set(world, name, features):
    """Pictures and a feature file, as extract_features leaves them."""
    rng = np.random.default_rng(len(name))
    names = np.array([f"data/{name}/{i}.png" for i in range(len(features))])
    for face in names:
        path = world / "root" / face
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    contents = [(world / "root" / face).read_bytes() for face in names]
    digests = np.array([hashlib.sha256(content).hexdigest() for content in contents])
    small_features.write_set(world / f"features/{name}.npz", features, names=names, digests=digests)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for seed, (name, count) in enumerate(SETS.items()):
        spread = 3 if name.startswith("sim") else 1
        write_set(tmp_path, name, spread * np.random.default_rng(seed).normal(size=(count, D)))
    artifacts.write_npz("gmm.npz", **Density({"features": MIXTURE}).to_arrays())
    artifacts.write_json("threshold.json", THRESHOLD)
    arrays = {"head_means": np.arange(5.0), "head_deviations": np.full(5, 0.5)}
    artifacts.write_npz("calibration.npz", scores=np.linspace(3, 12, 99)[None], **arrays)
    encoder = small_encoder(D, seed=1)
    save_encoder(tmp_path / "encoder.safetensors", encoder, Preprocessing(32))
    return tmp_path


def run():
    inputs = ["--features", "features", "--encoder", "encoder.safetensors", "--gmm", "gmm.npz"]
    judge = ["--threshold", "threshold.json", "--calibration", "calibration.npz"]
    explain.main(["--root", "root", *inputs, *judge, "--output", "out"])
    return artifacts.read_json("out/faces.json")


def outputs(world):
    return {path.name: path.read_bytes() for path in sorted((world / "out").iterdir())}


def test_faces_are_the_most_anomalous_and_judged_as_calibrated(world, capsys):
    found = run()
    assert {name: len(faces) for name, faces in found.items()} == {"sim_a": 2, "sim_b": 1}
    faces = feature_sets.read(world / "features/sim_a.npz", "sim_a")
    scores = MIXTURE.anomaly_score(faces.features)
    calibrated = artifacts.read_npz("calibration.npz")["scores"]
    for face, row in zip(found["sim_a"], np.argsort(-scores), strict=False):
        assert (face["name"], face["anomaly_score"]) == (faces.names[row], scores[row])
        assert face["p_value"] == (1 + np.sum(calibrated >= scores[row])) / 100
        above = sum(scores[row] > threshold for threshold in (4, 9))
        assert face["verdict"] == ("pass", "review", "flag")[above]
        z = (faces.heads[row] - np.arange(5)) / 0.5
        assert face["head_z"] == pytest.approx(dict(zip(HEADS, z.tolist(), strict=True)), abs=1e-3)
        assert face["deviating_head"] == HEADS[np.argmax(np.abs(z))]
        assert set(face["covered"]) == {"largest_drop", "where"}
    printed = capsys.readouterr().out
    assert "sim_a" in printed and "sim_b" in printed


def test_the_nearest_are_photographs_that_the_mixture_was_fitted_on(world):
    found = run()["sim_b"][0]
    fit = artifacts.read_npz("features/photographic_fit.npz")
    distances = cdist(artifacts.read_npz("features/sim_b.npz")["features"], fit["features"])[0]
    order = np.argsort(distances)[:3]
    assert [near["name"] for near in found["nearest"]] == fit["names"][order].tolist()
    named = [near["distance"] for near in found["nearest"]]
    assert named == pytest.approx(distances[order], abs=1e-3)


def test_sheets_show_face_map_and_neighbours(world, monkeypatch):
    sheets = {}
    monkeypatch.setattr(
        explain,
        "contact_sheet",
        lambda rows, columns, path, titles, **_: sheets.update(
            {path.stem: (rows, columns, titles)}
        ),
    )
    found = run()
    assert set(sheets) == {"sim_a", "sim_b"}
    for name, (rows, columns, titles) in sheets.items():
        assert len(columns) == 5 and len(titles) == len(rows) == len(found[name])
        for face, row, title in zip(found[name], rows, titles, strict=True):
            shown = [face["name"], *(near["name"] for near in face["nearest"])]
            for picture, file in zip([row[0], *row[2:]], shown, strict=True):
                expected = np.asarray(Image.open(world / "root" / file))
                np.testing.assert_array_equal(picture, expected)
            assert row[1].shape == (32, 32, 3) and title.startswith(face["verdict"])


def test_the_map_has_at_most_the_chosen_faces_of_each_set(world):
    run()
    rows = list(csv.DictReader((world / "out/projection.csv").read_text().splitlines()))
    assert [row["set"] for row in rows] == ["photographic_test"] * 7 + ["sim_a"] * 6 + ["sim_b"]
    assert np.isfinite([[float(row["x"]), float(row["y"])] for row in rows]).all()


def test_too_few_faces_for_a_map_and_for_neighbours_are_no_error(world, capsys):
    params = PARAMS.replace("projected_faces: 7", "projected_faces: 2").replace("sim_a, ", "")
    (world / "params.yaml").write_text(params)
    write_set(world, "photographic_fit", np.eye(2, D))
    assert [len(face["nearest"]) for face in run()["sim_b"]] == [2]
    assert (world / "out/projection.csv").read_text() == "set,x,y\n"
    assert "no map of the features: 3 faces" in capsys.readouterr().out
    assert Image.open(world / "out/sim_b.png").width > 500


def test_same_bytes_twice_and_with_other_workers(world, monkeypatch):
    contents = []
    for workers in ("1", "3"):
        monkeypatch.setenv("PIPELINE_WORKERS", workers)
        run()
        contents.append(outputs(world))
    assert contents[0] == contents[1]
    assert list(contents[0]) == ["faces.json", "projection.csv", "sim_a.png", "sim_b.png"]


@pytest.mark.parametrize("name", ["sim_a", "photographic_fit"])
@pytest.mark.parametrize("content", [None, b"other"])
def test_a_picture_that_is_gone_or_another_stops_the_stage_and_keeps_what_was_there(
    world, name, content
):
    run()
    before = outputs(world)
    for path in (world / f"root/data/{name}").iterdir():
        path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(PipelineError, match=rf"{name}/\d\.png: .*changed since list_faces read it"):
        run()
    assert outputs(world) == before
