"""Drawing of one sitter: a relief lit by the scene's light, the parts of the face on it, hair, neck
and clothes.
"""

import numpy as np

from pipeline.simulation.parts import (
    EYE_Y,
    HEAD_REACH,
    MOUTH_Y,
    NOSE_Y,
    Eyes,
    Patch,
    Sitting,
    draw_eyes,
    draw_mouth,
    draw_nostrils,
    natural_eyes,
)
from pipeline.simulation.scene import (
    PIXELS_PER_UNIT,
    RASTER,
    Person,
    coloured_noise,
    coverage,
    face_grid,
)


def draw_subject(rng: np.random.Generator, who: Sitting, eyes: Eyes | None = None) -> np.ndarray:
    """The subject (R, R, 4): linear radiance premultiplied with coverage, and the coverage.

    eyes: what `natural_eyes` gives unless a generator wants otherwise.
    """
    x, y = face_grid(who.pose, who.perspective)
    fine, coarse = coloured_noise(rng, 1.0), coloured_noise(rng, 1.5)
    subject = np.zeros((RASTER, RASTER, 4), np.float32)
    below = slice(RASTER // 2, RASTER)
    _draw_body(subject[below], who, x[below], y[below], coarse[below])
    near = slice(RASTER // 2 - HEAD_REACH, RASTER // 2 + HEAD_REACH)
    above = slice(0, near.stop)
    _draw_hair(subject[above, near], who, x[above, near], y[above, near], coarse[above, near])
    x, y, fine, coarse = (field[near, near] for field in (x, y, fine, coarse))
    shade = _draw_skin(subject[near, near], who, x, y, (fine, coarse))
    patch = Patch(subject[near, near, :3], x, y, shade, fine)
    draw_eyes(patch, who, eyes or natural_eyes(who.person, who.pose, who.light))
    draw_mouth(patch, who)
    draw_nostrils(patch, who)
    _draw_fringe(subject[near, near], who, x, y, coarse)
    return subject


def _paint(subject: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Lay an opaque colour (h, w, 3) over a premultiplied subject (h, w, 4), where it covers."""
    subject[..., :3] += cover[..., None] * (colour - subject[..., :3])
    subject[..., 3] += cover * (1 - subject[..., 3])


def _draw_skin(
    subject: np.ndarray,
    who: Sitting,
    x: np.ndarray,
    y: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Paint the head and return its coloured shading (h, w, 3)."""
    person, light, (fine, coarse) = who.person, who.light, noise
    texture = 1 + np.float32(person.freckles) * fine + np.float32(0.05) * coarse
    relief, shine = _relief(who, x, y)
    shade = relief[..., None] * light.colour
    colour = person.skin * texture[..., None] * shade + shine[..., None] * light.colour
    _paint(subject, colour, coverage(_head_distance(person, x, y)))
    return shade


def _head_distance(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    width = np.float32(person.head_width) * (1 - np.float32(person.jaw) * np.clip(y, 0, 1.3) ** 2)
    return (
        np.hypot(x / width, y / np.where(y > 0, np.float32(1.0), np.float32(1.05))) - 1
    ) * np.float32(0.8)


def _relief(who: Sitting, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shading (Lambert plus ambient) and specular shine of the face's height map, each (R, R)."""
    person, marks, light = who.person, who.marks, who.light
    radius = (x / np.float32(person.head_width)) ** 2 + y * y
    height = np.float32(0.75) * np.sqrt(np.maximum(np.float32(0.02), 1 - radius))
    nose_x = np.float32(marks.nose[0]) * np.clip((y + np.float32(0.3)) / np.float32(0.46), 0, 1)
    ramp = np.clip((y + np.float32(0.25)) / np.float32(person.nose_length + 0.1), 0, 1)
    tip = 1 / (1 + np.exp((y - np.float32(NOSE_Y + 0.08)) * 30))
    width = np.float32(person.nose_width) * (np.float32(0.55) + np.float32(0.45) * ramp)
    height += np.float32(0.3) * ramp * tip * np.exp(-(((x - nose_x) / width) ** 2))
    for eye in (marks.r_eye, marks.l_eye):
        height -= np.float32(0.09) * np.exp(
            -(((x - np.float32(eye[0])) / 0.2) ** 2) - ((y - np.float32(EYE_Y)) / 0.13) ** 2
        )
        height += np.float32(0.05) * np.exp(
            -(((x - np.float32(eye[0])) / 0.24) ** 2) - ((y - np.float32(0.22)) / 0.2) ** 2
        )
    mouth_x = x - np.float32(marks.mouth[0])
    height += np.float32(0.07) * np.exp(
        -((mouth_x / 0.3) ** 2) - ((y - np.float32(MOUTH_Y)) / 0.12) ** 2
    )
    height += np.float32(0.06) * np.exp(
        -((mouth_x / 0.2) ** 2) - ((y - np.float32(0.82)) / 0.12) ** 2
    )
    height -= np.float32(0.04) * np.exp(
        -((mouth_x / 0.2) ** 2) - ((y - np.float32(0.65)) / 0.06) ** 2
    )
    slope_y, slope_x = np.gradient(height, np.float32(1 / PIXELS_PER_UNIT))
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    lx, ly, lz = light.direction
    lambert = np.maximum(0, (lz - lx * slope_x - ly * slope_y) * norm)
    cast = (x - nose_x + np.float32(1.5 * np.sign(lx)) * width) / (
        np.float32(1.2) * width
    )  # the nose's shadow
    lambert *= 1 - np.float32(0.9) * np.abs(lx) * np.exp(
        -(cast**2) - ((y - np.float32(0.14)) / np.float32(0.2)) ** 2
    )
    ambient = np.float32(light.ambient) * (np.float32(0.6) + np.float32(0.4) * norm)
    half = np.maximum(0, (lz + 1 - lx * slope_x - ly * slope_y) * norm / np.sqrt(2 + 2 * lz))
    shine = np.float32(0.16 * (1 - light.ambient)) * half ** np.float32(40)
    return ambient + (1 - np.float32(light.ambient)) * lambert, shine


def _draw_body(
    subject: np.ndarray, who: Sitting, x: np.ndarray, y: np.ndarray, noise: np.ndarray
) -> None:
    """Neck and clothes."""
    person, light = who.person, who.light
    side = np.clip(np.float32(0.6) + np.float32(0.35 * light.direction[0]) * x, np.float32(0.25), 1)
    neck = coverage(np.maximum(np.abs(x) - np.float32(0.42), np.float32(0.5) - y))
    _paint(
        subject,
        person.skin
        * light.colour
        * (np.float32(0.75) * side * (1 + np.float32(0.05) * noise))[..., None],
        neck,
    )
    weave = (
        1
        + np.float32(0.25) * np.sin(np.float32(28) * (x + np.float32(0.4) * y))
        + np.float32(0.12) * noise
    )
    shoulders = coverage(np.float32(1.12) + np.float32(0.22) * x * x - y)
    _paint(subject, person.cloth * light.colour * (side * weave)[..., None], shoulders)


def _hair_colour(who: Sitting, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    light = who.light
    strands = np.sin(np.float32(55) * x / (np.float32(1.2) + np.abs(y)) + np.float32(2.5) * noise)
    glow = np.exp(
        -((y + np.float32(0.85) - np.float32(0.2 * light.direction[0]) * x) ** 2) / np.float32(0.05)
    )
    tone = (
        np.float32(0.75)
        + np.float32(0.3) * strands
        + np.float32(0.15) * noise
        + np.float32(0.6 * (1 - light.ambient)) * glow
    )
    return who.person.hair * light.colour * np.maximum(np.float32(0.1), tone)[..., None]


def _draw_hair(
    subject: np.ndarray, who: Sitting, x: np.ndarray, y: np.ndarray, noise: np.ndarray
) -> None:
    """The hair behind the face."""
    person = who.person
    width = np.float32(person.head_width * 1.22)
    dome = np.hypot(x / width, (y + np.float32(0.12)) / np.float32(1.08)) - 1
    fall = np.maximum(np.abs(x) / width - 1, -y - np.float32(0.12))
    shape = (
        np.maximum(np.minimum(dome, fall), y - np.float32(person.hair_length))
        + np.float32(0.03) * noise
    )
    _paint(subject, _hair_colour(who, x, y, noise) * np.float32(0.7), coverage(shape))


def _draw_fringe(
    subject: np.ndarray, who: Sitting, x: np.ndarray, y: np.ndarray, noise: np.ndarray
) -> None:
    """The hair before the forehead, from the crown to a hairline that is parted somewhere."""
    person, pose = who.person, who.pose
    cap = (
        np.hypot(
            x / np.float32(person.head_width * 1.12), (y + np.float32(0.08)) / np.float32(1.06)
        )
        - 1
    )
    line = (
        np.float32(person.hairline)
        + np.float32(0.45) * (x - np.float32(pose.parting)) ** 2
        + np.float32(0.04) * noise
    )
    _paint(subject, _hair_colour(who, x, y, noise), coverage(np.maximum(cap, y - line)))
