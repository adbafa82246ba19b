"""Regions and the located mouth, against constructed faces whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manipulation import landmarks as lm

FACE = np.array(
    [[64, 72], [52, 58], [76, 58], [38, 60], [90, 60], [10, 127], [118, 127]], dtype=float
)


def sixty_eight(mouth: tuple[float, float] = (64, 84)) -> np.ndarray:
    """68 points on ellipses around the eyes of FACE and a mouth; the rest on the nose."""
    points = np.tile(FACE[0], (68, 1))
    for part, centre, width, height in (
        ("right_eye", FACE[1], 5, 2),
        ("left_eye", FACE[2], 5, 2),
        ("mouth", mouth, 9, 3),
    ):
        own = lm.POINTS_68[part]
        angle = np.linspace(0, 2 * np.pi, 1 + own.stop - own.start)[:-1]
        points[own] = np.asarray(centre) + np.stack(
            [width * np.cos(angle), height * np.sin(angle)], axis=1
        )
    return points


def turned(points: np.ndarray, degrees: float, scale: float = 1.0) -> np.ndarray:
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return (points - 64) @ np.array([[c, s], [-s, c]]) + 64


def test_mouth_lies_half_an_eye_distance_below_the_nose():
    # Upright: the eyes are 24 px apart, the nose is 14 px below them, so the mouth is 14 + 12 px
    # below.
    np.testing.assert_allclose(lm.mouth_centre_from_seven(FACE[None]), [[64, 84]], atol=1e-12)


def test_the_noses_sideways_offset_is_ignored():
    face = FACE.copy()
    face[0, 0] += 7
    np.testing.assert_allclose(lm.mouth_centre_from_seven(face[None]), [[64, 84]], atol=1e-12)


@given(st.floats(-80, 80), st.floats(0.3, 1.5), st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_mouth_moves_with_the_face(degrees: float, scale: float, shift: float):
    face = turned(FACE, degrees, scale) + shift
    np.testing.assert_allclose(
        lm.mouth_centre_from_seven(face[None]),
        turned(np.array([[64.0, 84.0]]), degrees, scale) + shift,
        atol=1e-9,
    )


def test_flat_and_nested_landmarks_mean_the_same():
    np.testing.assert_array_equal(
        lm.mouth_centre_from_seven(FACE.reshape(1, 14)), lm.mouth_centre_from_seven(FACE[None])
    )


def test_regions_from_seven():
    regions = lm.regions_from_seven(FACE[None], 128)
    # Halves in eye distances of 24 px: mouth 0.62 x 0.40, eyes 0.36 x 0.26, rounded to whole
    # pixels.
    assert regions.boxes.tolist() == [[[49, 74, 79, 94], [43, 52, 61, 64], [67, 52, 85, 64]]]
    assert regions.usable.tolist() == [True]


def test_regions_from_68_hold_their_points():
    points = sixty_eight()
    regions = lm.regions_from_68(points[None], 128)
    assert regions.usable.all()
    for part, (x0, y0, x1, y1) in zip(lm.PARTS, regions.boxes[0], strict=True):
        own = points[lm.POINTS_68[part]]
        assert (own > [x0, y0]).all() and (own < [x1, y1]).all()
        assert x1 - x0 <= 1 + 1.8 * np.ptp(own[:, 0])


def test_the_right_eye_is_on_the_left_of_the_picture():
    for regions in (
        lm.regions_from_seven(FACE[None], 128),
        lm.regions_from_68(sixty_eight()[None], 128),
    ):
        mouth, right, left = regions.boxes[0]
        assert right[0] < left[0] and right[3] < mouth[1] + 1


def test_mouth_errors_are_distances_to_the_middle_of_the_68_points():
    np.testing.assert_allclose(
        lm.mouth_errors(FACE[None], sixty_eight((67, 88))[None]), [5.0], atol=1e-9
    )


def edited(row: int, value: tuple[float, float]) -> np.ndarray:
    face = FACE.copy()
    face[row] = value
    return face


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
        (turned(FACE, 180), "landmarks_ok"),
        (turned(FACE, 0, 0.4), "region_too_small"),
        (
            turned(FACE, 0, 0.8) - [0, 59],
            "region_too_small",
        ),  # half of the eyes' boxes is outside the picture
        (edited(5, (math.nan, math.nan)), "landmarks_ok"),  # shoulders are not used
    ],
)
def test_unusable_faces_have_a_reason_and_no_boxes(face: np.ndarray, reason: str):
    regions = lm.regions_from_seven(np.stack([FACE, face]), 128)
    assert regions.reasons.tolist() == ["", "" if reason == "landmarks_ok" else reason]
    assert (regions.boxes[1].any()) == (reason == "landmarks_ok")


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


def test_an_upside_down_face_is_usable():
    regions = lm.regions_from_seven(turned(FACE, 180)[None], 128)
    mouth, right, _ = regions.boxes[0]
    assert regions.usable.all() and mouth[3] <= right[1] + 1


@given(
    st.lists(st.floats(-200, 300) | st.floats(), min_size=14, max_size=14),
    st.sampled_from([64, 128]),
)
@settings(max_examples=200, deadline=None)
def test_any_landmarks_give_boxes_inside_the_picture_or_a_reason(values: list[float], side: int):
    regions = lm.regions_from_seven(np.array([values]), side)
    boxes = regions.boxes[0]
    assert ((boxes >= 0) & (boxes <= side)).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides >= lm.MINIMUM_SIDE).all() if regions.usable[0] else not boxes.any()


def test_faces_do_not_influence_each_other():
    faces = np.stack([FACE, turned(FACE, 20), edited(0, (math.nan, 0)), turned(FACE, -30)])
    together = lm.regions_from_seven(faces, 128)
    for i, face in enumerate(faces):
        alone = lm.regions_from_seven(face[None], 128)
        np.testing.assert_array_equal(alone.boxes[0], together.boxes[i])
        assert alone.reasons[0] == together.reasons[i]


@pytest.mark.parametrize("shape", [(1, 13), (1, 7), (14,), (2, 7, 3)])
def test_wrong_shapes_of_seven(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(n, 7, 2\)"):
        lm.regions_from_seven(np.zeros(shape), 128)


@pytest.mark.parametrize("shape", [(68, 2), (1, 67, 2), (1, 68, 3)])
def test_wrong_shapes_of_68(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"\(n, 68, 2\)"):
        lm.regions_from_68(np.zeros(shape), 128)


def test_no_faces():
    assert lm.regions_from_seven(np.zeros((0, 14)), 128).boxes.shape == (0, 3, 4)
    assert lm.regions_from_68(np.zeros((0, 68, 2)), 128).boxes.shape == (0, 3, 4)
