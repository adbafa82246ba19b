"""What the tests of face detection share."""

from functools import cache

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.face_detection import detectors
from tests.simulation.some_pictures import pictures


@pytest.fixture(scope="session")
def centerface() -> detectors.FaceDetector:
    """The detector itself, where requirements-faces.txt is installed."""
    try:
        return detectors.load("centerface")
    except PipelineError as error:
        pytest.skip(str(error))


@cache
def portraits() -> np.ndarray:
    """Four simulated portraits (4, 128, 128, 3)."""
    return (pictures("clean")[[0, 3, 6, 7]] * 255).clip(0, 255).astype(np.uint8)


@pytest.fixture
def crowd() -> np.ndarray:
    """Twelve faces: a picture (384, 512, 3), one in each square of 128 pixels."""
    row = np.concatenate(list(portraits()), axis=1)
    return np.concatenate([row, row[:, ::-1], row], axis=0)
