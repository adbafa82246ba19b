"""The camera against its formulas: what each tag does, worked out by hand or by brute force in
plain NumPy.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import j1

from pipeline.simulation import camera, scene, shots
from tests.simulation.plain_shot import SHOT, rng, shot

R, SIDE = scene.RASTER, scene.SIDE
AXIS = np.fft.fftfreq(SIDE)
FREQUENCY = np.hypot(AXIS[:, None], AXIS[None, :])


def on_sensor(layer: np.ndarray, taken: shots.Shot, *, subject: bool = False) -> np.ndarray:
    """Light (SIDE, SIDE) on the sensor of one layer (R, R) that fills the view."""
    planes = np.repeat(layer[None], 3, axis=0).astype(np.float32)
    opaque = np.concatenate([planes, np.ones((1, R, R), np.float32)])
    nothing = np.zeros((4, R, R), np.float32)
    layers = scene.Layers(0 * planes, opaque) if subject else scene.Layers(planes, nothing)
    return camera.optics(layers, taken)[1]


def light_falloff(taken: shots.Shot) -> np.ndarray:
    return on_sensor(np.ones((R, R)), taken)


def point_spread(taken: shots.Shot, *, subject: bool) -> np.ndarray:
    """What comes of a point of light in the middle (SIDE, SIDE), of sum 1, without vignetting."""
    point = np.ones((R, R))  # a bright field below it, so that ringing is not cut off at zero
    point[R // 2, R // 2] += 2
    return (on_sensor(point, taken, subject=subject) / light_falloff(taken) - 1) / 2


def transfer(taken: shots.Shot) -> np.ndarray:
    """Transfer function (SIDE, SIDE) for the background, zero frequency first."""
    return np.fft.fft2(np.fft.ifftshift(point_spread(taken, subject=False))).real


# --- defocus and diffraction


@given(st.floats(18, 200), st.floats(1.2, 22), st.floats(0.5, 10), st.floats(0.5, 50))
def test_blur_disc_is_what_the_lens_equation_gives(f, number, focus, distance):
    # 1/f = 1/s + 1/v: the cone of the aperture's diameter f/N, focused v behind the lens, meets the
    # sensor.
    taken = shot(focal_length_mm=f, f_number=number)
    sensor, image = (1 / (1 / f - 1 / (1000 * d)) for d in (focus, distance))
    expected = f / number * abs(image - sensor) / image
    disc_mm = camera.blur_disc_px(taken, focus, distance) * taken.pixel_pitch_mm
    assert disc_mm == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("background_m", [0.35, 1.0, 3.0])
def test_defocus_is_a_disc_of_that_diameter(background_m):
    taken = shot(f_number=1.4, focal_length_mm=85, background_m=background_m)
    diameter = camera.blur_disc_px(taken, taken.distance_m, taken.distance_m + background_m)
    assert 2 < diameter < 24
    low = (FREQUENCY < 0.35) & (FREQUENCY > 0)
    ratio = transfer(taken)[low] / transfer(replace(taken, background_m=1e-9))[low]
    argument = np.pi * diameter * FREQUENCY[low]
    np.testing.assert_allclose(ratio, 2 * j1(argument) / argument, atol=0.01)


def test_diffraction_is_close_to_the_airy_pattern():
    # The Gaussian stands for the Airy pattern's core: their transfer functions stay within 0.12 of
    # each other.
    open_lens, stopped = (
        transfer(shot(f_number=number, background_m=1e-12)) for number in (1e-3, 400)
    )
    v = FREQUENCY * camera.WAVELENGTH_MM * 400 / SHOT.pixel_pitch_mm  # 1 = cut-off
    seen = (v < 0.7) & (FREQUENCY < 0.35)
    v, ratio = v[seen], (stopped / open_lens)[seen]
    airy = 2 / np.pi * (np.arccos(v) - v * np.sqrt(1 - v * v))
    assert v.max() > 0.3
    np.testing.assert_allclose(ratio, airy, atol=0.12)
    np.testing.assert_allclose(ratio, np.exp(-2 * (np.pi * 0.45 * v) ** 2), atol=0.005)


# --- motion


def test_motion_by_hand():
    taken = shot(exposure_time_s=0.1, shake=(1, -2), subject_speed=(0.12, 0))
    pixels = camera.SHAKE_RAD_PER_S * 0.1 * 50 / taken.pixel_pitch_mm  # angle times focal length
    assert camera.motion_px(taken, subject=False) == pytest.approx((pixels, -2 * pixels))
    # The subject moved 12 mm of a face of 240 mm that is two units high.
    own = 2 * scene.PIXELS_PER_UNIT * 12 / 240
    assert camera.motion_px(taken, subject=True) == pytest.approx((pixels + own, -2 * pixels))


@pytest.mark.parametrize(
    ("shake", "speed"),
    [((9.0, 0.0), (0.0, 0.0)), ((2.0, 3.0), (0.4, -0.2)), ((0.0, 0.0), (0.3, 0.5))],
)
def test_motion_blur_is_the_average_along_the_line(shake, speed):
    still = shot(exposure_time_s=0.1)
    taken = replace(still, shake=shake, subject_speed=speed)
    dx, dy = camera.motion_px(taken, subject=True)
    assert math.hypot(dx, dy) > 4
    steps = (np.linspace(-0.5, 0.5, 200, endpoint=False) + 1 / 400)[:, None, None]
    turns = -2j * np.pi * steps * (AXIS[None, :] * dx + AXIS[:, None] * dy)
    sharp = np.fft.fft2(point_spread(still, subject=True))
    line = np.fft.ifft2(sharp * np.exp(turns).mean(axis=0)).real
    np.testing.assert_allclose(point_spread(taken, subject=True), line, atol=0.003)


# --- vignetting


def test_a_stopped_down_lens_falls_off_by_cos_4():
    taken = shot(f_number=1000, focal_length_mm=24, face_share=0.6)
    axis = (np.arange(SIDE) - SIDE / 2) * taken.pixel_pitch_mm
    angle = np.arctan(np.hypot(axis[:, None], axis[None, :]) / 24)
    np.testing.assert_allclose(light_falloff(taken), np.cos(angle) ** 4, atol=1e-4)


def test_a_wide_open_lens_and_a_place_near_the_corner_are_darker():
    wide_open = light_falloff(shot(f_number=1.4))
    assert wide_open[SIDE // 2, SIDE // 2] == pytest.approx(1, abs=1e-5)
    assert wide_open.mean() < light_falloff(SHOT).mean()
    assert light_falloff(shot(field=(0.7, 0.6))).mean() < light_falloff(SHOT).mean()


# --- sensor


def raw(light: float, **changes) -> np.ndarray:
    flat = np.full((3, SIDE, SIDE), light, np.float32)
    return camera.expose(rng("noise", str(changes)), flat, shot(**changes)).astype(np.float64)


@pytest.mark.parametrize("iso", [50, 100, 400, 1600])
@pytest.mark.parametrize("light", [0.2, 0.6])
def test_noise_is_photons_and_reading(iso, light):
    values, well = raw(light, iso=iso), camera.FULL_WELL * 100 / iso
    electrons = 0.9 * light * well
    variance = electrons + camera.READ_NOISE**2
    assert electrons > 4.5 * math.sqrt(variance), "else black clips the noise"
    assert values.mean() * well == pytest.approx(electrons, rel=0.01)
    assert values.var() * well**2 == pytest.approx(variance, rel=0.06)  # 128^2 samples: 1.1 %


def test_the_exposure_error_is_in_stops_and_bright_light_clips():
    assert raw(0.2, exposure_error_stops=1).mean() / raw(0.2).mean() == pytest.approx(2, rel=0.01)
    assert raw(10).min() == raw(10).max() == 1
    assert raw(0).min() == 0


# --- developing


def mosaic(planes: np.ndarray) -> np.ndarray:
    """RGGB, pixel by pixel."""
    out = np.empty(planes.shape[1:], np.float32)
    for y, x in np.ndindex(*out.shape):
        out[y, x] = planes[(y % 2) + (x % 2), y, x]
    return out


def srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    curve = 1.055 * np.maximum(linear, 1e-12) ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, curve)


def test_the_sensor_is_an_rggb_mosaic():
    light = np.random.default_rng(1).uniform(0.2, 0.9, (3, SIDE, SIDE)).astype(np.float32)
    noiseless = shot(iso=1e-4, exposure_error_stops=math.log2(1 / 0.9))
    np.testing.assert_allclose(camera.expose(rng(), light, noiseless), mosaic(light), atol=2e-3)


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_one_colour_is_developed_exactly_up_to_the_edges(colour):
    planes = np.broadcast_to(np.array(colour, np.float32)[:, None, None], (3, 12, 12))
    developed = camera.develop(mosaic(planes))
    assert developed.dtype == np.uint8 and developed.shape == (12, 12, 3)
    np.testing.assert_array_equal(developed, camera.encode_srgb(planes).transpose(1, 2, 0))


def test_demosaicing_is_bilinear():
    seen = mosaic(np.random.default_rng(2).uniform(0, 1, (3, 16, 16)).astype(np.float32))
    developed = camera.develop(seen).astype(float)
    for y, x in np.ndindex(14, 14):
        for channel in range(3):
            around = [
                (abs(j - 1) + abs(i - 1), seen[y + j, x + i])
                for j, i in np.ndindex(3, 3)
                if ((y + j) % 2) + ((x + i) % 2) == channel
            ]
            least = min(distance for distance, _ in around)
            value = np.mean([value for distance, value in around if distance == least])
            assert abs(developed[y + 1, x + 1, channel] - srgb(value)) <= 1.01
