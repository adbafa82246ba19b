"""What the tests of the audit share: it runs once for each of their files."""

import shutil

import pytest

from pipeline.face_sets import feature_sets
from tests import audit_world


@pytest.fixture(scope="module")
def audited_once(tmp_path_factory):
    """The world and what the stage writes about it, to be left as they are."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        audit_world.build(folder)
        return folder, audit_world.run()


@pytest.fixture
def audited(audited_once, tmp_path, monkeypatch):
    """A copy as working directory: the feature sets by name."""
    shutil.copytree(audited_once[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return feature_sets.read_all(tmp_path / "features", tuple(audit_world.SPREADS))
