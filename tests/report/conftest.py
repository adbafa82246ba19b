"""The results of the miniature run, written once and copied for each test."""

from copy import deepcopy

import pytest

from pipeline.report.results import Results
from tests.report import world


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results that no test changes."""
    return world.made(tmp_path_factory.mktemp("results"))


@pytest.fixture
def results(once: Results) -> Results:
    """Results to change."""
    return deepcopy(once)
