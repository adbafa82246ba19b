"""The drawn head: what must be where, what the light does, and that each trait changes its own part
only.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.simulation import head, parts, scene
from tests.simulation.plain_shot import FRONTAL, rng, shot

POSE = replace(FRONTAL, roll=0.05, yaw=0.1, centre=(0.01, -0.02), smile=0.05, lid=0.55)
LIGHT = scene.Light(np.array([0, -0.3, 0.954], np.float32), 0.4, scene.colour([1, 1, 1]), 11)
PERSON = scene.draw_person(rng("somebody"))
WHO = parts.Subject(PERSON, POSE, LIGHT, shot())
EYES = parts.natural_eyes(PERSON, POSE, LIGHT)


def draw(eyes: parts.Eyes | None = None, **changes) -> np.ndarray:
    return head.draw_subject(rng("draw"), replace(WHO, **changes), eyes)


def changed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two subjects differ: coordinates (n, 2) x, y in pixels of the picture."""
    rows, columns = np.nonzero(np.abs(first - second).max(axis=0) > 1e-4)
    return np.stack([columns, rows], axis=1) + 0.5 - scene.MARGIN


def colour_at(subject: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """Mean colour (3,) of 5 x 5 pixels around a face point."""
    column, row = (int(value + scene.MARGIN) for value in WHO.seen(point))
    return subject[:3, row - 2 : row + 3, column - 2 : column + 3].mean(axis=(1, 2))


def test_landmarks_mirror_and_what_stands_out_moves_more_when_the_head_turns():
    left, still, right = (
        parts.landmarks(PERSON, replace(POSE, yaw=yaw)) for yaw in (-0.4, 0.0, 0.4)
    )
    assert (
        still["r_ear"][0] < still["r_eye"][0] < still["nose"][0] < still["l_eye"][0]
    )  # the person's right
    assert still["r_eye"][1] < still["nose"][1] < still["mouth"][1] < still["r_shoulder"][1]
    mirrored = {"r_eye": "l_eye", "r_ear": "l_ear", "r_shoulder": "l_shoulder"}
    for name in ("nose", "mouth", *mirrored):
        x, y = left[mirrored.get(name, name)]
        assert right[name] == pytest.approx((-x, y))
    nose, mouth, ear = (right[name][0] - still[name][0] for name in ("nose", "mouth", "r_ear"))
    assert nose > mouth > 0 > ear


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("trait", "other", "reach"),  # in eye half-widths
    [
        ("iris", scene.colour([0.1, 0.4, 0.7]), 0.5),
        ("gaze", (0.3, 0.1), 1.1),
        ("catchlight", (-0.4, -0.3), 1.1),
        ("size", 0.2, 2.5),
    ],
)
def test_an_eye_changes_at_its_landmark_and_nowhere_else(side, trait, other, reach):
    pair = list(getattr(EYES, trait))
    pair[side] = other
    points = changed(draw(EYES), draw(replace(EYES, **{trait: tuple(pair)})))
    centre = WHO.seen(WHO.marks[("r_eye", "l_eye")[side]])
    assert len(points) > 3
    farthest = max(math.dist(point, centre) for point in points)
    assert farthest < reach * 0.2 * scene.PIXELS_PER_UNIT + 2


@pytest.mark.parametrize("number", range(6))
def test_the_subject_is_premultiplied_light_with_coverage(number):
    random = rng("subjects", number)
    person, pose = scene.draw_person(random), scene.draw_pose(random)
    who = parts.Subject(person, pose, scene.draw_light(random, 10), shot(focal_length_mm=24))
    subject = head.draw_subject(random, who)
    assert subject.shape == (4, scene.RASTER, scene.RASTER) and subject.dtype == np.float32
    assert np.isfinite(subject).all() and subject.min() >= -1e-5 and subject[3].max() <= 1 + 1e-6
    assert (subject[:3, subject[3] == 0] == 0).all()
    for name in ("nose", "r_eye", "l_eye", "mouth"):
        x, y = who.seen(who.marks[name])
        cover = subject[3, int(y + scene.MARGIN), int(x + scene.MARGIN)]
        assert cover == pytest.approx(1, abs=1e-5)
    assert subject[3, : scene.MARGIN, :4].max() == 0, "the corner shows the background"


def test_skin_hair_and_light_are_seen_in_their_colours():
    cheek, hair = (0.45, 0.25), (0, -0.9)
    warm = draw(light=replace(LIGHT, colour=scene.colour([1.2, 1, 0.8])))
    ratio = colour_at(warm, cheek) / colour_at(draw(), cheek)
    np.testing.assert_allclose(ratio, [1.2, 1, 0.8], rtol=0.02)
    dark = draw(person=replace(PERSON, skin=PERSON.skin / 4))
    assert (colour_at(draw(), cheek) / colour_at(dark, cheek) > 2).all()
    black = draw(person=replace(PERSON, hair=PERSON.hair / 3))
    assert colour_at(draw(), hair).mean() / colour_at(black, hair).mean() == pytest.approx(3, 0.35)
