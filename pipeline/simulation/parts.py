"""The parts of a face: eyes with brows, mouth, nostrils; and where they are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.simulation.scene import PIXELS_PER_UNIT, SIDE, Light, Person, Pose, coverage, project
from pipeline.simulation.shots import Shot

EYE_Y, MOUTH_Y, NOSE_Y = -0.14, 0.46, 0.16
HEAD_REACH = 56  # pixels from the raster's centre that hold the head and its hair
Point = tuple[float, float]


@dataclass(frozen=True)
class Eyes:
    """What may differ between the right and the left eye of a generated face, in this order."""

    iris: tuple[np.ndarray, np.ndarray]
    gaze: tuple[Point, Point]
    catchlight: tuple[Point, Point]
    size: tuple[float, float]


def natural_eyes(person: Person, pose: Pose, light: Light) -> Eyes:
    """Both eyes alike: one iris colour, one gaze, one light that both reflect at the same place."""
    shine = (0.45 * float(light.direction[0]), 0.35 * float(light.direction[1]))
    return Eyes((person.iris,) * 2, (pose.gaze,) * 2, (shine,) * 2, (person.eye_size,) * 2)


@dataclass(frozen=True)
class Subject:
    """Who is before the camera, how, in what light, and the shot that is taken."""

    person: Person
    pose: Pose
    light: Light
    shot: Shot

    @cached_property
    def marks(self) -> dict[str, Point]:
        """Where the parts are, in face units."""
        return landmarks(self.person, self.pose)

    def seen(self, point: Point) -> Point:
        """Where a face point appears in the picture, in pixels."""
        return project(point, self.pose, self.shot.perspective)


@dataclass(frozen=True)
class Patch:
    """A part of the raster: the picture (3, h, w) to draw on, face coordinates (h, w), light
    (3, h, w) and skin texture (h, w) there.
    """

    picture: np.ndarray
    x: np.ndarray
    y: np.ndarray
    shade: np.ndarray
    texture: np.ndarray

    def around(self, point: Point, reach: float, who: Subject) -> "Patch":
        """The patch around a face point, in a patch that holds the head."""
        column, row = (int(value - SIDE / 2 + HEAD_REACH) for value in who.seen(point))
        half = int(reach * PIXELS_PER_UNIT * 1.5) + 2
        rows = slice(max(0, row - half), min(2 * HEAD_REACH, row + half))
        columns = slice(max(0, column - half), min(2 * HEAD_REACH, column + half))
        fields = (self.picture, self.x, self.y, self.shade, self.texture)
        return Patch(*(field[..., rows, columns] for field in fields))


def landmarks(person: Person, pose: Pose) -> dict[str, Point]:
    """FDF's landmarks and the mouth: what stands further out moves more when the head turns."""
    turn, eye = float(np.sin(pose.yaw)), person.eye_distance
    shift = 0.16 * turn
    return {
        "nose": (0.3 * turn, NOSE_Y),
        "r_eye": (shift - eye * (1 - 0.15 * turn), EYE_Y),
        "l_eye": (shift + eye * (1 + 0.15 * turn), EYE_Y),
        "r_ear": (-person.head_width - 0.1 * turn, 0.0),
        "l_ear": (person.head_width - 0.1 * turn, 0.0),
        "r_shoulder": (-1.35, 1.55),
        "l_shoulder": (1.35, 1.55),
        "mouth": (0.2 * turn, MOUTH_Y),
    }


def draw_eyes(head: Patch, who: Subject, eyes: Eyes) -> None:
    """Both eyes with lids, lashes and brows."""
    for side, centre in enumerate((who.marks["r_eye"], who.marks["l_eye"])):
        patch, size = head.around(centre, 0.3, who), eyes.size[side]
        inner = 1 if side == 0 else -1  # towards the nose
        u, v = inner * (patch.x - centre[0]) / size, (patch.y - centre[1]) / size
        _draw_eyeball(patch, who, eyes, side, (inner, u, v))
        _draw_lids_and_brow(patch, who, size, u, v)


