"""The camera behind the lens: photon noise, mosaic, developing, and how a photographer sets the
tags.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import randomness
from pipeline.simulation import camera, scene, shots
from tests.plain_shot import SHOT, shot

R, SIDE = scene.RASTER, scene.SIDE


# --- sensor


def raw(light: float, **changes) -> np.ndarray:
    flat = np.full((SIDE, SIDE, 3), light, np.float32)
    return camera.expose(
        randomness.generator(1, "noise", str(changes)), flat, shot(**changes)
    ).astype(np.float64)


@pytest.mark.parametrize("iso", [50, 100, 400, 1600])
@pytest.mark.parametrize("light", [0.2, 0.4, 0.6])
def test_noise_is_photons_and_reading(iso, light):
    values = raw(light, iso=iso)
    well = camera.FULL_WELL * 100 / iso
    electrons = 0.9 * light * well
    assert electrons > 4.5 * math.sqrt(electrons + camera.READ_NOISE**2), (
        "else black clips the noise"
    )
    assert values.mean() * well == pytest.approx(electrons, rel=0.01)
    assert values.var() * well**2 == pytest.approx(
        electrons + camera.READ_NOISE**2, rel=0.06
    )  # 128^2 samples: 1.1 %


def test_variance_over_mean_follows_iso():
    ratios = {}
    for iso in (100, 400, 1600):
        values, well = raw(0.4, iso=iso), camera.FULL_WELL * 100 / iso
        ratios[iso] = (values.var() - (camera.READ_NOISE / well) ** 2) / values.mean()
    assert ratios[400] / ratios[100] == pytest.approx(4, rel=0.1)
    assert ratios[1600] / ratios[100] == pytest.approx(16, rel=0.1)


def test_the_exposure_error_is_in_stops_and_bright_light_clips():
    assert raw(0.2, exposure_error_stops=1).mean() / raw(0.2).mean() == pytest.approx(2, rel=0.01)
    assert raw(10).min() == raw(10).max() == 1
    assert raw(0).min() == 0


# --- developing


def mosaic(picture: np.ndarray) -> np.ndarray:
    """RGGB, pixel by pixel."""
    out = np.empty(picture.shape[:2], np.float32)
    for y, x in np.ndindex(*out.shape):
        out[y, x] = picture[y, x, (y % 2) + (x % 2)]
    return out


def srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-12) ** (1 / 2.4) - 0.055
    )


def test_the_sensor_is_an_rggb_mosaic():
    light = np.random.default_rng(1).uniform(0.2, 0.9, (SIDE, SIDE, 3)).astype(np.float32)
    seen = camera.expose(
        randomness.generator(1, "x"), light, shot(iso=1e-4, exposure_error_stops=math.log2(1 / 0.9))
    )
    np.testing.assert_allclose(seen, mosaic(light), atol=2e-3)


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_one_colour_is_developed_exactly_up_to_the_edges(colour):
    picture = np.broadcast_to(np.array(colour, np.float32), (12, 12, 3))
    developed = camera.develop(mosaic(picture))
    np.testing.assert_array_equal(developed, camera.encode_srgb(picture))
    assert developed.dtype == np.uint8


def test_demosaicing_is_bilinear():
    light = np.random.default_rng(2).uniform(0, 1, (16, 16, 3)).astype(np.float32)
    seen = mosaic(light)
    expected = np.zeros((14, 14, 3))
    for y in range(1, 15):
        for x in range(1, 15):
            for channel in range(3):
                around = [
                    (abs(j - y) + abs(i - x), seen[j, i])
                    for j in range(y - 1, y + 2)
                    for i in range(x - 1, x + 2)
                    if (j % 2) + (i % 2) == channel
                ]
                nearest = min(distance for distance, _ in around)
                expected[y - 1, x - 1, channel] = np.mean(
                    [value for distance, value in around if distance == nearest]
                )
    difference = camera.develop(seen)[1:-1, 1:-1].astype(float) - srgb(expected)
    assert np.abs(difference).max() <= 1.01


@given(st.floats(0, 1))
def test_srgb_is_the_standards_curve_to_one_level(linear):
    assert (
        abs(int(camera.encode_srgb(np.full(1, linear, np.float32))[0]) - srgb(np.array(linear)))
        <= 1.01
    )


def test_srgb_is_exact_at_the_ends_monotone_and_clipped():
    levels = camera.encode_srgb(np.linspace(-0.5, 1.5, 5000, dtype=np.float32)).astype(int)
    assert (
        levels[0] == 0
        and levels[-1] == 255
        and (np.diff(levels) >= 0).all()
        and len(set(levels)) > 240
    )


def test_jpeg_keeps_the_picture_and_loses_more_at_low_quality():
    y, x = np.mgrid[0:88, 0:88]
    picture = np.stack(
        [100 + 50 * np.sin(x / 3), 120 + 40 * np.cos(y / 4), 90 + x], axis=-1
    ).astype(np.uint8)
    errors = [np.abs(camera.jpeg(picture, q).astype(int) - picture).mean() for q in (97, 90, 30)]
    assert errors[0] < errors[1] < errors[2] < 20 and errors[0] < 4
    assert camera.jpeg(picture, 95).shape == picture.shape


# --- how a photographer sets the tags


def test_exposure_triangle_closes_to_a_third_of_a_stop():
    clipped = 0
    for number in range(600):
        rng = randomness.generator(1, "triangle", number)
        ev100 = float(rng.uniform(3, 15))
        taken = shots.draw_shot(rng, ev100)
        stops = math.log2(100 * taken.f_number**2 / (taken.exposure_time_s * taken.iso)) - ev100
        at_the_end = taken.iso in (shots.ISO_STEPS[0], shots.ISO_STEPS[-1])
        clipped += at_the_end
        assert at_the_end or abs(stops) <= 1 / 3, taken
        assert taken.iso in shots.ISO_STEPS and taken.f_number in shots.F_NUMBERS
        assert (
            round(1 / taken.exposure_time_s) in shots.SHUTTER and 18 <= taken.focal_length_mm <= 200
        )
        assert abs(taken.exposure_error_stops) <= 1.2
    assert clipped < 400


def test_portraits_stay_in_the_target_domain():
    for number in range(300):
        rng = randomness.generator(1, "portraits", number)
        taken = shots.draw_portrait_shot(rng)
        assert 50 <= taken.focal_length_mm <= 105 and 2 <= taken.f_number <= 6
        assert 1 / 250 <= taken.exposure_time_s <= 1 / 60 and 100 <= taken.iso <= 400


def test_a_darker_scene_takes_a_higher_iso_or_a_longer_time():
    def mean(ev100: float, tag: str) -> float:
        taken = [shots.draw_shot(randomness.generator(2, "dark", n), ev100) for n in range(150)]
        return float(np.mean([math.log2(getattr(s, tag)) for s in taken]))

    assert mean(5, "iso") > mean(13, "iso") + 1
    assert mean(5, "exposure_time_s") > mean(13, "exposure_time_s") + 1


@given(st.floats(0.5, 30))
def test_nearest_step_is_nearest_in_ratio(value):
    chosen = shots.nearest(shots.F_NUMBERS, value)
    assert all(
        max(chosen / value, value / chosen) <= max(s / value, value / s) + 1e-9
        for s in shots.F_NUMBERS
    )


def test_a_photograph_depends_on_its_key_alone():
    layers = scene.Layers(np.full((R, R, 3), 0.3, np.float32), np.zeros((R, R, 4), np.float32))
    first, again, other = (
        camera.photograph(randomness.generator(1, "p", k), layers, SHOT) for k in (1, 1, 2)
    )
    assert first.dtype == np.uint8 and first.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
