"""The drawn head: what must be where, what the light does, and that each trait changes its own part
only.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.common import randomness
from pipeline.simulation import head, parts, scene, shots

POSE = scene.Pose(
    roll=0.05,
    yaw=0.1,
    centre=(0.01, -0.02),
    smile=0.05,
    smile_skew=0,
    mouth_open=0,
    gaze=(0, 0),
    lid=0.55,
    parting=0,
)
LIGHT = scene.Light(np.array([0, -0.3, 0.954], np.float32), 0.4, np.ones((3, 1, 1), np.float32), 11)
PERSON = scene.draw_person(randomness.generator(1, "somebody"))
SHOT = shots.draw_portrait_shot(randomness.generator(1, "a shot"))
PERSPECTIVE = SHOT.perspective


def draw(person=PERSON, pose=POSE, light=LIGHT, *, eyes=None) -> np.ndarray:
    """The subject (R, R, 4)."""
    who = parts.Subject(person, pose, light, SHOT)
    return np.moveaxis(head.draw_subject(randomness.generator(1, "draw"), who, eyes), 0, -1)


def changed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two subjects differ: coordinates (n, 2) x, y in pixels of the picture."""
    rows, columns = np.nonzero(np.abs(first - second).max(axis=-1) > 1e-4)
    return np.stack([columns, rows], axis=1) + 0.5 - scene.MARGIN


def value_at(
    subject: np.ndarray, point: tuple[float, float], pose: scene.Pose = POSE
) -> np.ndarray:
    x, y = scene.project(point, pose, PERSPECTIVE)
    row, column = int(y + scene.MARGIN), int(x + scene.MARGIN)
    return subject[row - 2 : row + 3, column - 2 : column + 3].mean(axis=(0, 1))


# --- eyes and landmarks


def test_natural_eyes_are_alike():
    eyes = parts.natural_eyes(PERSON, POSE, LIGHT)
    np.testing.assert_array_equal(eyes.iris[0], eyes.iris[1])
    assert (
        eyes.gaze[0] == eyes.gaze[1]
        and eyes.catchlight[0] == eyes.catchlight[1]
        and eyes.size[0] == eyes.size[1]
    )
    np.testing.assert_array_equal(draw(eyes=eyes), draw())


def test_landmarks_mirror_when_the_head_turns_the_other_way():
    right, left = (parts.landmarks(PERSON, replace(POSE, yaw=yaw)) for yaw in (0.4, -0.4))
    for a, b in (
        ("nose", "nose"),
        ("r_eye", "l_eye"),
        ("r_ear", "l_ear"),
        ("r_shoulder", "l_shoulder"),
        ("mouth", "mouth"),
    ):
        x, y = left[b]
        assert right[a] == pytest.approx((-x, y))


def test_what_stands_out_moves_more_when_the_head_turns():
    still, turned = (parts.landmarks(PERSON, replace(POSE, yaw=yaw)) for yaw in (0.0, 0.5))
    moved = {name: turned[name][0] - still[name][0] for name in ("nose", "mouth", "r_eye", "r_ear")}
    assert moved["nose"] > moved["mouth"] > 0 > moved["r_ear"]


def test_persons_right_is_on_the_left_of_the_picture():
    marks = parts.landmarks(PERSON, replace(POSE, yaw=0.0))
    assert (
        marks["r_eye"][0] < marks["nose"][0] < marks["l_eye"][0]
        and marks["r_ear"][0] < marks["r_eye"][0]
    )
    assert marks["r_eye"][1] < marks["nose"][1] < marks["mouth"][1] < marks["r_shoulder"][1]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("trait", ["iris", "gaze", "catchlight", "size"])
