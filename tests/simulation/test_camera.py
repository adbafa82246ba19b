"""The lens against its formulas: what each tag does, worked out by hand or by brute force in plain
NumPy.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j1

from pipeline.simulation import camera, scene, shots
from tests.plain_shot import SHOT, shot

R, SIDE = scene.RASTER, scene.SIDE


def picture_on_sensor(layer: np.ndarray, taken: shots.Shot, *, subject: bool) -> np.ndarray:
    """Light on the sensor of one layer (R, R), vignetting removed; the layer fills the view."""
    field = np.repeat(layer[..., None], 3, axis=2).astype(np.float32)
    opaque = np.concatenate([field, np.ones((R, R, 1), np.float32)], axis=2)
    empty = np.zeros((R, R, 4), np.float32)
    layers = scene.Layers(np.zeros_like(field), opaque) if subject else scene.Layers(field, empty)
    flat = scene.Layers(np.ones_like(field), empty)
    return (camera.optics(layers, taken) / camera.optics(flat, taken))[..., 1]


def point_spread(taken: shots.Shot, *, subject: bool) -> np.ndarray:
    """What becomes of a point of light in the middle, (SIDE, SIDE), of sum 1."""
    point = np.ones((R, R))  # a bright field below it, so that ringing is not cut off at zero
    point[R // 2, R // 2] += 2
    return (picture_on_sensor(point, taken, subject=subject) - 1) / 2


def transfer(spread: np.ndarray) -> np.ndarray:
    """Fourier transform of a point spread around the middle, (SIDE, SIDE), zero frequency first."""
    return np.fft.fft2(np.fft.ifftshift(spread)).real


FREQUENCY = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])


# --- distances and perspective


def test_distance_and_perspective_by_hand():
    taken = shot(focal_length_mm=85, face_share=0.5)  # a face of 0.24 m is 12 mm high on the sensor
    assert taken.distance_m == pytest.approx(1.7)
    assert taken.perspective == pytest.approx(0.12 / 1.7)
    assert taken.pixel_pitch_mm == pytest.approx(12 / (2 * scene.PIXELS_PER_UNIT))
    assert shot(focal_length_mm=10).perspective == 0.45


# --- defocus


def test_blur_disc_by_hand():
    # f = 50 mm, N = 2, focus at 2 m, point at 4 m: 1250 mm * 2000 / (4000 * 1950) = 0.32051 mm
    taken = shot(f_number=2)
    assert camera.blur_disc_px(taken, 2, 4) * taken.pixel_pitch_mm == pytest.approx(
        0.3205128, rel=1e-6
    )


@given(st.floats(18, 200), st.floats(1.2, 22), st.floats(0.5, 10), st.floats(0.5, 50))
def test_blur_disc_is_what_the_lens_equation_gives(f, number, focus, distance):
    # 1/f = 1/s + 1/v: the cone of the aperture's diameter f/N, focused v behind the lens, cut by
    # the sensor.
    taken = shot(focal_length_mm=f, f_number=number)
    sensor, image = (1 / (1 / f - 1 / (1000 * d)) for d in (focus, distance))
    disc_mm = f / number * abs(image - sensor) / image
    assert camera.blur_disc_px(taken, focus, distance) * taken.pixel_pitch_mm == pytest.approx(
        disc_mm, rel=1e-6, abs=1e-9
    )


def disc_transfer(diameter: float, over: int = 16) -> np.ndarray:
    """Transfer function of a disc, by FFT of a finely sampled one, (SIDE, SIDE)."""
    side = SIDE * over
    axis = (np.arange(side) - side // 2) / over
    disc = (np.hypot(axis[:, None], axis[None, :]) <= diameter / 2).astype(float)
    spectrum = np.fft.fft2(np.fft.ifftshift(disc / disc.sum())).real
    keep = np.r_[: SIDE // 2, side - SIDE // 2 : side]
    return spectrum[np.ix_(keep, keep)]


@pytest.mark.parametrize("background_m", [0.35, 1.0, 3.0])
def test_defocus_is_a_disc_of_that_diameter(background_m):
    taken = shot(f_number=1.4, focal_length_mm=85, background_m=background_m)
    diameter = camera.blur_disc_px(taken, taken.distance_m, taken.distance_m + background_m)
    assert 2 < diameter < 24
    blurred, sharp = (
        transfer(point_spread(t, subject=False)) for t in (taken, replace(taken, background_m=1e-9))
    )
    low = FREQUENCY < 0.35
    np.testing.assert_allclose((blurred / sharp)[low], disc_transfer(diameter)[low], atol=0.02)
    argument = np.pi * diameter * FREQUENCY[low][1:]
    np.testing.assert_allclose((blurred / sharp)[low][1:], 2 * j1(argument) / argument, atol=0.01)


def test_blur_spreads_light_and_loses_none():
    for taken in (SHOT, shot(f_number=1.4), shot(exposure_time_s=0.05, shake=(1, 1))):
        assert point_spread(taken, subject=False).sum() == pytest.approx(1, abs=0.01)


def test_the_subject_stays_sharp_where_the_background_blurs():
    taken = shot(f_number=1.4, focal_length_mm=85)
    assert point_spread(taken, subject=True).max() > 20 * point_spread(taken, subject=False).max()
    assert (
        point_spread(shot(f_number=1.4, focus_error_m=0.05), subject=True).max()
        < point_spread(SHOT, subject=True).max()
    )


# --- diffraction


def test_diffraction_is_close_to_the_airy_pattern():
    # The Gaussian stands for the Airy pattern's core: their transfer functions stay within 0.12 of
    # each other.
    open_lens, stopped = (
        shot(f_number=1e-3, background_m=1e-12),
        shot(f_number=400, background_m=1e-12),
    )
    ratio = transfer(point_spread(stopped, subject=False)) / transfer(
        point_spread(open_lens, subject=False)
    )
    v = FREQUENCY * camera.WAVELENGTH_MM * 400 / SHOT.pixel_pitch_mm  # 1 = cut-off
    seen = (v < 0.7) & (FREQUENCY < 0.35)
    airy = 2 / np.pi * (np.arccos(np.minimum(v, 1)) - v * np.sqrt(np.maximum(0, 1 - v * v)))
    assert v[seen].max() > 0.3
    np.testing.assert_allclose(ratio[seen], airy[seen], atol=0.12)
    np.testing.assert_allclose(ratio[seen], np.exp(-2 * (np.pi * 0.45 * v[seen]) ** 2), atol=0.005)


# --- motion


def test_motion_by_hand():
    taken = shot(exposure_time_s=0.1, shake=(1, -2), subject_speed=(0.12, 0))
    shake_mm = camera.SHAKE_RAD_PER_S * 0.1 * 50  # small angles: angle times focal length
    x, y = camera.motion_px(taken, subject=False)
    assert (x, y) == pytest.approx(
        (shake_mm / taken.pixel_pitch_mm, -2 * shake_mm / taken.pixel_pitch_mm)
    )
    moved = camera.motion_px(
        taken, subject=True
    )  # 12 mm of a face of 240 mm that is two units high
    assert moved == pytest.approx((x + 2 * scene.PIXELS_PER_UNIT * 12 / 240, y))
    assert camera.motion_px(
        replace(taken, shake=(0.0, 0.0), subject_speed=(0.0, 0.0)), subject=True
    ) == (0, 0)


@pytest.mark.parametrize(
    ("shake", "speed"),
    [((9.0, 0.0), (0.0, 0.0)), ((2.0, 3.0), (0.4, -0.2)), ((0.0, 0.0), (0.3, 0.5))],
)
def test_motion_blur_is_the_average_along_the_line(shake, speed):
    taken = shot(exposure_time_s=0.1, shake=shake, subject_speed=speed)
    dx, dy = camera.motion_px(taken, subject=True)
    assert math.hypot(dx, dy) > 4
    sharp = np.fft.fft2(
        point_spread(replace(taken, shake=(0.0, 0.0), subject_speed=(0.0, 0.0)), subject=True)
    )
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :]
    steps = np.linspace(-0.5, 0.5, 200, endpoint=False) + 1 / 400
    shifted = np.mean([np.exp(-2j * np.pi * t * (fx * dx + fy * dy)) for t in steps], axis=0)
    line = np.fft.ifft2(sharp * shifted).real
    np.testing.assert_allclose(point_spread(taken, subject=True), line, atol=0.003)


# --- vignetting


def light_falloff(taken: shots.Shot) -> np.ndarray:
    flat = scene.Layers(np.ones((R, R, 3), np.float32), np.zeros((R, R, 4), np.float32))
    return camera.optics(flat, taken)[..., 1]


def test_vignetting_is_1_in_the_middle_and_symmetric():
    falloff = light_falloff(shot(f_number=1.4))
    assert falloff[64, 64] == pytest.approx(1, abs=1e-5) and falloff.max() == falloff[64, 64]
    inner = falloff[1:, 1:]
    for mirrored in (inner[::-1], inner[:, ::-1], inner.T):
        np.testing.assert_allclose(inner, mirrored, atol=1e-5)


def test_a_stopped_down_lens_falls_off_by_cos_4():
    taken = shot(f_number=1000, focal_length_mm=24, face_share=0.6)
    axis = (np.arange(SIDE) - SIDE / 2) * taken.pixel_pitch_mm
    angle = np.arctan(np.hypot(axis[:, None], axis[None, :]) / 24)
    np.testing.assert_allclose(light_falloff(taken), np.cos(angle) ** 4, atol=1e-4)


def test_a_wide_open_lens_and_a_place_near_the_corner_are_darker():
    assert light_falloff(shot(f_number=1.4)).mean() < light_falloff(shot(f_number=8)).mean()
    assert light_falloff(shot(field=(0.7, 0.6))).mean() < light_falloff(SHOT).mean()
