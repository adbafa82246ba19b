"""Faces that are found in pictures: --crop auto."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from pipeline.common import artifacts
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect.detector import Detector
from pipeline.face_detection import detectors
from pipeline.face_detection.face import Face
from tests.detect.written import read
from tests.picture_world import picture

pytestmark = pytest.mark.usefixtures("folder")


class Squares:
    """Stands for a face detector: whatever is red, as squares of 20 pixels on a grid."""

    def find(self, picture):
        height, width = (side // 20 for side in picture.shape[:2])
        places = [(x, y) for x in range(width) for y in range(height)]
        corners = [(20.0 * x, 20.0 * y) for x, y in places if picture[20 * y, 20 * x, 0] == 255]
        return [Face((x, y, x + 20, y + 20), 0.9, ((x, y),) * 5) for x, y in corners]


def red(width, height, places):
    """A picture with squares, each of another red, at places of the grid."""
    pixels = np.minimum(picture(width, height, width), 250)
    for x, y in places:
        pixels[20 * y : 20 * y + 20, 20 * x : 20 * x + 20, 0] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def found(monkeypatch):
    """The options with which faces are found by Squares, in pictures of none, twelve and one."""
    monkeypatch.setattr(detectors, "load", lambda name: Squares())
    Path("seen").mkdir()
    red(200, 160, []).save("seen/a-none.png")
    red(200, 160, [(x, y) for x in (1, 4, 7) for y in (1, 3, 4, 6)]).save("seen/b-twelve.png")
    red(90, 36, [(2, 0)]).save("seen/c-one.png")
    Path("seen/d-broken.png").write_bytes(b"")
    return ["seen", "--crop", "auto"]


def test_every_face_that_is_found_has_a_row(run, found):
    status, rows, said = run(*found)
    names = ["a-none", *["b-twelve"] * 12, "c-one", "d-broken"]
    assert status == 1 and [Path(row["path"]).stem for row in rows] == names
    assert (rows[0]["verdict"], rows[0]["reason"]) == ("cannot judge", "no face was found")
    said = " ".join(said.split())
    assert "1 x no face was found" in said and rows[-1]["error"] == "empty"
    assert "caution: the model's own calibration does not say how its faces were framed" in said
    boxes = [tuple(int(row[name]) for name in BOX_COLUMNS) for row in rows[1:-1]]
    assert boxes[0] == (12, 12, 47, 47) and len(set(boxes[:12])) == 12
    assert boxes[12] == (32, 0, 67, 35), "moved into the picture"
    lines = [
        ",".join(map(str, (row["path"], *box))) for row, box in zip(rows[1:], boxes, strict=False)
    ]
    Path("boxes.csv").write_text("\n".join(["path," + ",".join(BOX_COLUMNS), *lines]) + "\n")
    given = run("seen/b-twelve.png", "seen/c-one.png", "--crop", "boxes.csv")[1]
    assert all(row["verdict"] != "cannot judge" for row in given)
    assert [(r["p_value"], r["verdict"]) for r in given] == [
        (r["p_value"], r["verdict"]) for r in rows[1:-1]
    ]


@pytest.mark.parametrize("kept", [1, 2, 5, 14, 15])
def test_found_faces_are_resumed(run, found, kept):
    """After the header and kept rows: within the twelve, or after all of a picture's."""
    run(*found, "--out", "rows.csv")
    whole = read(Path("rows.csv"))
    lines = Path("rows.csv").read_text().splitlines(keepends=True)
    Path("rows.csv").write_text("".join(lines[: 1 + kept]))
    run(*found, "--out", "rows.csv", "--resume")
    again = read(Path("rows.csv"))
    keys = ("path", *BOX_COLUMNS, "verdict")
    assert [[row[k] for k in keys] for row in again] == [[row[k] for k in keys] for row in whole]


class OpenCvError(Exception):
    """Stands for cv2.error, which is no RuntimeError."""


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, OpenCvError])
def test_a_picture_at_which_the_face_detector_fails_has_its_row(run, found, monkeypatch, error):
    def find(squares, picture, plain=Squares.find):
        if picture.shape == (36, 90, 3):
            raise error("no\nmemory")
        return plain(squares, picture)

    monkeypatch.setattr(Squares, "find", find)
    status, rows, said = run(*found, "--page", "r.html", "--out", "rows.csv")
    rows = read(Path("rows.csv"))
    assert status == 1 and len(rows) == 15 and "1 x the face detector failed" in said
    assert rows[13]["error"] == f"the face detector failed ({error.__name__}: no memory)"
    assert rows[13]["verdict"] == "cannot judge" and rows[12]["p_value"]


def test_a_large_face_is_shrunk_once_to_the_size_of_fdf(run, monkeypatch, world):
    big = Mock(find=Mock(return_value=[Face((100, 120, 271, 220), 0.9, ((0, 0),) * 5)]))
    monkeypatch.setattr(detectors, "load", lambda name: big)
    Image.fromarray(picture(3, 400, 500)).save("big.png")
    reason = run("big.png", "--crop", "auto")[1][0]
    box = tuple(int(reason[name]) for name in BOX_COLUMNS)
    assert box == (36, 20, 336, 320) and "larger than any calibration" in reason["reason"]
    small = Image.open("big.png").crop(box).resize((128, 128), Image.Resampling.LANCZOS)
    score = -Detector.load(world / "models", device="cpu").score_samples([small])[0]
    assert float(reason["anomaly_score"]) == pytest.approx(score, rel=1e-9)


def test_calibration_on_found_faces(run, found):
    status, _, said = run(*found, "--calibrate", "--out", "own.npz", "--false-alarm-rate", "0.2")
    text = " ".join(said.split())
    assert status == 1 and "13 calibration photographs" in text
    assert "left out: 1 x no face was found" in text
    assert (artifacts.read_npz("own.npz")["sizes"] == 35).all()
    own = ["--calibration", "own.npz", "--false-alarm-rate", "0.2"]
    status, _, said = run(*found, *own)
    assert status == 1 and "framed" not in said, "the same --crop"
    status, rows, said = run("seen", *own)
    assert (status, rows) == (2, [])
    assert "made with --crop auto, centerface, not --crop none" in said


def test_rows_of_another_face_detector_are_not_resumed(run, found):
    Path("other.onnx").write_bytes(b"another network")
    run(*found, "--out", "rows.csv")
    other = ["--face-detector", "yunet:other.onnx"]
    status, _, said = run(*found, *other, "--out", "rows.csv", "--resume")
    assert status == 2 and "--crop or --face-detector: it cannot be resumed" in said


def test_a_face_detector_that_cannot_be_had_is_wrong_usage(run):
    status, rows, said = run("photos", "--crop", "auto", "--face-detector", "yunet:absent.onnx")
    assert (status, rows) == (2, []) and "yunet:absent.onnx: No such file" in said
