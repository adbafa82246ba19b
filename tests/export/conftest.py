"""What the tests of the export share: a model made once, to be left as it is."""

from pathlib import Path

import pytest

from tests import detector_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with root/, features/ and models/, its thresholds of two histories."""
    folder = tmp_path_factory.mktemp("exported")
    detector_world.build(folder, "[none, jpeg_40]")
    return folder
