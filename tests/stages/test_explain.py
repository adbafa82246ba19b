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
from pipeline.density.mixture import Mixture
from pipeline.encoder.checkpoints import save_encoder
from pipeline.encoder.network import Encoder
from pipeline.stages import explain

D = 4
PARAMS = """
seed: 3
features: {resize: bilinear, antialias: true, batch_size: 16, device: cpu, precision: float32, maximum_unreadable_share: 0.2,
  maximum_fit_faces: 12, maximum_faces: 12}
explanation: {projected_faces: 7, faces: 2, neighbours: 3, patch: 16}
generators: [sim_a, sim_b]
"""
SETS = {"photographic_fit": 9, "photographic_test": 8, "sim_a": 6, "sim_b": 1}
MIXTURE = Mixture(
    "spherical", np.zeros(D), np.ones(D), np.zeros((0, D)), np.ones(1), np.zeros((1, D)), np.ones(1)
)
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
    digests = np.array(
        [hashlib.sha256((world / "root" / face).read_bytes()).hexdigest() for face in names]
    )
    heads = rng.normal(size=(len(names), 5)).astype(np.float32)
    path = world / f"features/{name}.npz"
    artifacts.write_npz(
        path, names=names, features=features.astype(np.float32), heads=heads, source_sha256=digests
    )
    artifacts.write_json(
        world / f"counts/{name}.json", {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    )


@pytest.fixture
def world(tmp_path, monkeypatch, narrow_network):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for seed, (name, count) in enumerate(SETS.items()):
        spread = 3 if name.startswith("sim") else 1
        write_set(tmp_path, name, spread * np.random.default_rng(seed).normal(size=(count, D)))
    artifacts.write_npz("gmm.npz", **MIXTURE.to_arrays())
    artifacts.write_json("threshold.json", THRESHOLD)
    write_calibration()
    save_encoder(
        tmp_path / "encoder.safetensors", Encoder("resnet10", D, seed=1), {"input_size": 32}
    )
    return tmp_path


def write_calibration(**changes):
    arrays = {
        "scores": np.linspace(3, 12, 99),
        "head_means": np.arange(5.0),
        "head_deviations": np.full(5, 0.5),
    }
    artifacts.write_npz("calibration.npz", **arrays | changes)


def run():
    inputs = [
        "--features",
        "features",
        "--counts",
        "counts",
        "--encoder",
        "encoder.safetensors",
        "--gmm",
        "gmm.npz",
    ]
    judge = ["--threshold", "threshold.json", "--calibration", "calibration.npz"]
    explain.main(
        [
            "--root",
            "root",
            *inputs,
            *judge,
            "--projection",
            "out/map.csv",
            "--output",
            "out/explained",
        ]
    )
    return artifacts.read_json("out/explained/faces.json")


def outputs(world):
    return {
        path.name: path.read_bytes()
        for path in sorted((world / "out").rglob("*"))
        if path.is_file()
    }


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_faces_are_the_most_anomalous_and_judged_as_calibrated(world, capsys):
    found = run()
    assert {name: len(faces) for name, faces in found.items()} == {"sim_a": 2, "sim_b": 1}
    arrays = artifacts.read_npz("features/sim_a.npz")
    scores = MIXTURE.anomaly_score(arrays["features"])
    calibrated = artifacts.read_npz("calibration.npz")["scores"]
    for face, row in zip(found["sim_a"], np.argsort(-scores), strict=False):
        assert (face["name"], face["anomaly_score"]) == (arrays["names"][row], scores[row])
        assert face["p_value"] == (1 + np.sum(calibrated >= scores[row])) / 100
        assert face["verdict"] == (
            "flag" if scores[row] > 9 else "review" if scores[row] > 4 else "pass"
        )
        z = (arrays["heads"][row] - np.arange(5)) / 0.5
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
    assert [near["distance"] for near in found["nearest"]] == pytest.approx(
        distances[order], abs=1e-3
    )


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
    for name, (rows, columns, titles) in sheets.items():
        assert len(columns) == 5 and len(titles) == len(rows) == len(found[name])
        for face, row, title in zip(found[name], rows, titles, strict=True):
            shown = [face["name"], *(near["name"] for near in face["nearest"])]
            for picture, file in zip([row[0], *row[2:]], shown, strict=True):
                np.testing.assert_array_equal(
                    picture, np.asarray(Image.open(world / "root" / file))
                )
            assert row[1].shape == (32, 32, 3) and title.startswith(face["verdict"])


def test_the_map_has_at_most_the_chosen_faces_of_each_set(world):
    run()
    rows = list(csv.DictReader((world / "out/map.csv").read_text().splitlines()))
    assert [row["set"] for row in rows] == ["photographic_test"] * 7 + ["sim_a"] * 6 + ["sim_b"]
    assert np.isfinite([[float(row["x"]), float(row["y"])] for row in rows]).all()
    assert all(
        Image.open(world / f"out/explained/{name}.png").width > 600 for name in ("sim_a", "sim_b")
    )


def test_too_few_faces_for_a_map_are_said(world, capsys):
    change(world / "params.yaml", "projected_faces: 7", "projected_faces: 2")
    change(world / "params.yaml", "[sim_a, sim_b]", "[sim_b]")
    run()
    assert (world / "out/map.csv").read_text() == "set,x,y\n"
    assert "the map cannot be computed: 3 faces" in capsys.readouterr().out


def test_same_bytes_twice_and_with_other_workers(world, monkeypatch):
    contents = []
    for workers in ("1", "3"):
        monkeypatch.setenv("PIPELINE_WORKERS", workers)
        run()
        contents.append(outputs(world))
    assert contents[0] == contents[1] and set(contents[0]) == {
        "map.csv",
        "faces.json",
        "sim_a.png",
        "sim_b.png",
    }


def test_fewer_photographs_than_neighbours(world):
    write_set(world, "photographic_fit", np.eye(2, D))
    assert [len(face["nearest"]) for face in run()["sim_a"]] == [2, 2]


def test_a_head_that_never_varies_has_null(world):
    write_calibration(head_deviations=np.zeros(5))
    face = run()["sim_b"][0]
    assert set(face["head_z"].values()) == {None} and face["deviating_head"] is None


@pytest.mark.parametrize("name", ["data/sim_a/{}.png", "data/photographic_fit/{}.png"])
@pytest.mark.parametrize(
    ("content", "message"), [(None, "missing"), (b"other", "not the picture whose features are in")]
)
def test_a_picture_that_is_gone_or_another_stops_the_stage_and_keeps_what_was_there(
    world, name, content, message
):
    run()
    before = outputs(world)
    for i in range(9):
        path = world / "root" / name.format(i)
        if path.exists():
            path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(PipelineError, match=f"{name.split('/')[1]}.*{message}"):
        run()
    assert outputs(world) == before


@pytest.mark.parametrize("missing", ["scores", "head_means", "head_deviations"])
def test_a_malformed_calibration_file_is_named(world, missing):
    write_calibration()
    arrays = artifacts.read_npz("calibration.npz")
    del arrays[missing]
    artifacts.write_npz("calibration.npz", **arrays)
    with pytest.raises(
        PipelineError,
        match=r"calibration\.npz: expected finite float64 scores.*run calibrate again",
    ):
        run()


def test_other_inputs_that_do_not_fit_are_said(world):
    change(world / "params.yaml", "patch: 16", "patch: 33")
    with pytest.raises(PipelineError, match=r"explanation\.patch: 33 pixels, allowed are 2 to 32"):
        run()
    write_set(world, "sim_b", np.full((1, D), np.nan))
    with pytest.raises(PipelineError, match=r"sim_b\.npz: 1 of 1 faces have NaN"):
        run()
    (world / "features/sim_a.npz").write_bytes(b"another")
    with pytest.raises(PipelineError, match=r"sim_a\.npz is missing or not the file"):
        run()
    assert not (world / "out/explained").exists()
