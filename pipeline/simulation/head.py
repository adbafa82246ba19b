"""Drawing of one subject: a relief in the scene's light, the face on it, hair, neck, clothes."""

from typing import NamedTuple

import numpy as np

from pipeline.simulation import parts
from pipeline.simulation.parts import EYE_Y, HEAD_REACH, MOUTH_Y, NOSE_Y, Subject
from pipeline.simulation.scene import (
    PIXELS_PER_UNIT,
    RASTER,
    Person,
    coloured_noise,
    coverage,
    face_grid,
)


class Field(NamedTuple):
    """A part of the raster: face coordinates and two noises, each (h, w)."""

    x: np.ndarray
    y: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray

    def part(self, rows: slice, columns: slice) -> "Field":
        """Some rows and columns."""
        return Field(*(values[rows, columns] for values in self))


def draw_subject(
    rng: np.random.Generator, who: Subject, eyes: parts.Eyes | None = None
) -> np.ndarray:
    """The subject (4, R, R): linear radiance premultiplied with coverage, and the coverage.

    eyes: what `natural_eyes` gives unless a generator wants otherwise.
    """
    grid = face_grid(who.pose, who.shot.perspective)
    field = Field(*grid, coloured_noise(rng, 1.0), coloured_noise(rng, 1.5))
    subject = np.zeros((4, RASTER, RASTER), np.float32)
    everything, below = slice(RASTER), slice(RASTER // 2, RASTER)
    near = slice(RASTER // 2 - HEAD_REACH, RASTER // 2 + HEAD_REACH)
    _draw_body(subject[:, below], who, field.part(below, everything))
    to_chin, around = field.part(slice(near.stop), near), field.part(near, near)
    hair = _hair_colour(who, to_chin)
    _draw_hair(subject[:, : near.stop, near], who, hair, to_chin)
    face = subject[:, near, near]
    shade = _draw_skin(face, who, around)
    patch = parts.Patch(face[:3], around.x, around.y, shade, around.fine)
    parts.draw_eyes(patch, who, eyes or parts.natural_eyes(who.person, who.pose, who.light))
    parts.draw_mouth(patch, who)
    parts.draw_nostrils(patch, who)
    _draw_fringe(face, who, hair[:, near], around)
    return subject


def _paint(subject: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Lay an opaque colour (3, h, w) over a premultiplied subject (4, h, w), where it covers."""
    subject[:3] += cover * (colour - subject[:3])
    subject[3] += cover * (1 - subject[3])


def _draw_skin(subject: np.ndarray, who: Subject, field: Field) -> np.ndarray:
    """Paint the head and return its coloured shading (3, h, w)."""
    person, light = who.person, who.light
    texture = 1 + person.freckles * field.fine + 0.05 * field.coarse
    relief, shine = _relief(who, field.x, field.y)
    shade = relief * light.colour
    colour = person.skin * texture * shade + shine * light.colour
    _paint(subject, colour, coverage(_head_distance(person, field.x, field.y)))
    return shade


def _head_distance(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    width = person.head_width * (1 - person.jaw * np.clip(y, 0, 1.3) ** 2)
    height = np.where(y > 0, np.float32(1.0), np.float32(1.05))
    return (np.hypot(x / width, y / height) - 1) * 0.8


def _relief(who: Subject, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shading (Lambert plus ambient) and specular shine of the face's height map, each (h, w)."""
    person, marks, light = who.person, who.marks, who.light
    height = 0.75 * np.sqrt(np.maximum(0.02, 1 - ((x / person.head_width) ** 2 + y * y)))
    nose_x = marks["nose"][0] * np.clip((y + 0.3) / 0.46, 0, 1)
    ramp = np.clip((y + 0.25) / (person.nose_length + 0.1), 0, 1)
    tip = 1 / (1 + np.exp((y - (NOSE_Y + 0.08)) * 30))
    width = person.nose_width * (0.55 + 0.45 * ramp)
    height += 0.3 * ramp * tip * np.exp(-(((x - nose_x) / width) ** 2))
    right, left, mouth = (marks[name][0] for name in ("r_eye", "l_eye", "mouth"))
    for rise, centre_x, centre_y, wide, high in (
        (-0.09, right, EYE_Y, 0.2, 0.13),
        (0.05, right, 0.22, 0.24, 0.2),
        (-0.09, left, EYE_Y, 0.2, 0.13),
        (0.05, left, 0.22, 0.24, 0.2),
        (0.07, mouth, MOUTH_Y, 0.3, 0.12),
        (0.06, mouth, 0.82, 0.2, 0.12),
        (-0.04, mouth, 0.65, 0.2, 0.06),
    ):
        height += rise * np.exp(-(((x - centre_x) / wide) ** 2) - ((y - centre_y) / high) ** 2)
    slope_y, slope_x = np.gradient(height, np.float32(1 / PIXELS_PER_UNIT))
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    lx, ly, lz = light.direction
    lambert = np.maximum(0, (lz - lx * slope_x - ly * slope_y) * norm)
    cast = (x - nose_x + 1.5 * np.sign(lx) * width) / (1.2 * width)  # the nose's shadow
    lambert *= 1 - 0.9 * np.abs(lx) * np.exp(-(cast**2) - ((y - 0.14) / 0.2) ** 2)
    ambient = light.ambient * (0.6 + 0.4 * norm)
    half = np.maximum(0, (lz + 1 - lx * slope_x - ly * slope_y) * norm / np.sqrt(2 + 2 * lz))
    direct = 1 - np.float32(light.ambient)
    return ambient + direct * lambert, 0.16 * (1 - light.ambient) * half**40


def _draw_body(subject: np.ndarray, who: Subject, field: Field) -> None:
    """Neck and clothes."""
    (x, y, _, noise), person, light = field, who.person, who.light
    side = np.clip(0.6 + 0.35 * light.direction[0] * x, 0.25, 1)
    neck = coverage(np.maximum(np.abs(x) - 0.42, 0.5 - y))
    _paint(subject, person.skin * light.colour * (0.75 * side * (1 + 0.05 * noise)), neck)
    weave = 1 + 0.25 * np.sin(28 * (x + 0.4 * y)) + 0.12 * noise
    shoulders = coverage(1.12 + 0.22 * x * x - y)
    _paint(subject, person.cloth * light.colour * (side * weave), shoulders)


def _hair_colour(who: Subject, field: Field) -> np.ndarray:
    """Strands and gloss of the hair (3, h, w), wherever there is hair."""
    (x, y, _, noise), light = field, who.light
    strands = np.sin(55 * x / (1.2 + np.abs(y)) + 2.5 * noise)
    glow = np.exp(-((y + 0.85 - 0.2 * light.direction[0] * x) ** 2) / 0.05)
    tone = 0.75 + 0.3 * strands + 0.15 * noise + 0.6 * (1 - light.ambient) * glow
    return who.person.hair * light.colour * np.maximum(0.1, tone)


def _draw_hair(subject: np.ndarray, who: Subject, hair: np.ndarray, field: Field) -> None:
    """The hair behind the face."""
    x, y, _, noise = field
    width = who.person.head_width * 1.22
    dome = np.hypot(x / width, (y + 0.12) / 1.08) - 1
    fall = np.maximum(np.abs(x) / width - 1, -y - 0.12)
    shape = np.maximum(np.minimum(dome, fall), y - who.person.hair_length) + 0.03 * noise
    _paint(subject, hair * 0.7, coverage(shape))


def _draw_fringe(subject: np.ndarray, who: Subject, hair: np.ndarray, field: Field) -> None:
    """The hair before the forehead, from the crown to a hairline that is parted somewhere."""
    (x, y, _, noise), person = field, who.person
    cap = np.hypot(x / (person.head_width * 1.12), (y + 0.08) / 1.06) - 1
    line = person.hairline + 0.45 * (x - who.pose.parting) ** 2 + 0.04 * noise
    _paint(subject, hair, coverage(np.maximum(cap, y - line)))
