"""The square around a face: a crop by hand, and what holds for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.face_detection.framing import FACE_SHARE, SIDE, frame, shrink


@st.composite
def faces_in_pictures(draw):
    width, height = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    x = sorted(draw(st.floats(0, width)) for _ in range(2))
    y = sorted(draw(st.floats(0, height)) for _ in range(2))
    return (x[0], y[0], x[1], y[1]), width, height


def test_by_hand():
    assert frame((100, 100, 140, 157), 1000, 800) == (70, 78, 170, 178)
    assert frame((0, 100, 57, 140), 1000, 800) == (0, 70, 100, 170), "moved into the picture"
    assert frame((10, 10, 150, 160), 200, 170) == (0, 0, 170, 170), "as large as the picture"


@given(faces_in_pictures())
def test_a_frame_is_a_square_within_the_picture_around_the_face(case):
    (x0, y0, x1, y1), width, height = case
    left, top, right, bottom = frame((x0, y0, x1, y1), width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    side = right - left
    assert side == bottom - top
    longer = max(x1 - x0, y1 - y0)
    if longer / FACE_SHARE <= min(width, height):
        assert side == pytest.approx(max(1, longer / FACE_SHARE), abs=0.5)
    if longer <= side:
        assert left - 1 <= x0 and x1 <= right + 1 and top - 1 <= y0 and y1 <= bottom + 1
    free = left > 0 and right < width
    assert not free or (left + right) / 2 == pytest.approx((x0 + x1) / 2, abs=1)


@pytest.mark.parametrize("side", [1, SIDE - 1, SIDE])
def test_a_small_square_is_left_as_it_is(side):
    square = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    assert (shrink(square) == square).all()


def test_a_large_square_is_resampled_once_with_antialiasing():
    stripes = np.zeros((4 * SIDE, 4 * SIDE, 3), np.uint8)
    stripes[:, ::2] = 200  # finer than the result can show
    small = shrink(stripes)
    assert small.shape == (SIDE, SIDE, 3) and small.dtype == np.uint8
    assert (abs(small[:, 4:-4].astype(int) - 100) <= 1).all()
    picture = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    assert (shrink(picture) == np.asarray(expected)).all()
