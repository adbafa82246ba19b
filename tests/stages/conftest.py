"""The small world of pictures that several stages read: built once, and copied for tests that
change it.
"""

import shutil

import pytest

from tests import controls_world, picture_world


@pytest.fixture(scope="session")
def pictures(tmp_path_factory, narrow):
    """The folder of the world, to be copied and left as it is, and the names of its sets; its
    encoder is narrow.
    """
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        return folder, picture_world.build(folder)


@pytest.fixture
def world(pictures, narrow_network, tmp_path, monkeypatch):
    """A copy of the world as working directory; the names of its sets."""
    shutil.copytree(pictures[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return pictures[1]


@pytest.fixture
def folder(world, tmp_path):
    """The same with what the controls' stage reads, too."""
    controls_world.add(tmp_path)
    return tmp_path
