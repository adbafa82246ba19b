"""YuNet (Wu, Peng, Yu; doi 10.1007/s11633-023-1423-y) from a file of the user, by OpenCV."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.face_detection import face
from pipeline.face_detection.face import Face


class YuNet:
    """The detector. Threads may share it: each gets a network of its own."""

    def __init__(self, path: Path) -> None:
        import cv2

        try:
            self._model = path.read_bytes()
            self._own = threading.local()
            self.find(np.zeros((32, 32, 3), np.uint8))
        except OSError as error:
            raise PipelineError(f"face detector yunet:{path}: {error.strerror}") from None
        except cv2.error:
            raise PipelineError(
                f"face detector yunet:{path}: no YuNet model that OpenCV {cv2.__version__} can "
                "run, or damaged; get face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            ) from None

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture (height, width, 3), RGB, from left to right."""
        seen = face.shrunk(picture)
        network = self._network()
        network.setInputSize(seen.shape[1::-1])
        rows = network.detect(np.ascontiguousarray(seen[..., ::-1]))[1]  # takes BGR
        rows = np.zeros((0, 15), np.float32) if rows is None else rows  # (n, 15)
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return face.faces(boxes, rows[:, 14], rows[:, 4:14], seen.shape, picture.shape)

    def _network(self) -> Any:
        if not hasattr(self._own, "network"):
            import cv2

            model, none = np.frombuffer(self._model, np.uint8), np.zeros(0, np.uint8)
            self._own.network = cv2.FaceDetectorYN.create(
                "onnx", model, none, (32, 32), face.SCORE, face.OVERLAP
            )
        return self._own.network
