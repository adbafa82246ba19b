"""The ONNX file held against the detector, on drawn pictures of several sizes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.detect.detector import UNJUDGED, Detector
from pipeline.export.whole import LABELS, OUTPUTS

FACES = 8  # of each size
ABSOLUTE, RELATIVE = 1e-3, 1e-5  # tolerances of scores; features are float32, here as there


def check(session: Any, detector: Detector) -> float:
    """Compare scores, p-values and verdicts of a session of onnxruntime with the detector's;
    returns the largest difference of scores. PipelineError where they differ by more than rounding.

    A score may differ by rounding. P-value and verdict must be those of the score that onnxruntime
    found, so that ties with calibration scores need no exception."""
    largest = 0.0
    for height, width in _sizes(detector):
        pictures = _drawn(height, width)
        scores, p, verdicts = session.run(OUTPUTS, {session.get_inputs()[0].name: pictures})
        wanted = -detector.score_samples(pictures)
        difference = float(np.abs(scores - wanted).max())
        if not np.allclose(scores, wanted, rtol=RELATIVE, atol=ABSOLUTE):
            raise _refusal(f"scores than the detector, by up to {difference:.3g}", height, width)
        # Neither p-value nor verdict depends on these.
        heads = np.zeros((FACES, len(detector.encoder.head_names)))
        columns = detector.model.decisions.columns(scores, heads)
        wanted_p, labels = columns["p_value"], columns["verdict"]
        if detector.model.sizes and detector.model.sizes.reason(width, height):
            wanted_p, labels = np.full(FACES, np.nan), np.full(FACES, UNJUDGED)
        if not np.allclose(p, wanted_p, rtol=0, atol=1e-12, equal_nan=True):
            raise _refusal("p-values than the detector", height, width)
        if verdicts.tolist() != [LABELS.index(label) for label in labels]:
            raise _refusal("verdicts than the detector", height, width)
        largest = max(largest, difference)
    return largest


def _sizes(detector: Detector) -> list[tuple[int, int]]:
    """Heights and widths that the calibration knows, and of one picture that is too large."""
    known, size = detector.model.sizes, detector.model.preprocessing.input_size
    low, high = (known.shortest, known.longest) if known else (size // 2 + 1, 2 * size)
    sizes = [(low, low), (low, high), (high, low), ((low + high) // 2, high), (high + 1, high)]
    return list(dict.fromkeys(sizes))


def _drawn(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth pictures (FACES, height, width, 3) with ever more noise: closer to photographs than
    noise alone is, yet a strict detector may flag them all.
    """
    from PIL import Image

    draws = randomness.generator(0, "export", height, width)
    pictures = []
    for noise in np.geomspace(0.5, 32, FACES):
        patches = Image.fromarray(draws.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC))
        pictures.append((smooth + draws.normal(0, noise, smooth.shape)).clip(0, 255))
    return np.stack(pictures).astype(np.uint8)


def _refusal(what: str, height: int, width: int) -> PipelineError:
    return PipelineError(
        f"onnxruntime finds other {what}, on pictures of {width} x {height} pixels: nothing was "
        "written; look whether this architecture is one that torch.onnx.export can write"
    )
