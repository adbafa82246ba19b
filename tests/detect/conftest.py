"""What the tests of the detector share: models made once, to be left as they are."""

from pathlib import Path

import pytest

from tests import detector_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with root/, features/ and models/."""
    folder = tmp_path_factory.mktemp("detector")
    detector_world.build(folder)
    return folder


@pytest.fixture(scope="session")
def with_histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two histories more."""
    folder = tmp_path_factory.mktemp("histories")
    detector_world.build(folder, "[none, jpeg_40, blur_1]")
    return folder
