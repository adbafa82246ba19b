"""Regions and the located mouth, against constructed faces whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.manipulation import landmarks as lm

FACE = np.array(
    [[64, 72], [52, 58], [76, 58], [38, 60], [90, 60], [10, 127], [118, 127]], dtype=float
)


def sixty_eight(mouth: tuple[float, float] = (64, 84)) -> np.ndarray:
    """68 points on ellipses around the eyes of FACE and a mouth; the rest on the nose."""
    points = np.tile(FACE[0], (68, 1))
    centres_and_radii = ((mouth, (9, 3)), (FACE[1], (5, 2)), (FACE[2], (5, 2)))
    for own, (centre, radii) in zip(lm.POINTS_68, centres_and_radii, strict=True):
        angle = np.linspace(0, 2 * np.pi, 1 + own.stop - own.start)[:-1]
        points[own] = centre + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points


def turned(points: np.ndarray, degrees: float, scale: float = 1.0) -> np.ndarray:
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return (points - 64) @ np.array([[c, s], [-s, c]]) + 64


def edited(row: int, value: tuple[float, float]) -> np.ndarray:
    face = FACE.copy()
    face[row] = value
    return face


@given(st.floats(-180, 180), st.floats(0.3, 1.5), st.floats(-5, 5), st.floats(-12, 12))
def test_the_mouth_lies_half_an_eye_distance_below_the_nose(degrees, scale, shift, sideways):
    # Upright the eyes are 24 px apart and the nose is 14 px below them: the mouth is at 14 + 12.
    face = turned(edited(0, (64 + sideways, 72)), degrees, scale) + shift
    mouth = turned(np.array([[64.0, 84.0]]), degrees, scale) + shift
    np.testing.assert_allclose(lm.mouth_centre_from_seven(face[None]), mouth, atol=1e-9)
    flat = face.reshape(1, 14)
    np.testing.assert_allclose(lm.mouth_centre_from_seven(flat), mouth, atol=1e-9)


def test_regions_from_seven_by_hand():
    # Halves in eye distances of 24 px: mouth 0.62 x 0.40, eyes 0.36 x 0.26, to whole pixels.
    # The person's right eye is on the left of the picture.
    regions = lm.regions_from_seven(FACE[None], 128)
    assert regions.boxes.tolist() == [[[49, 74, 79, 94], [43, 52, 61, 64], [67, 52, 85, 64]]]
    assert regions.usable.tolist() == [True]


def test_regions_from_68_hold_their_points_and_a_margin():
    points = sixty_eight()
    regions = lm.regions_from_68(points[None], 128)
    assert regions.usable.all()
    for own, (x0, y0, x1, y1) in zip(lm.POINTS_68, regions.boxes[0], strict=True):
        assert (points[own] > [x0, y0]).all() and (points[own] < [x1, y1]).all()
        assert x1 - x0 <= 1 + 1.8 * np.ptp(points[own, 0])


def test_mouth_errors_are_distances_to_the_middle_of_the_68_points():
    errors = lm.mouth_errors(FACE[None], sixty_eight((67, 88))[None])
    np.testing.assert_allclose(errors, [5.0], atol=1e-9)


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (edited(0, (math.nan, 72)), "landmarks_missing"),
        (edited(1, (math.inf, 58)), "landmarks_missing"),
        (edited(2, (128, 58)), "landmarks_outside"),
        (edited(1, (-0.1, 58)), "landmarks_outside"),
        (edited(1, (76, 58)), "eyes_coincide"),
        (edited(0, (64, 50)), "nose_above_eyes"),
        (edited(0, (80, 72)), "nose_beside_eyes"),
        (turned(FACE, 0, 0.4), "region_too_small"),
        (turned(FACE, 0, 0.8) - [0, 59], "region_too_small"),  # half of the eyes' boxes is outside
        (turned(FACE, 180), ""),
        (edited(5, (math.nan, math.nan)), ""),  # shoulders are not used
    ],
)
def test_unusable_faces_have_a_reason_and_no_boxes(face: np.ndarray, reason: str):
    regions = lm.regions_from_seven(np.stack([FACE, face]), 128)
    assert regions.reasons.tolist() == ["", reason]
    assert regions.boxes[1].any() == (not reason)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.full((68, 2), math.nan), "landmarks_missing"),
        (np.full((68, 2), 64.0), "eyes_coincide"),
        (sixty_eight((64, 126)), "landmarks_outside"),
        ((sixty_eight() - 64) * 0.4 + 64, "region_too_small"),
    ],
)
def test_unusable_68_points(points: np.ndarray, reason: str):
    regions = lm.regions_from_68(points[None], 128)
    assert regions.reasons.tolist() == [reason]
    assert not regions.boxes.any()


@given(
    st.lists(st.floats(-200, 300) | st.floats(), min_size=14, max_size=14),
    st.sampled_from([64, 128]),
)
def test_any_landmarks_give_boxes_inside_the_picture_or_a_reason(values: list[float], side: int):
    together = lm.regions_from_seven(np.array([FACE.ravel(), values]), side)
    regions = lm.regions_from_seven(np.array([values]), side)
    boxes = regions.boxes[0]
    np.testing.assert_array_equal(boxes, together.boxes[1])  # faces do not influence each other
    assert ((boxes >= 0) & (boxes <= side)).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides >= lm.MINIMUM_SIDE).all() if regions.usable[0] else not boxes.any()


@pytest.mark.parametrize("shape", [(1, 13), (14,), (2, 7, 3)])
def test_wrong_shapes_of_seven(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(n, 7, 2\)"):
        lm.regions_from_seven(np.zeros(shape), 128)


@pytest.mark.parametrize("shape", [(68, 2), (1, 67, 2)])
def test_wrong_shapes_of_68(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(n, 68, 2\)"):
        lm.regions_from_68(np.zeros(shape), 128)
