"""The parts of a face that manipulations move: eyes with brows, mouth, nostrils; and where they
are.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.scene import PIXELS_PER_UNIT, SIDE, Light, Person, Pose, coverage, project

EYE_Y, MOUTH_Y, NOSE_Y = -0.14, 0.46, 0.16
HEAD_REACH = 56  # pixels from the raster's centre that hold the head and its hair


@dataclass(frozen=True)
class Landmarks:
    """True positions in face units, for `scene.project`."""

    nose: tuple[float, float]
    r_eye: tuple[float, float]
    l_eye: tuple[float, float]
    r_ear: tuple[float, float]
    l_ear: tuple[float, float]
    r_shoulder: tuple[float, float]
    l_shoulder: tuple[float, float]
    mouth: tuple[float, float]


@dataclass(frozen=True)
class Eyes:
    """What may differ between the two eyes of a generated face; a photograph has twice the same (0
    = right, 1 = left).
    """

    iris: tuple[np.ndarray, np.ndarray]
    gaze: tuple[tuple[float, float], tuple[float, float]]
    catchlight: tuple[tuple[float, float], tuple[float, float]]
    size: tuple[float, float]


def natural_eyes(person: Person, pose: Pose, light: Light) -> Eyes:
    """Both eyes alike: one iris colour, one gaze, one light that both reflect at the same place."""
    shine = (0.45 * float(light.direction[0]), 0.35 * float(light.direction[1]))
    return Eyes((person.iris,) * 2, (pose.gaze,) * 2, (shine,) * 2, (person.eye_size,) * 2)


@dataclass(frozen=True)
class Sitting:
    """Who sits for the picture, how, and in what light; perspective as in `scene.face_grid`."""

    person: Person
    pose: Pose
    light: Light
    perspective: float

    @property
    def marks(self) -> Landmarks:
        """True positions of the parts."""
        return landmarks(self.person, self.pose)


@dataclass(frozen=True)
class Patch:
    """A part of the raster: the picture (h, w, 3) to draw on, face coordinates, light and skin
    texture there.
    """

    picture: np.ndarray
    x: np.ndarray
    y: np.ndarray
    shade: np.ndarray  # (h, w, 3)
    texture: np.ndarray  # (h, w)

    def around(self, point: tuple[float, float], reach: float, who: Sitting) -> "Patch":
        """The patch around a face point, in a patch that holds the head."""
        column, row = (
            value - SIDE / 2 + HEAD_REACH for value in project(point, who.pose, who.perspective)
        )
        half = int(reach * PIXELS_PER_UNIT * 1.5) + 2
        rows = slice(max(0, int(row) - half), min(2 * HEAD_REACH, int(row) + half))
        columns = slice(max(0, int(column) - half), min(2 * HEAD_REACH, int(column) + half))
        return Patch(
            *(
                field[rows, columns]
                for field in (self.picture, self.x, self.y, self.shade, self.texture)
            )
        )


def landmarks(person: Person, pose: Pose) -> Landmarks:
    """Feature positions: what stands further out moves more when the head turns."""
    turn, eye = np.sin(pose.yaw), person.eye_distance
    shift = 0.16 * turn
    return Landmarks(
        nose=(0.3 * turn, NOSE_Y),
        r_eye=(shift - eye * (1 - 0.15 * turn), EYE_Y),
        l_eye=(shift + eye * (1 + 0.15 * turn), EYE_Y),
        r_ear=(-person.head_width - 0.1 * turn, 0.0),
        l_ear=(person.head_width - 0.1 * turn, 0.0),
        r_shoulder=(-1.35, 1.55),
        l_shoulder=(1.35, 1.55),
        mouth=(0.2 * turn, MOUTH_Y),
    )


def draw_eyes(head: Patch, who: Sitting, eyes: Eyes) -> None:
    """Both eyes with lids, lashes and brows."""
    for side, centre in enumerate((who.marks.r_eye, who.marks.l_eye)):
        patch = head.around(centre, 0.3, who)
        size = np.float32(eyes.size[side])
        inner = np.float32(1 if side == 0 else -1)  # towards the nose
        u, v = (
            inner * (patch.x - np.float32(centre[0])) / size,
            (patch.y - np.float32(centre[1])) / size,
        )
        _draw_eyeball(patch, who, eyes, side, (inner, u, v))
        _draw_lids_and_brow(patch, who, size, u, v)


def _lids(
    who: Sitting, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """v from the eye's slanted axis (the inner corner lies lower), the arch, the upper and the
    lower lid.
    """
    arch = np.maximum(0, 1 - u * u)
    return (
        v - np.float32(0.2) * u,
        arch,
        -np.float32(who.pose.lid) * arch ** np.float32(0.7),
        np.float32(0.38) * arch,
    )


def _draw_eyeball(
    patch: Patch,
    who: Sitting,
    eyes: Eyes,
    side: int,
    place: tuple[np.float32, np.ndarray, np.ndarray],
) -> None:
    """One eye in its own coordinates: u towards the nose, v down, in eye half-widths."""
    inner, u, v = place
    picture, shade, size = patch.picture, patch.shade, np.float32(eyes.size[side])
    v, _, upper, lower = _lids(who, u, v)
    inside = coverage(np.maximum(upper - v, v - lower) * size) * coverage((np.abs(u) - 1) * size)
    blend = inside[..., None]
    depth = np.clip(np.float32(0.45) + (v - upper), 0, 1)[..., None]  # the lid's shadow
    white = np.float32(0.62) * shade * depth
    colour = np.broadcast_to(white, picture.shape).copy()
    pink = coverage((np.float32(0.78) - u) * size)[..., None]
    colour += pink * (who.person.lip * shade - colour)
    gx, gy = inner * np.float32(eyes.gaze[side][0]), np.float32(eyes.gaze[side][1])
    radius = np.hypot(u - gx, v - gy)
    ring = np.float32(0.75) + np.float32(0.25) * np.cos(9 * np.arctan2(v - gy, u - gx))
    iris = (eyes.iris[side] * shade) * (ring * (np.float32(1.25) - radius / np.float32(0.75)))[
        ..., None
    ]
    colour += coverage((radius - np.float32(0.48)) * size)[..., None] * (iris - colour)
    colour *= 1 - coverage((radius - np.float32(0.2)) * size)[..., None] * np.float32(0.93)
    sx, sy = (np.float32(value) for value in eyes.catchlight[side])
    spark = coverage((np.hypot(u - gx - inner * sx, v - gy - sy) - np.float32(0.16)) * size)[
        ..., None
    ]
    colour += spark * np.float32(1.1)
    picture += blend * (colour - picture)


def _draw_lids_and_brow(
    patch: Patch, who: Sitting, size: np.float32, u: np.ndarray, v: np.ndarray
) -> None:
    """Lash line, crease, and a brow that is thick at the nose and thin at its tail."""
    picture, shade = patch.picture, patch.shade
    v, arch, upper, _ = _lids(who, u, v)
    lash = np.exp(-(((v - upper) * size / np.float32(0.022)) ** 2)) * coverage(
        (np.abs(u) - np.float32(1.12)) * size
    )
    picture *= 1 - (np.float32(0.75) * lash)[..., None]
    crease = np.exp(
        -(((v - upper * np.float32(1.25) + np.float32(0.32)) * size / np.float32(0.02)) ** 2)
    )
    picture *= 1 - (np.float32(0.25) * crease * coverage((np.abs(u) - 1) * size))[..., None]
    arc = v + np.float32(1.55) - np.float32(0.3) * arch - np.float32(0.1) * u
    thick = np.float32(0.26) * (
        np.float32(0.55) + np.float32(0.45) * u
    )  # thick at the nose, a thin tail
    brow = coverage((np.abs(arc) - thick) * size) * coverage((np.abs(u) - np.float32(1.25)) * size)
    picture += (np.float32(who.person.brow) * brow)[..., None] * (who.person.hair * shade - picture)


def draw_mouth(head: Patch, who: Sitting) -> None:
    """Lips, the line or the gap between them, teeth."""
    patch = head.around(who.marks.mouth, 0.4, who)
    picture, y, shade = patch.picture, patch.y, patch.shade
    x = patch.x - np.float32(who.marks.mouth[0])
    wide = np.float32(who.person.mouth_width * (1 + 1.2 * max(0.0, who.pose.smile)))
    t = x / wide
    arch = np.maximum(0, 1 - t * t)
    middle = (
        np.float32(MOUTH_Y + who.pose.smile * 0.6)
        - np.float32(who.pose.smile) * t * t * np.float32(1.6)
        + np.float32(who.pose.smile_skew) * t
    )
    open_half = np.float32(who.pose.mouth_open) * arch
    bow = 1 - np.float32(0.35) * np.exp(-((x / np.float32(0.05)) ** 2))
    top = middle - open_half - np.float32(0.85 * who.person.lip_height) * arch * bow
    bottom = middle + open_half + np.float32(1.15 * who.person.lip_height) * np.sqrt(arch)
    ends = coverage(np.abs(x) - wide)
    grain = (1 + np.float32(0.06) * patch.texture)[..., None]
    upper = coverage(np.maximum(top - y, y - middle)) * ends
    lower = coverage(np.maximum(middle - y, y - bottom)) * ends
    picture += upper[..., None] * (who.person.lip * np.float32(0.72) * shade * grain - picture)
    spot = np.exp(
        -(((x - np.float32(0.5 * wide * who.light.direction[0])) / np.float32(0.08)) ** 2)
        - ((y - middle - np.float32(0.07)) / np.float32(0.03)) ** 2
    )
    picture += lower[..., None] * (
        who.person.lip * shade * grain + (np.float32(0.2) * spot)[..., None] * shade - picture
    )
    gap = coverage(np.maximum(middle - open_half - y, y - middle - open_half)) * ends
    teeth = np.where(
        (y < middle + open_half * np.float32(0.3))[..., None],
        np.float32(0.55) * shade,
        np.float32(0.02),
    )
    picture += (gap * np.float32(who.pose.mouth_open > 0.02))[..., None] * (teeth - picture)
    line = (
        np.exp(-(((y - middle) / np.float32(0.016)) ** 2))
        * ends
        * np.float32(who.pose.mouth_open <= 0.02)
    )
    picture *= 1 - (np.float32(0.6) * line)[..., None]


def draw_nostrils(head: Patch, who: Sitting) -> None:
    """Two dark spots below the nose."""
    patch = head.around(who.marks.nose, 0.25, who)
    picture, y = patch.picture, patch.y
    for nostril in (-0.5, 0.5):
        nx = patch.x - np.float32(who.marks.nose[0] + nostril * who.person.nose_width * 1.3)
        dark = np.exp(
            -((nx / np.float32(0.04)) ** 2)
            - ((y - np.float32(NOSE_Y + 0.07)) / np.float32(0.022)) ** 2
        )
        picture *= 1 - (np.float32(0.65) * dark)[..., None]
