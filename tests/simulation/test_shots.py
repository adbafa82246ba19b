"""How a photographer sets the tags, and what follows from them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation import scene, shots
from tests.simulation.plain_shot import rng, shot


def test_distance_and_perspective_by_hand():
    taken = shot(focal_length_mm=85, face_share=0.5)  # a face of 0.24 m is 12 mm high on the sensor
    assert taken.distance_m == pytest.approx(1.7)
    assert taken.perspective == pytest.approx(0.12 / 1.7)
    assert taken.pixel_pitch_mm == pytest.approx(12 / (2 * scene.PIXELS_PER_UNIT))
    assert shot(focal_length_mm=10).perspective == 0.45


def test_exposure_triangle_closes_to_a_third_of_a_stop():
    clipped = 0
    for number in range(600):
        random = rng("triangle", number)
        ev100 = float(random.uniform(3, 15))
        taken = shots.draw_shot(random, ev100)
        stops = math.log2(100 * taken.f_number**2 / (taken.exposure_time_s * taken.iso)) - ev100
        at_the_end = taken.iso in (shots.ISO_STEPS[0], shots.ISO_STEPS[-1])
        clipped += at_the_end
        assert at_the_end or abs(stops) <= 1 / 3, taken
        assert taken.iso in shots.ISO_STEPS and taken.f_number in shots.F_NUMBERS
        assert round(1 / taken.exposure_time_s) in shots.SHUTTER
        assert 18 <= taken.focal_length_mm <= 200 and abs(taken.exposure_error_stops) <= 1.2
    assert clipped < 400


def test_portraits_stay_in_the_target_domain():
    for number in range(300):
        taken = shots.draw_portrait_shot(rng("portraits", number))
        assert 50 <= taken.focal_length_mm <= 105 and 2 <= taken.f_number <= 6
        assert 1 / 250 <= taken.exposure_time_s <= 1 / 60 and 100 <= taken.iso <= 400


@given(st.floats(0.5, 30))
def test_nearest_step_is_nearest_in_ratio(value):
    chosen = shots.nearest(shots.F_NUMBERS, value)
    least = min(max(step / value, value / step) for step in shots.F_NUMBERS)
    assert max(chosen / value, value / chosen) <= least + 1e-9
