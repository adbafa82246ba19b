"""A procedural portrait: who stands before the camera, in what pose and light, before what
background.

Everything is linear radiance (1 = a white wall in the scene's light) on a square raster somewhat
larger than the picture, so that blur has something to draw from. Pictures are planes (c, h, w), and
colours (3, 1, 1), all float32. Geometry is in face units: the face box is 2 units high, x to the
right, y down, the origin between the eyes and the mouth. The face itself is drawn by `head`."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

SIDE = 128
MARGIN = 8
RASTER = SIDE + 2 * MARGIN
PIXELS_PER_UNIT = 42.0
FACE_HEIGHT_M = 0.24
_HAIR = np.array(
    [[0.02, 0.016, 0.014], [0.07, 0.04, 0.025], [0.2, 0.12, 0.06], [0.45, 0.33, 0.18],
     [0.35, 0.34, 0.33]]
)  # fmt: skip
_IRIS = np.array([[0.06, 0.03, 0.015], [0.14, 0.08, 0.03], [0.12, 0.2, 0.28], [0.12, 0.18, 0.1]])


@dataclass(frozen=True)
class Person:
    """Traits that stay the same from picture to picture; lengths in face units, colours linear."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    head_width: float
    jaw: float
    eye_distance: float
    eye_size: float
    brow: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lip_height: float
    hairline: float
    hair_length: float
    freckles: float
    cloth: np.ndarray


@dataclass(frozen=True)
class Pose:
    """What changes between two pictures of a person: angles in radians, offsets in face units."""

    roll: float
    yaw: float
    centre: tuple[float, float]
    smile: float
    smile_skew: float
    mouth_open: float
    gaze: tuple[float, float]
    lid: float
    parting: float


@dataclass(frozen=True)
class Light:
    """Direction (unit vector (3,) towards the light, z to the camera), ambient share, colour, scene
    EV at ISO 100.
    """

    direction: np.ndarray
    ambient: float
    colour: np.ndarray
    ev100: float


@dataclass(frozen=True)
class Layers:
    """What reaches the lens: background (3, R, R), and subject premultiplied with its coverage
    (4, R, R).
    """

    background: np.ndarray
    subject: np.ndarray


def colour(values: ArrayLike) -> np.ndarray:
    """A colour of three linear values, which spreads over planes (3, h, w)."""
    return np.asarray(values, np.float32).reshape(3, 1, 1)


def draw_person(rng: np.random.Generator) -> Person:
    """A person; skin tones span very light to very dark, log-uniform in reflectance."""
    skin = np.array([1.0, 0.72, 0.56]) * np.exp(rng.uniform(np.log(0.13), np.log(0.75)))
    redder = rng.uniform(0, 0.25)
    skin = skin ** np.array([1.0, 1.0 + redder, 1.0 + redder + rng.uniform(0.05, 0.2)])
    return Person(
        skin=colour(skin),
        hair=colour(_HAIR[rng.choice(5, p=[0.35, 0.3, 0.15, 0.1, 0.1])] * rng.uniform(0.8, 1.25)),
        iris=colour(_IRIS[rng.choice(4, p=[0.4, 0.25, 0.2, 0.15])] * rng.uniform(0.8, 1.25)),
        lip=colour(skin * np.array([0.95, 0.55, 0.6]) * rng.uniform(0.75, 1.0)),
        head_width=rng.uniform(0.7, 0.82),
        jaw=rng.uniform(0.12, 0.32),
        eye_distance=rng.uniform(0.3, 0.36),
        eye_size=rng.uniform(0.145, 0.18),
        brow=rng.uniform(0.3, 1.0),
        nose_width=rng.uniform(0.1, 0.15),
        nose_length=rng.uniform(0.3, 0.38),
        mouth_width=rng.uniform(0.25, 0.34),
        lip_height=rng.uniform(0.07, 0.12),
        hairline=rng.uniform(-0.72, -0.52),
        hair_length=float(rng.choice([-0.3, 0.1, 0.6, 1.3]) + rng.uniform(-0.2, 0.2)),
        freckles=rng.uniform(0.02, 0.06),
        cloth=colour(rng.uniform(0.02, 0.5) * rng.uniform(0.6, 1.0, 3)),
    )


def draw_pose(rng: np.random.Generator) -> Pose:
    """A pose and an expression; real smiles are skewed and real gazes are off-centre."""
    return Pose(
        roll=rng.normal(0, 0.07),
        yaw=float(np.clip(rng.normal(0, 0.35), -0.7, 0.7)),
        centre=(rng.normal(0, 0.02), rng.normal(0, 0.02)),
        smile=rng.uniform(-0.03, 0.12),
        smile_skew=rng.normal(0, 0.1),
        mouth_open=max(0.0, rng.normal(0.01, 0.05)),
        gaze=(rng.normal(0, 0.35), rng.normal(0, 0.1)),
        lid=rng.uniform(0.45, 0.62),
        parting=rng.uniform(-0.5, 0.5),
    )


