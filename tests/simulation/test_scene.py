"""The scene: geometry that can be inverted, noise of the stated spectrum, persons and lights within
their ranges.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.common import randomness
from pipeline.simulation import scene

FRONTAL = scene.Pose(
    roll=0,
    yaw=0,
    centre=(0, 0),
    smile=0,
    smile_skew=0,
    mouth_open=0,
    gaze=(0, 0),
    lid=0.5,
    parting=0,
)
poses = st.builds(
    lambda roll, x, y: replace(FRONTAL, roll=roll, centre=(x, y)),
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
)


def rng(*key: str | int) -> np.random.Generator:
    return randomness.generator(1, "test", *key)


# --- geometry


@given(poses, st.floats(0, 0.45), st.floats(0, 1.4), st.floats(-math.pi, math.pi))
def test_project_finds_the_pixel_that_sees_the_point(pose, perspective, radius, angle):
    point = (radius * math.cos(angle), radius * math.sin(angle))
    x, y = scene.face_grid(pose, perspective)
    row, column = np.unravel_index(np.argmin(np.hypot(x - point[0], y - point[1])), x.shape)
    assume(0 < row < scene.RASTER - 1 and 0 < column < scene.RASTER - 1)
    found = scene.project(point, pose, perspective)
    assert math.dist(found, (column + 0.5 - scene.MARGIN, row + 0.5 - scene.MARGIN)) <= 0.75


@given(poses, st.floats(0, 0.45))
def test_the_origin_and_far_points_stay_where_a_plane_would_have_them(pose, perspective):
    u = scene.PIXELS_PER_UNIT
    middle = scene.project((0, 0), pose, perspective)
    assert middle == pytest.approx((pose.centre[0] * u + 64, pose.centre[1] * u + 64))
    far = scene.project((1.35, 0), pose, perspective)  # outside the dome nothing is magnified
    assert math.dist(middle, far) == pytest.approx(1.35 * u)


def test_perspective_magnifies_what_is_near_the_camera():
    def seen(radius: float, perspective: float) -> float:
        return (
            math.dist(scene.project((radius, 0), FRONTAL, perspective), (64, 64))
            / scene.PIXELS_PER_UNIT
        )

    for radius in (0.1, 0.5, 0.9):
        assert seen(radius, 0) == pytest.approx(radius)
        assert seen(radius, 0.1) < seen(radius, 0.3)
    assert seen(0.01, 0.2) == pytest.approx(
        0.01 / (1 - 0.2), rel=1e-3
    )  # a pinhole magnifies by 1 / (1 - depth / distance)


def test_the_dome_by_hand():
    x = np.array([0.0, 0.6, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(
        scene.dome_shrink(x, 0 * x, 0.25), [0.75, 1 - 0.25 * 0.64, 1, 1], rtol=1e-6
    )


def test_coverage_is_the_share_of_a_pixel_inside():
    pixel = 1 / scene.PIXELS_PER_UNIT
    distance = np.array([-1, -pixel / 2, -pixel / 4, 0, pixel / 4, pixel / 2, 1], np.float32)
    np.testing.assert_allclose(scene.coverage(distance), [1, 1, 0.75, 0.5, 0.25, 0, 0], atol=1e-5)


# --- texture


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.3])
def test_coloured_noise_has_the_stated_spectrum(slope):
    fields = np.array([scene.coloured_noise(rng("noise", n), slope) for n in range(40)])
    assert fields.std() == pytest.approx(1, abs=1e-3) and abs(fields.mean()) < 1e-3
    power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0)
    frequency = np.hypot(
        np.fft.fftfreq(scene.RASTER)[:, None], np.fft.fftfreq(scene.RASTER)[None, :]
    )
    use = (frequency > 0.02) & (frequency < 0.5)
    fitted = np.polyfit(np.log(frequency[use]), np.log(power[use]) / 2, 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.03)


def test_backgrounds_are_light_of_all_brightnesses_and_differ():
    pictures = [
        scene.draw_background(rng("background", n), scene.draw_light(rng("light", n), 10))
        for n in range(12)
    ]
    for picture in pictures:
        assert (
            picture.shape == (scene.RASTER, scene.RASTER, 3)
            and np.isfinite(picture).all()
            and (picture >= 0).all()
        )
    levels = [np.median(p) for p in pictures]
    assert max(levels) > 3 * min(levels) and len(set(levels)) == 12


# --- who and in what light


def test_persons_are_within_reflectances_and_of_all_skin_tones():
    people = [scene.draw_person(rng("person", n)) for n in range(300)]
    for person in people:
        for colour in (person.skin, person.hair, person.iris, person.lip, person.cloth):
            assert colour.shape == (3,) and (colour > 0).all() and (colour < 1).all()
        assert person.skin.argmax() == 0, "skin reflects red most"
    tones = np.array([p.skin[0] for p in people])
    assert tones.min() < 0.15 and tones.max() > 0.65
    assert np.mean(np.log(tones) < np.log(0.13 * 0.75) / 2) == pytest.approx(0.5, abs=0.1), (
        "log-uniform"
    )


def test_poses_have_real_asymmetry_and_limits():
    drawn = [scene.draw_pose(rng("pose", n)) for n in range(500)]
    assert max(abs(p.yaw) for p in drawn) <= 0.7 and min(p.mouth_open for p in drawn) == 0
    assert (
        np.std([p.smile_skew for p in drawn]) > 0.04
        and abs(np.mean([p.roll for p in drawn])) < 0.02
    )


def test_light_is_a_direction_and_sun_is_harder_than_lamps():
    sunny, dim = ([scene.draw_light(rng("l", n), ev) for n in range(200)] for ev in (15.0, 5.0))
    for light in [*sunny, *dim]:
        assert (
            np.linalg.norm(light.direction) == pytest.approx(1, abs=1e-5) and light.direction[2] > 0
        )
        assert 0.1 <= light.ambient <= 0.7 and (light.colour > 0).all()
    assert (
        np.mean([light.ambient for light in sunny])
        < np.mean([light.ambient for light in dim]) - 0.1
    )
    assert (
        np.mean([light.colour[0] - light.colour[2] for light in dim])
        > 0.1
        > np.mean([s.colour[0] - s.colour[2] for s in sunny])
    )


def test_equal_keys_draw_equal_scenes():
    light = scene.draw_light(rng("l"), 9)
    np.testing.assert_array_equal(
        scene.draw_background(rng("b"), light), scene.draw_background(rng("b"), light)
    )
    assert scene.draw_pose(rng("p")) == scene.draw_pose(rng("p"))
    np.testing.assert_array_equal(
        scene.draw_person(rng("q")).skin, scene.draw_person(rng("q")).skin
    )
