"""Which part of a face carries its anomaly: cover one part after the other, and see how far the
anomaly score drops.

Occlusion sensitivity (Zeiler, Fergus 2014). A drop is score(face) - score(face with the part
covered), in nats: positive where covering makes the face less anomalous, so that the part carries
anomaly; negative where it makes it more so.

A part is covered by the face's own blur through a window with soft edges. That takes the detail
away and keeps colour and shading, without an edge that would be anomalous itself: on twelve of the
sample's photographs it changes the score by 0.39 nats on average, a hard patch of the picture's
mean colour by 0.73. Where a whole picture is anomalous alike, such as too smooth everywhere, no
part carries it, and blue parts are those that still look photographic."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.base.schema import FeatureExtraction
from pipeline.common.devices import deterministic, select_device
from pipeline.density.mixture import Mixture
from pipeline.encoder import inference
from pipeline.encoder.inference import Inference
from pipeline.encoder.network import Encoder
from pipeline.extraction.features import FACES_PER_CORE, encode, single_threaded

RED, BLUE = (
    np.array([202.0, 0.0, 32.0]),
    np.array([5.0, 80.0, 190.0]),
)  # for drops above and below zero
OPACITY = 0.75  # of the strongest colour
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "middle", "right")


@dataclass(frozen=True)
class PictureScorer:
    """What turns pictures into anomaly scores: the encoder with its input's side in pixels, how it
    is used, the mixture.
    """

    encoder: Encoder
    input_size: int
    settings: FeatureExtraction
    mixture: Mixture


def maps(
    scorer: PictureScorer, pictures: Sequence[NDArray[np.uint8]], patch: int
) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """The encoder's input (size, size, 3) and the map of drops (size, size), in nats, of each
    picture (H, W, 3).

    On a CPU the faces are shared among the cores (terminal.workers), on whose number nothing
    depends. Raises PipelineError where the patch is larger than the input."""
    starts(scorer.input_size, patch)
    device = select_device(scorer.settings.device, key="features.device")
    with deterministic(), single_threaded():
        model = Inference(scorer.encoder.eval()).to(device).eval()

        def explain(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
            how, whole = scorer.settings, torch.from_numpy(picture)[None]  # (1, H, W, 3)
            pixels = inference.resize(
                whole, scorer.input_size, mode=how.resize, antialias=how.antialias
            )[0].numpy()
            seen = np.round(pixels).astype(np.uint8).transpose(1, 2, 0)
            return seen, spread(drops(scorer, model, pixels, patch), scorer.input_size, patch)

        number = terminal.workers() if device.type == "cpu" else 1
        with ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(
                terminal.progress(pool.map(explain, pictures), total=len(pictures), what="explain")
            )


def drops(
    scorer: PictureScorer, model: Inference, pixels: NDArray[np.float32], patch: int
) -> NDArray[np.float64]:
    """How far the anomaly score of an input (3, size, size) in 0..255 drops with each patch
    covered, row by row, (k * k,).
    """
    from scipy.ndimage import gaussian_filter

    first, mask = starts(scorer.input_size, patch), window(patch)
    blurred = gaussian_filter(pixels, (0, patch / 2, patch / 2), mode="nearest")
    corners = [None, *((int(y), int(x)) for y in first for x in first)]  # None: nothing covered
    device = model.mean.device
    size = (
        min(scorer.settings.batch_size, FACES_PER_CORE)
        if device.type == "cpu"
        else scorer.settings.batch_size
    )
    features = []
    for i in range(0, len(corners), size):
        batch = np.repeat(pixels[None], len(corners[i : i + size]), axis=0)  # (n, 3, size, size)
        for face, corner in zip(batch, corners[i : i + size], strict=True):
            if corner:
                y, x = (slice(at, at + patch) for at in corner)
                face[:, y, x] += mask * (blurred - pixels)[:, y, x]
        features.append(
            encode(model, torch.from_numpy(batch).to(device), scorer.settings.precision)[0]
            .cpu()
            .numpy()
        )
    scores = scorer.mixture.anomaly_score(np.concatenate(features))  # (1 + k * k,)
    return scores[0] - scores[1:]


def starts(size: int, patch: int) -> NDArray[np.int64]:
    """First pixels of the patches along one side, half a patch apart, the last one flush with the
    end, (k,).
    """
    if not 2 <= patch <= size:
        raise PipelineError(
            f"explanation.patch: {patch} pixels, allowed are 2 to {size}, the side of the "
            "encoder's input"
        )
    return np.unique([*range(0, size - patch + 1, patch // 2), size - patch])


def window(patch: int) -> NDArray[np.float32]:
    """How strongly each pixel of a patch is covered, (patch, patch) in (0, 1]: 1 in the middle, a
    quarter of it fading out.
    """
    ramp = np.sin(np.pi / 2 * np.minimum(1, (np.arange(patch) + 0.5) / (patch / 4))) ** 2
    side = np.minimum(ramp, ramp[::-1])
    return np.outer(side, side).astype(np.float32)


def spread(values: NDArray[np.float64], size: int, patch: int) -> NDArray[np.float64]:
    """Values of the patches (k * k,) as a map (size, size): the mean over the patches on a pixel,
    weighted by their windows.
    """
    first, mask = starts(size, patch), window(patch)
    total, weight = np.zeros((size, size)), np.zeros((size, size))
    for value, (y, x) in zip(values, ((y, x) for y in first for x in first), strict=True):
        total[y : y + patch, x : x + patch] += value * mask
        weight[y : y + patch, x : x + patch] += mask
    return total / weight


def strongest(drop: NDArray[np.float64]) -> tuple[float, str]:
    """The largest drop of a map (h, w) and where it lies, in words of thirds such as "upper left";
    "nowhere" if none is > 0.
    """
    largest = float(drop.max())
    if largest <= 0:
        return largest, "nowhere"
    y, x = np.argwhere(drop == largest).mean(axis=0) * 3 // drop.shape
    row, column = ROWS[int(y)], COLUMNS[int(x)]
    return largest, row if row == column else f"{row} {column}"


def overlay(picture: NDArray[np.uint8], drop: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A picture (h, w, 3) in grey with its map (h, w) over it: red where covering lowers the
    anomaly score, blue where it raises it, full colour at the map's strongest value."""
    grey = np.repeat(
        (picture @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=2
    )  # luma (ITU-R BT.601)
    scale = float(np.abs(drop).max()) or 1.0
    opacity = OPACITY * np.abs(drop)[..., None] / scale
    colour = np.where(drop[..., None] > 0, RED, BLUE)
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)
