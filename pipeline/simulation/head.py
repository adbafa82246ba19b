"""Drawing of one head: a relief lit by the scene's light, then eyes, brows, mouth, hair, neck and clothes on top."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.scene import (
    PIXELS_PER_UNIT,
    RASTER,
    SIDE,
    Light,
    Person,
    Pose,
    coloured_noise,
    coverage,
    face_grid,
    project,
)

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
    """What may differ between the two eyes of a generated face; a photograph has twice the same (0 = right, 1 = left)."""

    iris: tuple[np.ndarray, np.ndarray]
    gaze: tuple[tuple[float, float], tuple[float, float]]
    catchlight: tuple[tuple[float, float], tuple[float, float]]
    size: tuple[float, float]


def natural_eyes(person: Person, pose: Pose, light: Light) -> Eyes:
    """Both eyes alike: one iris colour, one gaze, one light that both reflect at the same place."""
    shine = (0.45 * float(light.direction[0]), 0.35 * float(light.direction[1]))
    return Eyes((person.iris,) * 2, (pose.gaze,) * 2, (shine,) * 2, (person.eye_size,) * 2)


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


def draw_subject(
    rng: np.random.Generator, person: Person, pose: Pose, light: Light, *, perspective: float, eyes: Eyes | None = None
) -> np.ndarray:
    """The subject (R, R, 4): linear radiance premultiplied with coverage, and the coverage.

    eyes: what `natural_eyes` gives unless a generator wants otherwise.
    """
    x, y = face_grid(pose, perspective)
    marks = landmarks(person, pose)
    fine, coarse = coloured_noise(rng, 1.0), coloured_noise(rng, 1.5)
    subject = np.zeros((RASTER, RASTER, 4), np.float32)
    below = slice(RASTER // 2, RASTER)
    _draw_body(subject[below], person, light, x[below], y[below], coarse[below])
    near = slice(RASTER // 2 - HEAD_REACH, RASTER // 2 + HEAD_REACH)
    fields = tuple(field[near, near] for field in (x, y, fine, coarse))
    _draw_hair(subject[: near.stop, near], person, light, tuple(f[: near.stop, near] for f in (x, y, coarse)))
    shade = _draw_skin(subject[near, near], person, marks, light, fields)
    picture = subject[near, near, :3]
    _draw_eyes(picture, person, pose, marks, eyes or natural_eyes(person, pose, light), perspective, (*fields[:2], shade))
    rows, columns = _window((marks.mouth[0], (MOUTH_Y + NOSE_Y) / 2), 0.45, pose, perspective)
    around = tuple(field[rows, columns] for field in (*fields[:2], shade, fields[2]))
    _draw_mouth(picture[rows, columns], person, pose, marks, light, around)
    _draw_fringe(subject[near, near], person, pose, light, (fields[0], fields[1], fields[3]))
    return subject


def _paint(subject: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Lay an opaque colour (h, w, 3) over a premultiplied subject (h, w, 4), where it covers."""
    subject[..., :3] += cover[..., None] * (colour - subject[..., :3])
    subject[..., 3] += cover * (1 - subject[..., 3])


