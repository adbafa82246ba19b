"""Calibration on a person's own photographs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.common import artifacts
from pipeline.detect.detector import Detector
from tests.picture_world import picture

pytestmark = pytest.mark.usefixtures("folder")


def test_own_calibration(run, world):
    Path("own").mkdir()
    for i in range(45):
        Image.fromarray(picture(500 + i, 50, 60)).save(f"own/{i:02}.png")
    shutil.copy("own/00.png", "own/again.png")
    Path("own/bad.png").write_bytes(b"")
    status, rows, said = run("--calibrate", "own", "--out", "own.npz")
    text = " ".join(said.split())
    assert status == 1 and rows == [] and "45 calibration photographs" in text
    assert "1 x empty" in text and "1 x the same picture again" in text
    assert max(map(len, said.splitlines())) <= 80
    before = {path.name: path.read_bytes() for path in Path("models").iterdir()}
    images = [Image.open(f"own/{i:02}.png") for i in range(45)]
    scores = -Detector.load("models", device="cpu").score_samples(images)
    arrays = artifacts.read_npz("own.npz")
    assert arrays["scores"][0] == pytest.approx(sorted(scores), rel=1e-9)
    assert (arrays["sizes"] == [60, 50]).all()
    found = run("own", "--calibration", "own.npz")[1]
    judged = {row["path"]: row for row in found}
    assert judged["own/00.png"]["verdict"] != "cannot judge"
    assert run("own/00.png")[1][0]["reason"].startswith("larger than any calibration")
    p = {path: float(row["p_value"]) for path, row in judged.items() if row["p_value"]}
    assert len(set(p.values())) == 45 and min(p.values()) == pytest.approx(2 / 46)
    assert {path.name: path.read_bytes() for path in Path("models").iterdir()} == before
    assert run("photos", "--calibrate", "--out", "own.npz")[0] == 2, "it is there already"


def test_too_few_photographs_to_calibrate_on_say_how_many(run):
    status, _, said = run("--calibrate", "photos", "--out", "own.npz", "--false-alarm-rate", "0.01")
    assert status == 2 and "needs at least 99 different photographs" in " ".join(said.split())
    assert not Path("own.npz").exists()
    assert run("--calibrate", "photos")[0] == 2, "without --out"


def test_the_calibration_of_another_model_is_refused(run):
    run("--calibrate", "photos", "--out", "own.npz")
    arrays = artifacts.read_npz("own.npz")
    artifacts.write_npz("own.npz", **{**arrays, "model": np.array("0" * 64)})
    status, _, said = run("photos", "--calibration", "own.npz")
    assert status == 3 and "a calibration of another model" in said


def test_a_calibration_that_does_not_say_its_crop_is_refused(run):
    run("--calibrate", "photos", "--out", "own.npz")
    arrays = artifacts.read_npz("own.npz")
    del arrays["framing"]
    artifacts.write_npz("own.npz", **arrays)
    status, _, said = run("photos", "--calibration", "own.npz")
    assert status == 3 and "own.npz: does not say with which --crop" in said
