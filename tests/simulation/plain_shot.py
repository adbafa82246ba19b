"""A shot in which nothing but what a test changes has an effect, and subjects without drama."""

from dataclasses import replace

import numpy as np

from pipeline.common import randomness
from pipeline.simulation import scene, shots

SHOT = shots.Shot(
    iso=100,
    f_number=8,
    exposure_time_s=1 / 100,
    focal_length_mm=50,
    face_share=0.4,
    background_m=3,
    focus_error_m=0,
    exposure_error_stops=0,
    shake=(0, 0),
    subject_speed=(0, 0),
    field=(0, 0),
    jpeg_quality=95,
)
FRONTAL = scene.Pose(0, 0, (0, 0), 0, 0, 0, (0, 0), 0.5, 0)


def shot(**changes) -> shots.Shot:
    return replace(SHOT, **changes)


def rng(*key: str | int) -> np.random.Generator:
    return randomness.generator(1, "test", *key)
