"""What is common to the detectors, and YuNet behind a stand-in for its network."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.face_detection import detectors, face

coordinates = st.floats(-100, 800)


@given(
    st.lists(st.tuples(*[coordinates] * 4), max_size=6), st.integers(1, 1000), st.integers(1, 1000)
)
def test_faces_are_scaled_clipped_and_sorted(seen, height, width):
    boxes, scores = np.array(seen).reshape(-1, 4), np.arange(len(seen), dtype=float)
    points = np.tile(boxes[:, None, :2], (1, 5, 1))
    found = face.faces(boxes, scores, points, (500, 400, 3), (height, width, 3))
    assert found == sorted(found)
    for box, score, own in found:
        x0, y0, x1, y1 = seen[int(score)]
        scaled = [x0 * width / 400, y0 * height / 500, x1 * width / 400, y1 * height / 500]
        assert own[0] == own[4] == pytest.approx(scaled[:2])
        limits = [width, height, width, height]
        clipped = [min(max(v, 0), limit) for v, limit in zip(scaled, limits, strict=True)]
        assert box == pytest.approx(clipped) and box[0] < box[2] and box[1] < box[3]
    visible = [
        (x0, y0, x1, y1) for x0, y0, x1, y1 in seen if 0 < x0 < x1 < 400 and 0 < y0 < y1 < 500
    ]
    assert len(found) >= len(
        [box for box in visible if box[2] - box[0] > 1 and box[3] - box[1] > 1]
    )


@pytest.mark.parametrize("name", ["", "yunet", "mtcnn", "centerface:x"])
def test_another_name_is_refused(name):
    with pytest.raises(PipelineError, match="use centerface or yunet:FILE"):
        detectors.load(name)


def test_without_opencv_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(PipelineError, match="OpenCV is not installed; python -m pip install"):
        detectors.load("centerface")


@pytest.mark.parametrize("content", [None, b"", b"no network"])
def test_a_file_that_is_no_yunet_is_one_sentence(tmp_path, content):
    path = tmp_path / "yunet.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=rf"^face detector yunet:{path}: ") as caught:
        detectors.load(f"yunet:{path}")
    assert "\n" not in str(caught.value)


def test_another_network_is_no_yunet(tmp_path, centerface):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(centerface._model)
    with pytest.raises(PipelineError, match="no YuNet model"):
        detectors.load(f"yunet:{path}")


def test_rows_of_yunet_become_faces(tmp_path, monkeypatch):
    """OpenCV's documented row: x, y, width, height, five points, score; pictures are BGR."""
    asked = []

    def detect(picture):
        asked.append(picture)
        points = [12.0, 22, 32, 22, 22, 32, 14, 42, 30, 42]
        faces = np.array([[10, 20, 24, 30, *points, 0.9]], np.float32)
        return 1, None if len(asked) % 2 else faces

    network = SimpleNamespace(setInputSize=lambda size: None, detect=detect)
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: network, raising=True)
    (tmp_path / "yunet.onnx").write_bytes(b"stands for a network")
    detector = detectors.load(f"yunet:{tmp_path / 'yunet.onnx'}")
    picture = np.zeros((60, 50, 3), np.uint8)
    picture[..., 0] = 255  # red
    (found,) = detector.find(picture)
    assert (asked[-1][0, 0] == [0, 0, 255]).all()
    assert found.box == (10, 20, 34, 50) and found.score == pytest.approx(0.9)
    assert found.landmarks == ((12, 22), (32, 22), (22, 32), (14, 42), (30, 42))
