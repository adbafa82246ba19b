"""Which part of a face carries its anomaly: cover one part after the other, and see how far the
anomaly score drops.

Occlusion sensitivity (Zeiler, Fergus 2014). A drop is score(face) - score(face with the part
covered), in nats: positive where covering makes the face less anomalous, so that the part carries
anomaly; negative where it makes it more so.

A part is covered by the face's own blur through a window with soft edges. That takes the detail
away and keeps colour and shading, without an edge that would be anomalous itself: on twelve of the
sample's photographs (with an earlier encoder) it changed the score half as much as a hard patch of
the picture's mean colour. Where a whole picture is anomalous alike, such as too smooth everywhere,
no part carries it, and blue parts are those that still look photographic."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import processes, terminal
from pipeline.base.schema import FeatureExtraction
from pipeline.common.devices import arithmetic, resolve_precision, select_device
from pipeline.density.density import Density
from pipeline.encoder import inference
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.extraction.features import FACES_PER_CORE, encode, single_threaded

PATCH = 16  # side of a part, pixels of the encoder's input: an eye of an 88-pixel face
RED, BLUE = np.array([202.0, 0.0, 32.0]), np.array([5.0, 80.0, 190.0])  # drops above, below zero
OPACITY = 0.75  # of the strongest colour
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "middle", "right")
Picture = NDArray[np.uint8]  # (H, W, 3)
Drops = NDArray[np.float64]  # by patch (k * k,), or as a map (size, size)


@dataclass(frozen=True)
class Scorer:
    """What turns pictures into anomaly scores."""

    encoder: Encoder
    preprocessing: Preprocessing
    settings: FeatureExtraction
    density: Density


def maps(scorer: Scorer, pictures: Sequence[Picture]) -> list[tuple[Picture, Drops]]:
    """Of each picture the encoder's input (size, size, 3), and the map of drops on it in nats.

    On a CPU the faces are shared among the cores, on whose number nothing depends."""
    device = select_device(scorer.settings.device, key="features.device")
    with arithmetic(), single_threaded():
        model = inference.fused(scorer.encoder).to(device)

        def explain(picture: Picture) -> tuple[Picture, Drops]:
            whole = torch.from_numpy(picture)[None]  # (1, H, W, 3)
            pixels = inference.resize(whole, scorer.preprocessing)[0].numpy()  # (3, size, size)
            seen = np.round(pixels).astype(np.uint8).transpose(1, 2, 0)
            return seen, spread(drops(scorer, model, pixels), pixels.shape[-1])

        cores = processes.workers() if device.type == "cpu" else 1
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            shown = terminal.progress(
                pool.map(explain, pictures), total=len(pictures), what="explain"
            )
            return list(shown)


def drops(scorer: Scorer, model: Encoder, pixels: NDArray[np.float32]) -> Drops:
    """How far the score of an input (3, size, size) in 0..255 drops with each patch covered."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(pixels, (0, PATCH / 2, PATCH / 2), mode="nearest")
    first, device = starts(pixels.shape[-1]), model.mean.device
    corners = [None, *((int(y), int(x)) for y in first for x in first)]  # None: nothing covered
    precision = resolve_precision(scorer.settings.precision, device)
    size = scorer.settings.batch_size
    size = min(size, FACES_PER_CORE) if device.type == "cpu" else size
    encoded = []  # features and head scores of each batch
    for i in range(0, len(corners), size):
        batch = np.repeat(pixels[None], len(corners[i : i + size]), axis=0)  # (n, 3, size, size)
        for face, corner in zip(batch, corners[i : i + size], strict=True):
            if corner:
                y, x = (slice(at, at + PATCH) for at in corner)
                face[:, y, x] += WINDOW * (blurred - pixels)[:, y, x]
        outputs = encode(model, torch.from_numpy(batch).to(device), precision)
        encoded.append([output.cpu().numpy() for output in outputs])
    features, heads = (np.concatenate(parts) for parts in zip(*encoded, strict=True))
    scores = scorer.density.anomaly_score(features, heads)  # (1 + k * k,)
    return scores[0] - scores[1:]


def starts(size: int) -> NDArray[np.int64]:
    """First pixels (k,) of the patches along a side, half a patch apart, the last one flush with
    the end.
    """
    return np.unique([*range(0, size - PATCH + 1, PATCH // 2), size - PATCH])


def _window() -> NDArray[np.float32]:
    """How strongly each pixel of a patch is covered, (PATCH, PATCH) in (0, 1]: 1 in the middle, a
    quarter of it fading out.
    """
    ramp = np.sin(np.pi / 2 * np.minimum(1, (np.arange(PATCH) + 0.5) / (PATCH / 4))) ** 2
    side = np.minimum(ramp, ramp[::-1])
    return np.outer(side, side).astype(np.float32)


WINDOW = _window()


def spread(values: Drops, size: int) -> Drops:
    """Drops of the patches as a map (size, size): the mean over the patches on a pixel, weighted by
    their windows.
    """
    first = starts(size)
    total, weight = np.zeros((size, size)), np.zeros((size, size))
    for value, (y, x) in zip(values, ((y, x) for y in first for x in first), strict=True):
        total[y : y + PATCH, x : x + PATCH] += value * WINDOW
        weight[y : y + PATCH, x : x + PATCH] += WINDOW
    return total / weight


def strongest(drop: Drops) -> tuple[float, str]:
    """The largest drop of a map (h, w) and where it lies, in words of thirds such as "upper left";
    "nowhere" if none is > 0.
    """
    largest = float(drop.max())
    if largest <= 0:
        return largest, "nowhere"
    y, x = np.argwhere(drop == largest).mean(axis=0) * 3 // drop.shape
    row, column = ROWS[int(y)], COLUMNS[int(x)]
    return largest, row if row == column else f"{row} {column}"


def overlay(picture: Picture, drop: Drops) -> Picture:
    """A picture (h, w, 3) in grey with its map (h, w) over it: red where covering lowers the
    anomaly score, blue where it raises it, full colour at the map's strongest value."""
    grey = np.repeat((picture @ LUMA)[..., None], 3, axis=2)
    scale = float(np.abs(drop).max()) or 1.0
    opacity = OPACITY * np.abs(drop)[..., None] / scale
    colour = np.where(drop[..., None] > 0, RED, BLUE)
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)
