"""The scene: geometry that can be inverted, noise of the stated spectrum, persons and lights within
their ranges.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.simulation import scene
from tests.simulation.plain_shot import FRONTAL, rng

poses = st.builds(
    lambda roll, x, y: replace(FRONTAL, roll=roll, centre=(x, y)),
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.floats(-0.1, 0.1),
)


@given(poses, st.floats(0, 0.45), st.floats(0, 1.4), st.floats(-math.pi, math.pi))
def test_project_finds_the_pixel_that_sees_the_point(pose, perspective, radius, angle):
    point = (radius * math.cos(angle), radius * math.sin(angle))
    x, y = scene.face_grid(pose, perspective)
    row, column = np.unravel_index(np.argmin(np.hypot(x - point[0], y - point[1])), x.shape)
    assume(0 < row < scene.RASTER - 1 and 0 < column < scene.RASTER - 1)
    seen = scene.project(point, pose, perspective)
    assert math.dist(seen, (column + 0.5 - scene.MARGIN, row + 0.5 - scene.MARGIN)) <= 0.75


@given(st.floats(0, 0.45), st.floats(1e-6, 2))
@example(0.45, 0.6)  # Newton's method alternates between two numbers here: it must end
def test_project_inverts_the_pinholes_magnification(perspective, radius):
    x, _ = scene.project((radius, 0), FRONTAL, perspective)
    seen = (x - scene.SIDE / 2) / scene.PIXELS_PER_UNIT
    shrink = scene.dome_shrink(np.array([seen]), np.zeros(1), perspective)[0]
    assert seen * shrink == pytest.approx(radius, rel=1e-6, abs=1e-9)


def test_the_dome_by_hand():
    x = np.array([0.0, 0.6, 1.0, 2.0], np.float32)
    expected = [0.75, 1 - 0.25 * 0.64, 1, 1]
    np.testing.assert_allclose(scene.dome_shrink(x, 0 * x, 0.25), expected, rtol=1e-6)


def test_coverage_is_the_share_of_a_pixel_inside():
    pixel = 1 / scene.PIXELS_PER_UNIT
    distance = np.array([-1, -pixel / 2, -pixel / 4, 0, pixel / 4, pixel / 2, 1], np.float32)
    np.testing.assert_allclose(scene.coverage(distance), [1, 1, 0.75, 0.5, 0.25, 0, 0], atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.3])
def test_coloured_noise_has_the_stated_spectrum(slope):
    fields = np.array([scene.coloured_noise(rng("noise", n), slope) for n in range(40)])
    assert fields.std() == pytest.approx(1, abs=1e-3) and abs(fields.mean()) < 1e-3
    power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0)
    axis = np.fft.fftfreq(scene.RASTER)
    frequency = np.hypot(axis[:, None], axis[None, :])
    use = (frequency > 0.02) & (frequency < 0.5)
    fitted = np.polyfit(np.log(frequency[use]), np.log(power[use]) / 2, 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.03)


def test_backgrounds_are_light_of_all_brightnesses_and_functions_of_their_key():
    def draw(n: int) -> np.ndarray:
        return scene.draw_background(rng("background", n), scene.draw_light(rng("light", n), 10))

    pictures = np.array([draw(n) for n in range(12)])
    assert pictures.shape == (12, 3, scene.RASTER, scene.RASTER)
    assert np.isfinite(pictures).all() and (pictures >= 0).all()
    levels = np.median(pictures, axis=(1, 2, 3))
    assert max(levels) > 3 * min(levels)
    np.testing.assert_array_equal(draw(3), pictures[3])


def test_persons_are_within_reflectances_and_of_all_skin_tones():
    people = [scene.draw_person(rng("person", n)) for n in range(300)]
    for person in people:
        for colour in (person.skin, person.hair, person.iris, person.lip, person.cloth):
            assert colour.shape == (3, 1, 1) and (colour > 0).all() and (colour < 1).all()
        assert person.skin.argmax() == 0, "skin reflects red most"
    tones = np.array([p.skin[0, 0, 0] for p in people])
    assert tones.min() < 0.15 and tones.max() > 0.65
    below_the_middle = np.log(tones) < np.log(0.13 * 0.75) / 2
    assert below_the_middle.mean() == pytest.approx(0.5, abs=0.1), "log-uniform"
