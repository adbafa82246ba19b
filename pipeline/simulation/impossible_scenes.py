"""Simulated generators whose noise is a camera's, so that only light and colour tell.

What the generator paints goes through the optics, the sensor, the demosaicing and the curve of a
photograph, but no camera could have seen it so. Written from the literature before any detector
had scored such a picture, and not changed afterwards. Pictures are float32 (SIDE, SIDE, 3),
display-referred, 0 to 1."""

import copy
from dataclasses import replace

import numpy as np

from pipeline.common import randomness
from pipeline.simulation import camera, head, parts, scene

APART = np.pi / 4  # radians; Johnson and Farid's estimates err by a few degrees
TRANSITION = 0.08  # face units: from 10 % to 90 % of the other light within 0.35 of about 1.5
WEIGHT_ERROR = 0.1


def sim_illumination(rng: np.random.Generator, subject: parts.Subject, seed: int) -> np.ndarray:
    """The two halves of a face are lit from different directions (Matern et al. 2019; Johnson and
    Farid 2005, 2007).

    A generator models no incident light, and shades each part of a face as it has seen such parts
    shaded: here as two portraits of the same person in the same pose under lights of the same
    colour, hardness and strength, at least 45 degrees apart and both drawn as a portrait's light
    is. They meet in a smooth transition down the middle of the face, so that shading, shine, the
    nose's shadow and the eyes' highlights follow one light on the person's right and another on the
    left."""
    background = scene.draw_background(rng, subject.light)
    same_draws = copy.deepcopy(rng)
    first = head.draw_subject(rng, subject)
    other = replace(subject, light=_light_from_elsewhere(rng, subject.light))
    second = head.draw_subject(same_draws, other)
    x, _ = scene.face_grid(subject.pose, subject.shot.perspective)
    left = 1 / (1 + np.exp((subject.marks["mouth"][0] - x) / TRANSITION))
    layers = scene.Layers(background, first + left * (second - first))
    return camera.photograph(rng, layers, subject.shot).astype(np.float32) / 255


def _light_from_elsewhere(rng: np.random.Generator, light: scene.Light) -> scene.Light:
    """The same light from a direction that is drawn anew until it is APART or more away."""
    while True:
        direction = scene.draw_light(rng, light.ev100).direction
        if direction @ light.direction <= np.cos(APART):
            return replace(light, direction=direction)


def sim_gamut(rng: np.random.Generator, subject: parts.Subject, seed: int) -> np.ndarray:
    """Colours outside of the camera's gamut: R, G and B are learnt weightings that overlap and may
    be negative (McCloskey and Albright 2018; Li et al. 2020).

    A camera's three spectral responses are fixed by physics; the last layer of a generator forms
    each channel with weights of its own. Here the light of the scene is weighted anew, by a matrix
    that is drawn once for the whole generator: the identity with every weight off by 0.1, as in
    `sim_upsampling`, and rows that sum to one, as the generator has learnt that white is white.
    Sensor and processing follow as for a photograph. The second cue of the source, fewer under- and
    over-exposed pixels, is left out."""
    layers = scene.Layers(
        scene.draw_background(rng, subject.light), head.draw_subject(rng, subject)
    )
    light = np.tensordot(colour_weights(seed), camera.optics(layers, subject.shot), axes=1)
    raw = camera.expose(rng, np.maximum(0, light), subject.shot)
    return camera.develop(raw).astype(np.float32) / 255


def colour_weights(seed: int) -> np.ndarray:
    """The generator's weights (3, 3) of linear R, G, B in each of its own; rows sum to one."""
    error = randomness.generator(seed, "sim_gamut weights").normal(0, WEIGHT_ERROR, (3, 3))
    return (np.eye(3) + error - error.mean(axis=1, keepdims=True)).astype(np.float32)
