"""What the tests of the detector share: models made once, to be left as they are."""

import csv
import io
import shutil
from pathlib import Path

import pytest

from pipeline.detect import __main__ as command
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


@pytest.fixture
def folder(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the test photographs in photos/, and the models."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world / "root/test", "photos")
    Path("models").symlink_to(world / "models")
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run the command: exit status, rows on standard output, standard error."""

    def call(*arguments):
        status = command.main([*arguments, "--device", "cpu"])
        printed = capsys.readouterr()
        return status, list(csv.DictReader(io.StringIO(printed.out))), printed.err

    return call
