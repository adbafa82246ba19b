"""Training faces drawn anew in each epoch: mirrored, with another history, in part.

A draw is keyed by (seed, face id, epoch): a photograph and its manipulations are treated alike, and
neither threads nor other faces have an influence. The validation set is never augmented."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.perturbation_names import WHOLE
from pipeline.base.schema import Augmentation
from pipeline.common import randomness
from pipeline.perturbation import pictures

Pixels = NDArray[np.uint8]  # (m, H, W, 3), whole stored pictures
Boxes = NDArray[np.float32]  # (m, 4) x0, y0, x1, y1 in pixels
# Of pixels, boxes and hashes, with `each=` a map; returns new pixels and boxes
Change = Callable[..., tuple[Pixels, Boxes]]
# What a published photograph has gone through: kind of perturbation, range of its strength.
HISTORIES = {"jpeg": (70, 98), "webp": (70, 98), "resize": (0.6, 1.0), "blur": (0.0, 0.7)}


@dataclass(frozen=True)
class Draws:
    """What happens to m faces."""

    flipped: NDArray[np.bool_]  # (m,)
    places: NDArray[np.float64]  # (m, 2) of the crop in x and y, in [0, 1) of the room for it
    histories: list[tuple[str, float] | None]  # kind and strength


def draw(hashes: NDArray[np.uint64], settings: Augmentation, *, seed: int, epoch: int) -> Draws:
    """The draws of the faces with these hashes (m,) of their ids."""

    def uniform(what: str) -> NDArray[np.float64]:  # (m,) in [0, 1)
        return randomness.uniforms(seed, f"pretext {what}", hashes, epoch)

    kinds = np.floor(uniform("history kind") * len(HISTORIES)).astype(int)
    given = uniform("history") < settings.histories
    strengths = uniform("history strength")
    return Draws(
        settings.flip & (uniform("flip") < 0.5),
        np.stack([uniform(f"place {axis}") for axis in "xy"], axis=1),
        [_history(k, s) if g else None for k, s, g in zip(kinds, strengths, given, strict=True)],
    )


def _history(number: int, place: float) -> tuple[str, float]:
    """Kind and strength of a history, its strength at a place in [0, 1) of its range."""
    kind, (low, high) = list(HISTORIES.items())[number]
    if kind in WHOLE:
        return kind, float(low + int(place * (high - low + 1)))
    return kind, low + place * (high - low)


def cropped_size(input_size: int, settings: Augmentation) -> int:
    """Pixels, width and height, of what training sees of an input of so many."""
    return round(input_size * settings.crop)


def change_of_epoch(
    settings: Augmentation, input_size: int, *, seed: int, epoch: int
) -> Change | None:
    """What is done to the faces of an epoch; None where that is nothing."""
    wanted = settings.flip or settings.crop < 1 or settings.histories
    share = cropped_size(input_size, settings) / input_size
    how = partial(augment, settings=settings, share=share, seed=seed, epoch=epoch)
    return how if wanted else None


def augment(
    pixels: Pixels,
    boxes: Boxes,
    hashes: NDArray[np.uint64],
    settings: Augmentation,
    *,
    share: float,
    seed: int,
    epoch: int,
    each: Callable[..., Iterable[Any]] = map,
) -> tuple[Pixels, Boxes]:
    """The pictures and boxes of m faces in an epoch, as new arrays.

    First a picture is mirrored with its box, then it gets its history, then the box shrinks to this
    share of its sides. each: a map over the pictures with a history, such as that of a pool of
    threads."""
    draws = draw(hashes, settings, seed=seed, epoch=epoch)
    pixels = pixels.copy()
    pixels[draws.flipped] = pixels[draws.flipped, :, ::-1]
    changed = [i for i, history in enumerate(draws.histories) if history]
    for i, picture in zip(changed, each(partial(_changed, pixels, draws), changed), strict=True):
        pixels[i] = picture
    return pixels, cropped(boxes, draws, share, pixels.shape[2])


def _changed(pixels: Pixels, draws: Draws, i: int) -> pictures.Picture:
    kind, strength = draws.histories[i] or ("", 0.0)
    return pictures.FUNCTIONS[kind](pixels[i], strength)


def cropped(boxes: Boxes, draws: Draws, share: float, width: int) -> Boxes:
    """The boxes (m, 4) mirrored in their pictures of this width, then shrunk to a share of their
    sides at the places drawn, which lie whole pixels from the corner: nothing is interpolated that
    was not before.
    """
    boxes = boxes.astype(np.float64)
    mirrored = np.where(draws.flipped[:, None], width - boxes[:, 2::-2], boxes[:, ::2])  # (m, 2)
    low = np.stack([mirrored[:, 0], boxes[:, 1]], axis=1)
    high = np.stack([mirrored[:, 1], boxes[:, 3]], axis=1)
    side = share * (high - low)
    room = np.floor(high - low - side + 1e-6)  # rounding must not cost a pixel
    low += np.floor(draws.places * (room + 1))
    return np.concatenate([low, np.minimum(low + side, high)], axis=1).astype(np.float32)
