"""Pictures of a few subjects: photographs, what a generator aims at, and what it makes."""

from functools import cache

import numpy as np
from scipy import ndimage

from pipeline.simulation import camera, generators, parts
from tests.simulation.plain_shot import rng

SEED, COUNT = 1, 8


def drawn(number: int) -> tuple[np.random.Generator, parts.Subject]:
    random = rng("subject", number)
    return random, generators.portrait_subject(random)


@cache
def pictures(name: str) -> np.ndarray:
    """COUNT pictures (n, SIDE, SIDE, 3) before JPEG; the same subjects for every name."""
    out = []
    for number in range(COUNT):
        random, subject = drawn(number)
        if name in generators.GENERATORS:
            out.append(generators.GENERATORS[name](random, subject, SEED))
            continue
        layers = generators.render(random, subject)
        if name == "clean":
            out.append(generators.clean(layers, subject.shot))
        else:
            out.append(camera.photograph(random, layers, subject.shot).astype(np.float32) / 255)
    return np.array(out)


def noise_level(stack: np.ndarray) -> float:
    """Noise from second differences that no straight edge or gradient passes (Immerkaer 1996), by
    their median.
    """
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    medians = [np.median(np.abs(ndimage.convolve(picture[..., 1], kernel))) for picture in stack]
    return float(np.mean(medians)) / 6 / 0.6745