def draw_light(rng: np.random.Generator, ev100: float) -> Light:
    """Light that goes with the scene's brightness: sun is hard, a grey sky soft, lamps warm."""
    azimuth, elevation = rng.uniform(-1.25, 1.25), rng.uniform(0.1, 1.0)
    across = np.cos(elevation)
    direction = [np.sin(azimuth) * across, -np.sin(elevation), np.cos(azimuth) * across]
    hard = 1 / (1 + np.exp(-(ev100 - 11.5)))
    warmth = np.clip(rng.normal(0.12 - 0.17 * hard, 0.06), -0.15, 0.3)
    return Light(
        direction=np.array(direction, np.float32),
        ambient=float(np.clip(rng.normal(0.38 - 0.22 * hard, 0.07), 0.1, 0.7)),
        colour=colour([1 + warmth, 1, 1 - warmth]),
        ev100=ev100,
    )


def face_grid(pose: Pose, perspective: float) -> tuple[np.ndarray, np.ndarray]:
    """Face coordinates (x, y), each (R, R), seen at every pixel of the raster.

    perspective: depth of the face over its distance. A point at depth z before the ears is
    magnified by 1 / (1 - z / distance); the face is taken as a dome, z = perspective * (1 - r^2)
    (pinhole projection)."""
    axis = (np.arange(RASTER, dtype=np.float32) + 0.5 - RASTER / 2) / PIXELS_PER_UNIT
    x, y = axis[None, :] - pose.centre[0], axis[:, None] - pose.centre[1]
    cos, sin = float(np.cos(pose.roll)), float(np.sin(pose.roll))
    x, y = cos * x + sin * y, cos * y - sin * x
    shrink = dome_shrink(x, y, perspective)
    return x * shrink, y * shrink


def dome_shrink(x: np.ndarray, y: np.ndarray, perspective: float) -> np.ndarray:
    """Factor from seen to true face coordinates; 1 at the outline, below 1 at the nose."""
    return 1 - perspective * np.maximum(0, 1 - x * x - y * y)


def project(point: tuple[float, float], pose: Pose, perspective: float) -> tuple[float, float]:
    """Where a face point (x, y) appears in the picture, in pixels (inverse of `face_grid`)."""
    true = seen = math.hypot(*point)
    before = None
    for _ in range(20):  # Newton on true = seen (1 - p + p seen^2), inside the dome
        if seen >= 1 or seen == before:
            break
        before = seen
        seen -= (seen * (1 - perspective + perspective * seen**2) - true) / (
            1 - perspective + 3 * perspective * seen**2
        )
    scale = seen / true if 0 < true < 1 else 1.0 if true else 0.0
    seen_x, seen_y = point[0] * scale, point[1] * scale
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    x = cos * seen_x - sin * seen_y + pose.centre[0]
    y = sin * seen_x + cos * seen_y + pose.centre[1]
    return float(x * PIXELS_PER_UNIT + SIDE / 2), float(y * PIXELS_PER_UNIT + SIDE / 2)


def coverage(distance: np.ndarray) -> np.ndarray:
    """Share of a pixel inside a shape, from the signed distance to its edge (negative: inside)."""
    return np.clip(0.5 - distance * PIXELS_PER_UNIT, 0, 1)


def coloured_noise(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Gaussian noise (R, R) of unit variance whose amplitude falls as frequency^-slope; periodic.

    Natural scenes have slopes of 1 and more (Field 1987): texture that is white would pass for
    sensor noise."""
    white = rng.standard_normal((RASTER, RASTER + 2), dtype=np.float32)  # real, imaginary in turn
    spectrum = (white * _amplitudes(slope)).view(np.complex64)
    noise = fft.irfft2(spectrum, s=(RASTER, RASTER))
    return noise / noise.std()


@lru_cache(8)  # two slopes come with every face
def _amplitudes(slope: float) -> np.ndarray:
    """frequency^-slope, 0 for frequency 0, each twice: of real and imaginary parts, (R, R + 2)."""
    rows, columns = np.fft.fftfreq(RASTER)[:, None], np.fft.rfftfreq(RASTER)[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / RASTER).astype(np.float32)
    amplitudes = frequency ** np.float32(-slope)
    amplitudes[0, 0] = 0
    return np.repeat(amplitudes, 2, axis=1)


def draw_background(rng: np.random.Generator, light: Light) -> np.ndarray:
    """A background (3, R, R): natural texture, edges, and lights that bloom out of focus."""
    axis = (np.arange(RASTER, dtype=np.float32) - RASTER / 2) / RASTER
    x, y = axis[None, :], axis[:, None]
    base = np.exp(rng.uniform(np.log(0.04), np.log(0.5))) * rng.uniform(0.8, 1.2, 3)
    texture = rng.uniform(0.15, 0.6) * coloured_noise(rng, rng.uniform(1.0, 1.5))
    picture = np.exp(texture) * colour(base)
    for _ in range(rng.integers(3, 9)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5)
        width = rng.uniform(0.01, 0.15)
        across = np.abs(float(np.cos(angle)) * x + float(np.sin(angle)) * y - offset)
        tint = np.exp(rng.normal(0, 0.7) + rng.normal(0, 0.15, 3)).astype(np.float32)
        cover = coverage((across - width) * 4)
        for channel in range(3):
            picture[channel] *= 1 + cover * (tint[channel] - 1)
    # Lamps stay as bright as they are when the scene around them darkens.
    gloom = min(max(11 - light.ev100, 0), 8)
    for _ in range(rng.poisson(3 + gloom)):
        row, column = rng.integers(2, RASTER - 2, 2)
        lamp = float(np.exp(rng.uniform(0.5, 2.0)) * 1.3**gloom)
        picture[:, row - 1 : row + 1, column - 1 : column + 1] += lamp
    return picture * light.colour
