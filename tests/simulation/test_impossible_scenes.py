"""Pictures with a camera's noise that no camera could have taken: each shows its artefact by a
measure of its own, and nothing else differs from a photograph.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from pipeline.simulation import camera, generators, impossible_scenes, parts, scene
from tests.simulation.plain_shot import FRONTAL, rng
from tests.simulation.some_pictures import SEED, drawn, pictures

BOTH = ("sim_illumination", "sim_gamut")
RIGHT, LEFT = -1, 1  # of the person: the sign of x


def linear(stack: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in 0..1 (IEC 61966-2-1)."""
    return np.where(stack <= 0.04045, stack / 12.92, ((stack + 0.055) / 1.055) ** 2.4)


# --- nothing but the artefact


@pytest.mark.parametrize("name", BOTH)
def test_the_noise_is_that_of_a_photograph(name):
    """Its level in each channel (Immerkaer 1996), and the mosaic: demosaicing averages what it
    interpolates.
    """
    kernel = np.outer([1, -2, 1], [1, -2, 1])

    def level(stack: np.ndarray) -> np.ndarray:
        """In each channel, the mean: the median of red and blue is one of 255 levels."""
        residual = ndimage.convolve(stack, kernel[None, :, :, None])
        return np.abs(residual).mean(axis=(0, 1, 2))

    def interpolated(stack: np.ndarray) -> float:
        """Residual of green where it was interpolated over that where it was measured."""
        residual = np.abs(ndimage.convolve(stack[..., 1], kernel[None]))
        median = {(y, x): np.median(residual[:, y::2, x::2]) for y in (0, 1) for x in (0, 1)}
        return float((median[0, 0] + median[1, 1]) / (median[0, 1] + median[1, 0]))

    stack, photographs = pictures(name), pictures("photograph")
    np.testing.assert_allclose(level(stack), level(photographs), rtol=0.05)
    assert interpolated(stack) == pytest.approx(interpolated(photographs), rel=0.05)
    for other in ("clean", "sim_rolloff"):  # both measures tell other noise from a camera's
        assert level(pictures(other))[1] < 0.5 * level(photographs)[1]
        assert abs(interpolated(pictures(other)) / interpolated(photographs) - 1) > 0.2


# --- illumination


def azimuth(picture: np.ndarray, who: parts.Subject, side: int) -> float:
    """Direction of the light on one cheek, radians: least squares of its radiance on the normals of
    an ellipsoid (Johnson and Farid 2007, to first order), which knows nothing of the relief.
    """
    inner = slice(scene.MARGIN, -scene.MARGIN)
    grid = scene.face_grid(who.pose, who.shot.perspective)
    x, y = (values[inner, inner] for values in grid)
    across = x / who.person.head_width
    cheek = (side * x > 0.2) & (side * across < 0.8) & (y > 0) & (y < 0.4)
    normals = np.stack([across, y, np.sqrt(np.maximum(0, 1 - across**2 - y**2))], axis=-1)[cheek]
    radiance = linear(picture)[cheek].mean(axis=-1)
    light = np.linalg.lstsq(normals, radiance, rcond=None)[0]
    return float(np.arctan2(light[0], light[2]))


def test_each_half_of_the_face_is_lit_by_a_light_of_its_own(monkeypatch):
    lights: list[list[np.ndarray]] = []
    draw = impossible_scenes.head.draw_subject

    def recorded(random, who, eyes=None):
        lights[-1].append(who.light.direction)
        return draw(random, who, eyes)

    monkeypatch.setattr(impossible_scenes.head, "draw_subject", recorded)
    measured = []
    for number in range(24):
        pair = []
        for name in ("photograph", "sim_illumination"):
            random = rng("lit", number)
            who = replace(generators.portrait_subject(random), pose=FRONTAL)
            lights.append([])
            if name == "photograph":
                picture = camera.photograph(random, generators.render(random, who), who.shot) / 255
            else:
                picture = impossible_scenes.sim_illumination(random, who, SEED)
            pair.append([azimuth(picture, who, side) for side in (RIGHT, LEFT)])
        measured.append(pair)
    photographs, generated = np.swapaxes(measured, 0, 1)
    first, second = (np.array([pair[i] for pair in lights[1::2]]) for i in (0, 1))
    apart = np.degrees(np.arccos((first * second).sum(axis=1)))
    assert apart.min() >= 45 - 1e-3
    true = [np.arctan2(light[:, 0], light[:, 2]) for light in (first, second)]

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1])

    assert alike(generated[:, 0], true[0]) > 0.6 and alike(generated[:, 1], true[1]) > 0.6
    assert alike(generated[:, 0], generated[:, 1]) < 0 < alike(*photographs.T)


def test_the_two_lights_show_one_person_and_background(monkeypatch):
    """Coverage is that of a single light: the texture that shapes hair was drawn once."""
    monkeypatch.setattr(
        camera,
        "photograph",
        lambda _, layers, shot: np.stack([*layers.background, *layers.subject]),
    )
    random, who = drawn(0)
    lit = impossible_scenes.sim_illumination(random, who, SEED) * 255
    random, who = drawn(0)
    single = generators.render(random, who)
    np.testing.assert_allclose(lit[:3], single.background, rtol=1e-5)
    np.testing.assert_allclose(lit[6], single.subject[3], atol=1e-5)
    assert np.abs(lit[3:6] - single.subject[:3]).max() > 0.05


# --- colour


def test_colours_are_weighted_by_one_matrix_that_keeps_white():
    """The matrix is found from pictures alone, where nothing clips; that of photographs is 1."""
    clean = linear(pictures("clean")).reshape(-1, 3)
    kept = clean.max(axis=1) < 0.8

    def fitted(name: str) -> np.ndarray:
        taken = linear(pictures(name)).reshape(-1, 3)
        return np.linalg.lstsq(clean[kept], taken[kept], rcond=None)[0].T

    found = fitted("sim_gamut")
    np.testing.assert_allclose(fitted("photograph"), np.eye(3), atol=0.025)
    np.testing.assert_allclose(found, impossible_scenes.colour_weights(SEED), atol=0.025)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=0.025)
    assert np.abs(found - np.eye(3)).max() > 0.05


def test_the_weights_are_those_of_the_generator_overlap_and_may_be_negative():
    drawn = np.array([impossible_scenes.colour_weights(seed) for seed in range(300)])
    np.testing.assert_allclose(drawn.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_array_equal(drawn[7], impossible_scenes.colour_weights(7))
    beside = drawn[:, ~np.eye(3, dtype=bool)]
    # An error of 0.1 less the mean of three such errors.
    assert beside.std() == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.1)
    assert 0.4 < (beside < 0).mean() < 0.6
