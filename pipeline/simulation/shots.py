"""Shots: the four EXIF tags as a photographer sets them, and the circumstances they act in."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.scene import FACE_HEIGHT_M, PIXELS_PER_UNIT

# Third stops, as cameras have them; exposure times as their reciprocals.
ISO_STEPS = (
    25, 32, 40, 50, 64, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640, 800, 1000, 1250, 1600,
    2000, 2500, 3200, 4000, 5000, 6400,
)  # fmt: skip
F_NUMBERS = (
    1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.5, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0, 10.0, 11.0,
    13.0, 14.0, 16.0,
)  # fmt: skip
SHUTTER = (
    4, 5, 6, 8, 10, 13, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640,
    800, 1000, 1250,
)  # fmt: skip
SENSOR_HEIGHT_MM = 24.0  # full frame
FACE_DEPTH_M = 0.12


@dataclass(frozen=True)
class Shot:
    """The tags and what else the physics needs; distances in metres."""

    iso: float
    f_number: float
    exposure_time_s: float
    focal_length_mm: float
    face_share: float  # face height over frame height
    background_m: float  # distance of the background behind the face
    focus_error_m: float
    exposure_error_stops: float
    shake: tuple[float, float]  # direction and strength of hand shake, 1 = SHAKE_RAD_PER_S
    subject_speed: tuple[float, float]  # m/s
    field: tuple[float, float]  # place of the face in the frame, -1..1
    jpeg_quality: int

    @property
    def distance_m(self) -> float:
        """Distance of the face: image height over focal length (far-field thin lens)."""
        return self.focal_length_mm * FACE_HEIGHT_M / (self.face_share * SENSOR_HEIGHT_MM)

    @property
    def perspective(self) -> float:
        """Depth of the face over its distance, at most 0.45."""
        return min(0.45, FACE_DEPTH_M / self.distance_m)

    @property
    def pixel_pitch_mm(self) -> float:
        """Side of a picture element on the sensor."""
        return self.face_share * SENSOR_HEIGHT_MM / (2 * PIXELS_PER_UNIT)


def draw_shot(rng: np.random.Generator, ev100: float) -> Shot:
    """Tags as a photographer sets them for a scene of this brightness, all over what cameras do
    (the wide domain).

    Focal length and f-number are taste; the exposure time is what the light gives at a preferred
    ISO, and the ISO makes up the rest: N^2 / t = 2^EV * ISO / 100 to the nearest third of a stop.
    """
    focal = float(np.round(np.exp(rng.uniform(np.log(18), np.log(200)))))
    preferred = rng.normal(4.0 + 0.25 * (ev100 - 8), 1.6)  # in stops, 2 log2 N
    f_number = nearest(F_NUMBERS, 2 ** (np.clip(preferred, 1, 8) / 2))
    wished_iso = 100 * 2 ** np.clip(rng.normal(1.5 - 0.28 * (ev100 - 8), 1.6), -2, 6)
    time = 1 / nearest(
        SHUTTER, 1 / np.clip(f_number**2 / (2**ev100 * wished_iso / 100), 1 / 1250, 1 / 4)
    )
    iso = nearest(ISO_STEPS, 100 * f_number**2 / (time * 2**ev100))
    return _circumstances(rng, (iso, f_number, time, focal), ev100)


def draw_portrait_shot(rng: np.random.Generator) -> Shot:
    """Tags of a portrait session, the target domain: 50-105 mm, f/2-f/6, 1/60-1/250 s, ISO 100-400.

    The lamps are set to what the tags need, so every picture is well exposed.
    """
    focal = float(rng.choice([50, 60, 70, 85, 90, 100, 105]))
    f_number = nearest(F_NUMBERS[3:13], 2 ** rng.uniform(1.0, 2.55))
    time = 1 / nearest(
        (60, 80, 100, 125, 160, 200, 250), np.exp(rng.uniform(np.log(60), np.log(250)))
    )
    iso = nearest(ISO_STEPS[6:13], 100 * 2 ** rng.uniform(0, 2))
    return _circumstances(
        rng, (iso, f_number, time, focal), np.log2(100 * f_number**2 / (time * iso))
    )


def _circumstances(
    rng: np.random.Generator, tags: tuple[float, float, float, float], ev100: float
) -> Shot:
    iso, f_number, time, focal = tags
    metered = np.log2(100 * f_number**2 / (time * iso)) - ev100  # > 0: the picture comes out darker
    share = float(np.exp(rng.uniform(np.log(0.3), np.log(0.55))))
    return Shot(
        iso=float(iso),
        f_number=float(f_number),
        exposure_time_s=float(time),
        focal_length_mm=focal,
        face_share=min(share, focal * FACE_HEIGHT_M / (0.35 * SENSOR_HEIGHT_MM)),
        background_m=float(np.exp(rng.uniform(np.log(1.5), np.log(15)))),
        focus_error_m=float(rng.normal(0, 0.015)),
        exposure_error_stops=float(np.clip(rng.normal(0, 0.3) - metered, -1.2, 1.2)),
        shake=_direction(rng, np.exp(rng.normal(0, 0.4))),
        subject_speed=_direction(rng, 0.15 * np.exp(rng.normal(0, 0.5))),
        field=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.6, 0.6))),
        jpeg_quality=int(rng.integers(94, 99)),
    )


def _direction(rng: np.random.Generator, length: float) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def nearest(steps: tuple[float, ...], value: float) -> float:
    """The step closest to a value in ratio: cameras only have third stops."""
    return min(steps, key=lambda step: abs(np.log(step / value)))