def _lids(
    who: Subject, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """v from the eye's axis (the inner corner lies lower), the arch, upper and lower lid."""
    arch = np.maximum(0, 1 - u * u)
    return v - 0.2 * u, arch, -who.pose.lid * arch**0.7, 0.38 * arch


def _draw_eyeball(
    patch: Patch, who: Subject, eyes: Eyes, side: int, place: tuple[int, np.ndarray, np.ndarray]
) -> None:
    """One eye in its own coordinates: u towards the nose, v down, in eye half-widths."""
    inner, u, v = place
    picture, shade, size = patch.picture, patch.shade, eyes.size[side]
    v, _, upper, lower = _lids(who, u, v)
    inside = coverage(np.maximum(upper - v, v - lower) * size) * coverage((np.abs(u) - 1) * size)
    colour = 0.62 * shade * np.clip(0.45 + (v - upper), 0, 1)  # white, in the lid's shadow
    pink = coverage((0.78 - u) * size)
    colour += pink * (who.person.lip * shade - colour)
    gx, gy = inner * eyes.gaze[side][0], eyes.gaze[side][1]
    radius = np.hypot(u - gx, v - gy)
    ring = 0.75 + 0.25 * np.cos(9 * np.arctan2(v - gy, u - gx))
    iris = (eyes.iris[side] * shade) * (ring * (1.25 - radius / 0.75))
    colour += coverage((radius - 0.48) * size) * (iris - colour)
    colour *= 1 - coverage((radius - 0.2) * size) * 0.93
    sx, sy = eyes.catchlight[side]
    colour += coverage((np.hypot(u - gx - inner * sx, v - gy - sy) - 0.16) * size) * 1.1
    picture += inside * (colour - picture)


def _draw_lids_and_brow(
    patch: Patch, who: Subject, size: float, u: np.ndarray, v: np.ndarray
) -> None:
    """Lash line, crease, and a brow that is thick at the nose and thin at its tail."""
    picture = patch.picture
    v, arch, upper, _ = _lids(who, u, v)
    lash = np.exp(-(((v - upper) * size / 0.022) ** 2)) * coverage((np.abs(u) - 1.12) * size)
    picture *= 1 - 0.75 * lash
    crease = np.exp(-(((v - upper * 1.25 + 0.32) * size / 0.02) ** 2))
    picture *= 1 - 0.25 * crease * coverage((np.abs(u) - 1) * size)
    arc = v + 1.55 - 0.3 * arch - 0.1 * u
    thick = 0.26 * (0.55 + 0.45 * u)
    brow = coverage((np.abs(arc) - thick) * size) * coverage((np.abs(u) - 1.25) * size)
    picture += who.person.brow * brow * (who.person.hair * patch.shade - picture)


def draw_mouth(head: Patch, who: Subject) -> None:
    """Lips, the line or the gap between them, teeth."""
    person, pose = who.person, who.pose
    patch = head.around(who.marks["mouth"], 0.4, who)
    picture, y, shade = patch.picture, patch.y, patch.shade
    x = patch.x - who.marks["mouth"][0]
    wide = person.mouth_width * (1 + 1.2 * max(0.0, pose.smile))
    t = x / wide
    arch = np.maximum(0, 1 - t * t)
    middle = (MOUTH_Y + pose.smile * 0.6) - pose.smile * t * t * 1.6 + pose.smile_skew * t
    open_half = pose.mouth_open * arch
    bow = 1 - 0.35 * np.exp(-((x / 0.05) ** 2))
    top = middle - open_half - 0.85 * person.lip_height * arch * bow
    bottom = middle + open_half + 1.15 * person.lip_height * np.sqrt(arch)
    ends = coverage(np.abs(x) - wide)
    grain = 1 + 0.06 * patch.texture
    upper = coverage(np.maximum(top - y, y - middle)) * ends
    picture += upper * (person.lip * 0.72 * shade * grain - picture)
    lower = coverage(np.maximum(middle - y, y - bottom)) * ends
    shine_x, shine_y = x - 0.5 * wide * who.light.direction[0], y - middle - 0.07
    spot = np.exp(-((shine_x / 0.08) ** 2) - (shine_y / 0.03) ** 2)
    picture += lower * (person.lip * shade * grain + 0.2 * spot * shade - picture)
    if pose.mouth_open > 0.02:
        gap = coverage(np.maximum(middle - open_half - y, y - middle - open_half)) * ends
        teeth = np.where(y < middle + open_half * 0.3, 0.55 * shade, np.float32(0.02))
        picture += gap * (teeth - picture)
    else:
        line = np.exp(-(((y - middle) / 0.016) ** 2)) * ends
        picture *= 1 - 0.6 * line


def draw_nostrils(head: Patch, who: Subject) -> None:
    """Two dark spots below the nose."""
    patch = head.around(who.marks["nose"], 0.25, who)
    below = ((patch.y - (NOSE_Y + 0.07)) / 0.022) ** 2
    for side in (-0.5, 0.5):
        across = patch.x - (who.marks["nose"][0] + side * who.person.nose_width * 1.3)
        patch.picture[:] *= 1 - 0.65 * np.exp(-((across / 0.04) ** 2) - below)