def _draw_skin(
    subject: np.ndarray, person: Person, marks: Landmarks, light: Light, fields: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Paint the head and return its coloured shading (h, w, 3)."""
    x, y, fine, coarse = fields
    texture = 1 + np.float32(person.freckles) * fine + np.float32(0.05) * coarse
    relief, shine = _relief(person, marks, light, x, y)
    shade = relief[..., None] * light.colour
    colour = person.skin * texture[..., None] * shade + shine[..., None] * light.colour
    _paint(subject, colour, coverage(_head_distance(person, x, y)))
    return shade


def _head_distance(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    width = np.float32(person.head_width) * (1 - np.float32(person.jaw) * np.clip(y, 0, 1.3) ** 2)
    return (np.hypot(x / width, y / np.where(y > 0, np.float32(1.0), np.float32(1.05))) - 1) * np.float32(0.8)


def _relief(
    person: Person, marks: Landmarks, light: Light, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shading (Lambert plus ambient) and specular shine of the face's height map, each (R, R)."""
    radius = (x / np.float32(person.head_width)) ** 2 + y * y
    height = np.float32(0.75) * np.sqrt(np.maximum(np.float32(0.02), 1 - radius))
    nose_x = np.float32(marks.nose[0]) * np.clip((y + np.float32(0.3)) / np.float32(0.46), 0, 1)
    ramp = np.clip((y + np.float32(0.25)) / np.float32(person.nose_length + 0.1), 0, 1)
    tip = 1 / (1 + np.exp((y - np.float32(NOSE_Y + 0.08)) * 30))
    width = np.float32(person.nose_width) * (np.float32(0.55) + np.float32(0.45) * ramp)
    height += np.float32(0.3) * ramp * tip * np.exp(-(((x - nose_x) / width) ** 2))
    for eye in (marks.r_eye, marks.l_eye):
        height -= np.float32(0.09) * np.exp(-(((x - np.float32(eye[0])) / 0.2) ** 2) - ((y - np.float32(EYE_Y)) / 0.13) ** 2)
        height += np.float32(0.05) * np.exp(-(((x - np.float32(eye[0])) / 0.24) ** 2) - ((y - np.float32(0.22)) / 0.2) ** 2)
    mouth_x = x - np.float32(marks.mouth[0])
    height += np.float32(0.07) * np.exp(-((mouth_x / 0.3) ** 2) - ((y - np.float32(MOUTH_Y)) / 0.12) ** 2)
    height += np.float32(0.06) * np.exp(-((mouth_x / 0.2) ** 2) - ((y - np.float32(0.82)) / 0.12) ** 2)
    height -= np.float32(0.04) * np.exp(-((mouth_x / 0.2) ** 2) - ((y - np.float32(0.65)) / 0.06) ** 2)
    slope_y, slope_x = np.gradient(height, np.float32(1 / PIXELS_PER_UNIT))
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    lx, ly, lz = light.direction
    lambert = np.maximum(0, (lz - lx * slope_x - ly * slope_y) * norm)
    cast = (x - nose_x + np.float32(1.5 * np.sign(lx)) * width) / (np.float32(1.2) * width)  # the nose's shadow
    lambert *= 1 - np.float32(0.9) * np.abs(lx) * np.exp(-(cast**2) - ((y - np.float32(0.14)) / np.float32(0.2)) ** 2)
    ambient = np.float32(light.ambient) * (np.float32(0.6) + np.float32(0.4) * norm)
    half = np.maximum(0, (lz + 1 - lx * slope_x - ly * slope_y) * norm / np.sqrt(2 + 2 * lz))
    shine = np.float32(0.16 * (1 - light.ambient)) * half ** np.float32(40)
    return ambient + (1 - np.float32(light.ambient)) * lambert, shine


def _window(centre: tuple[float, float], reach: float, pose: Pose, perspective: float) -> tuple[slice, slice]:
    """Rows and columns around a face point, in the part of the raster that holds the head."""
    column, row = (value - SIDE / 2 + HEAD_REACH for value in project(centre, pose, perspective))
    half = int(reach * PIXELS_PER_UNIT * 1.5) + 2
    return (
        slice(max(0, int(row) - half), min(2 * HEAD_REACH, int(row) + half)),
        slice(max(0, int(column) - half), min(2 * HEAD_REACH, int(column) + half)),
    )


def _draw_eyes(
    picture: np.ndarray,
    person: Person,
    pose: Pose,
    marks: Landmarks,
    eyes: Eyes,
    perspective: float,
    fields: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    for side, centre in enumerate((marks.r_eye, marks.l_eye)):
        rows, columns = _window(centre, 0.3, pose, perspective)
        x, y, shade = (field[rows, columns] for field in fields)
        size = np.float32(eyes.size[side])
        inner = np.float32(1 if side == 0 else -1)  # towards the nose
        u, v = inner * (x - np.float32(centre[0])) / size, (y - np.float32(centre[1])) / size
        _draw_eye(picture[rows, columns], person, pose, eyes, (side, inner, u, v, shade))


def _draw_eye(picture: np.ndarray, person: Person, pose: Pose, eyes: Eyes, place: tuple) -> None:
    """One eye in its own coordinates: u towards the nose, v down, in eye half-widths."""
    side, inner, u, v, shade = place
    size = np.float32(eyes.size[side])
    v = v - np.float32(0.2) * u  # the inner corner lies lower
    arch = np.maximum(0, 1 - u * u)
    upper, lower = -np.float32(pose.lid) * arch ** np.float32(0.7), np.float32(0.38) * arch
    inside = coverage(np.maximum(upper - v, v - lower) * size) * coverage((np.abs(u) - 1) * size)
    blend = inside[..., None]
    depth = np.clip(np.float32(0.45) + (v - upper), 0, 1)[..., None]  # the lid's shadow
    white = np.float32(0.62) * shade * depth
    colour = np.broadcast_to(white, picture.shape).copy()
    pink = coverage((np.float32(0.78) - u) * size)[..., None]
    colour += pink * (person.lip * shade - colour)
    gx, gy = inner * np.float32(eyes.gaze[side][0]), np.float32(eyes.gaze[side][1])
    radius = np.hypot(u - gx, v - gy)
    ring = np.float32(0.75) + np.float32(0.25) * np.cos(9 * np.arctan2(v - gy, u - gx))
    iris = (eyes.iris[side] * shade) * (ring * (np.float32(1.25) - radius / np.float32(0.75)))[..., None]
    colour += coverage((radius - np.float32(0.48)) * size)[..., None] * (iris - colour)
    colour *= 1 - coverage((radius - np.float32(0.2)) * size)[..., None] * np.float32(0.93)
    sx, sy = (np.float32(value) for value in eyes.catchlight[side])
    spark = coverage((np.hypot(u - gx - inner * sx, v - gy - sy) - np.float32(0.16)) * size)[..., None]
    colour += spark * np.float32(1.1)
    picture += blend * (colour - picture)
    lash = np.exp(-(((v - upper) * size / np.float32(0.022)) ** 2)) * coverage((np.abs(u) - np.float32(1.12)) * size)
    picture *= 1 - (np.float32(0.75) * lash)[..., None]
    crease = np.exp(-(((v - upper * np.float32(1.25) + np.float32(0.32)) * size / np.float32(0.02)) ** 2))
    picture *= 1 - (np.float32(0.25) * crease * coverage((np.abs(u) - 1) * size))[..., None]
    arc = v + np.float32(1.55) - np.float32(0.3) * arch - np.float32(0.1) * u
    thick = np.float32(0.26) * (np.float32(0.55) + np.float32(0.45) * u)  # thick at the nose, a thin tail
    brow = coverage((np.abs(arc) - thick) * size) * coverage((np.abs(u) - np.float32(1.25)) * size)
    picture += (np.float32(person.brow) * brow)[..., None] * (person.hair * shade - picture)


def _draw_mouth(
    picture: np.ndarray, person: Person, pose: Pose, marks: Landmarks, light: Light, fields: tuple[np.ndarray, ...]
) -> None:
    x, y, shade, fine = fields
    x = x - np.float32(marks.mouth[0])
    wide = np.float32(person.mouth_width * (1 + 1.2 * max(0.0, pose.smile)))
    t = x / wide
    arch = np.maximum(0, 1 - t * t)
    middle = np.float32(MOUTH_Y + pose.smile * 0.6) - np.float32(pose.smile) * t * t * np.float32(1.6) + np.float32(pose.smile_skew) * t
    open_half = np.float32(pose.mouth_open) * arch
    bow = 1 - np.float32(0.35) * np.exp(-((x / np.float32(0.05)) ** 2))
    top = middle - open_half - np.float32(0.85 * person.lip_height) * arch * bow
    bottom = middle + open_half + np.float32(1.15 * person.lip_height) * np.sqrt(arch)
    ends = coverage(np.abs(x) - wide)
    grain = (1 + np.float32(0.06) * fine)[..., None]
    upper = coverage(np.maximum(top - y, y - middle)) * ends
    lower = coverage(np.maximum(middle - y, y - bottom)) * ends
    picture += upper[..., None] * (person.lip * np.float32(0.72) * shade * grain - picture)
    spot = np.exp(-(((x - np.float32(0.5 * wide * light.direction[0])) / np.float32(0.08)) ** 2) - ((y - middle - np.float32(0.07)) / np.float32(0.03)) ** 2)
    picture += lower[..., None] * (person.lip * shade * grain + (np.float32(0.2) * spot)[..., None] * shade - picture)
    gap = coverage(np.maximum(middle - open_half - y, y - middle - open_half)) * ends
    teeth = np.where((y < middle + open_half * np.float32(0.3))[..., None], np.float32(0.55) * shade, np.float32(0.02))
    picture += (gap * np.float32(pose.mouth_open > 0.02))[..., None] * (teeth - picture)
    line = np.exp(-(((y - middle) / np.float32(0.016)) ** 2)) * ends * np.float32(pose.mouth_open <= 0.02)
    picture *= 1 - (np.float32(0.6) * line)[..., None]
    for nostril in (-0.5, 0.5):
        nx = x - np.float32(marks.nose[0] - marks.mouth[0] + nostril * person.nose_width * 1.3)
        dark = np.exp(-((nx / np.float32(0.04)) ** 2) - ((y - np.float32(NOSE_Y + 0.07)) / np.float32(0.022)) ** 2)
        picture *= 1 - (np.float32(0.65) * dark)[..., None]


def _draw_body(subject: np.ndarray, person: Person, light: Light, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> None:
    """Neck and clothes."""
    side = np.clip(np.float32(0.6) + np.float32(0.35 * light.direction[0]) * x, np.float32(0.25), 1)
    neck = coverage(np.maximum(np.abs(x) - np.float32(0.42), np.float32(0.5) - y))
    _paint(subject, person.skin * light.colour * (np.float32(0.75) * side * (1 + np.float32(0.05) * noise))[..., None], neck)
    weave = 1 + np.float32(0.25) * np.sin(np.float32(28) * (x + np.float32(0.4) * y)) + np.float32(0.12) * noise
    shoulders = coverage(np.float32(1.12) + np.float32(0.22) * x * x - y)
    _paint(subject, person.cloth * light.colour * (side * weave)[..., None], shoulders)


def _hair_colour(person: Person, light: Light, fields: tuple[np.ndarray, ...]) -> np.ndarray:
    x, y, noise = fields
    strands = np.sin(np.float32(55) * x / (np.float32(1.2) + np.abs(y)) + np.float32(2.5) * noise)
    glow = np.exp(-((y + np.float32(0.85) - np.float32(0.2 * light.direction[0]) * x) ** 2) / np.float32(0.05))
    tone = np.float32(0.75) + np.float32(0.3) * strands + np.float32(0.15) * noise + np.float32(0.6 * (1 - light.ambient)) * glow
    return person.hair * light.colour * np.maximum(np.float32(0.1), tone)[..., None]


def _draw_hair(subject: np.ndarray, person: Person, light: Light, fields: tuple[np.ndarray, ...]) -> None:
    """The hair behind the face."""
    x, y, noise = fields
    width = np.float32(person.head_width * 1.22)
    dome = np.hypot(x / width, (y + np.float32(0.12)) / np.float32(1.08)) - 1
    fall = np.maximum(np.abs(x) / width - 1, -y - np.float32(0.12))
    shape = np.maximum(np.minimum(dome, fall), y - np.float32(person.hair_length)) + np.float32(0.03) * noise
    _paint(subject, _hair_colour(person, light, fields) * np.float32(0.7), coverage(shape))


def _draw_fringe(subject: np.ndarray, person: Person, pose: Pose, light: Light, fields: tuple[np.ndarray, ...]) -> None:
    """The hair before the forehead, from the crown to a hairline that is parted somewhere."""
    x, y, noise = fields
    cap = np.hypot(x / np.float32(person.head_width * 1.12), (y + np.float32(0.08)) / np.float32(1.06)) - 1
    line = np.float32(person.hairline) + np.float32(0.45) * (x - np.float32(pose.parting)) ** 2 + np.float32(0.04) * noise
    _paint(subject, _hair_colour(person, light, fields), coverage(np.maximum(cap, y - line)))