def test_an_eye_changes_at_its_landmark_and_nowhere_else(side, trait):
    eyes = parts.natural_eyes(PERSON, POSE, LIGHT)
    other = {
        "iris": np.array([0.1, 0.4, 0.7], np.float32)[:, None, None],
        "gaze": (0.3, 0.1),
        "catchlight": (-0.4, -0.3),
        "size": 0.2,
    }[trait]
    pair = list(getattr(eyes, trait))
    pair[side] = other
    points = changed(draw(eyes=eyes), draw(eyes=replace(eyes, **{trait: tuple(pair)})))
    assert len(points) > 3
    marks = parts.landmarks(PERSON, POSE)
    centre = scene.project((marks["r_eye"], marks["l_eye"])[side], POSE, PERSPECTIVE)
    reach = (
        {"iris": 0.5, "gaze": 1.1, "catchlight": 1.1}.get(trait, 2.5) * 0.2 * scene.PIXELS_PER_UNIT
    )
    assert max(math.dist(point, centre) for point in points) < reach + 2
    if trait == "iris":
        assert math.dist(points.mean(axis=0), centre) < 2.5


# --- the picture


@pytest.mark.parametrize("number", range(6))
def test_the_subject_is_premultiplied_light_with_coverage(number):
    rng = randomness.generator(1, "subjects", number)
    person, pose, light = scene.draw_person(rng), scene.draw_pose(rng), scene.draw_light(rng, 10)
    who = parts.Subject(person, pose, light, SHOT)
    subject = np.moveaxis(head.draw_subject(rng, who), 0, -1)
    assert (
        subject.shape == (scene.RASTER, scene.RASTER, 4)
        and subject.dtype == np.float32
        and np.isfinite(subject).all()
    )
    assert subject.min() >= -1e-5 and subject[..., 3].max() <= 1 + 1e-6
    assert (subject[subject[..., 3] == 0][:, :3] == 0).all()
    marks = parts.landmarks(person, pose)
    for name in ("nose", "r_eye", "l_eye", "mouth"):
        x, y = who.seen(marks[name])
        assert subject[int(y + scene.MARGIN), int(x + scene.MARGIN), 3] == pytest.approx(
            1, abs=1e-5
        )
    assert subject[: scene.MARGIN, :4, 3].max() == 0, "the corner shows the background"


def test_light_from_a_side_brightens_that_cheek():
    for sign in (-1, 1):
        direction = np.array([sign * 0.8, 0, 0.6], np.float32)
        lit = draw(light=replace(LIGHT, direction=direction, ambient=0.1))
        there, away = (value_at(lit, (s * sign * 0.5, 0.2))[:3].mean() for s in (1, -1))
        assert there > 1.5 * away
    flat = draw(light=replace(LIGHT, ambient=1.0))
    assert (
        np.ptp([value_at(flat, (x, 0.2))[:3].mean() for x in (-0.5, 0.5)])
        < 0.25 * value_at(flat, (0.5, 0.2))[:3].mean()
    )


def test_skin_and_light_colour_are_seen_on_the_cheek():
    dark = draw(replace(PERSON, skin=PERSON.skin / 4))
    ratio = (value_at(draw(), (0.45, 0.25)) / value_at(dark, (0.45, 0.25)))[:3]
    assert (ratio > 2).all()
    warm = draw(light=replace(LIGHT, colour=np.array([1.2, 1, 0.8], np.float32)[:, None, None]))
    np.testing.assert_allclose(
        (value_at(warm, (0.45, 0.25)) / value_at(draw(), (0.45, 0.25)))[:3],
        [1.2, 1, 0.8],
        rtol=0.02,
    )


def test_the_mouth_opens_at_the_mouth():
    points = changed(draw(), draw(pose=replace(POSE, mouth_open=0.1)))
    centre = scene.project(parts.landmarks(PERSON, POSE)["mouth"], POSE, PERSPECTIVE)
    assert math.dist(points.mean(axis=0), centre) < 4
    assert max(math.dist(point, centre) for point in points) < 0.6 * scene.PIXELS_PER_UNIT


def test_clothes_are_below_and_hair_above():
    points = changed(draw(), draw(replace(PERSON, cloth=PERSON.cloth / 3)))
    assert points[:, 1].min() > 64 + 0.9 * scene.PIXELS_PER_UNIT
    bald = (
        value_at(draw(), (0, -0.9))[:3].mean()
        / value_at(draw(replace(PERSON, hair=PERSON.hair / 3)), (0, -0.9))[:3].mean()
    )
    assert bald == pytest.approx(3, rel=0.35)


def test_equal_arguments_draw_equal_pictures():
    np.testing.assert_array_equal(draw(), draw())
