"""A worker of the fuzzer that dies is told, beside an atheris that does what each test says."""

import pytest

from pipeline.base.errors import PipelineError
from tests.fuzz.__main__ import fuzz

ENDED = """
import sys
from pathlib import Path
path = Path(sys.argv[2], "ended-crash-1")
if path.exists():
    sys.exit("the second worker")
path.touch()
sys.exit(77)
"""


@pytest.mark.parametrize(
    ("atheris", "message"),
    [
        (
            "raise ModuleNotFoundError('No module named atheris')",
            "lists: its worker ended with 1: No module named atheris: pip install -r "
            "requirements-fuzz.txt, or make fuzz",
        ),
        ("import os; os.kill(os.getpid(), 9)", "lists: its worker ended with -9"),
        ("import os; os._exit(0)", "lists: its worker ended with 0"),
        (ENDED, "lists: its worker ended with 1: the second worker"),
    ],
)
def test_a_worker_that_ends_without_an_input_to_blame_is_a_failure(
    tmp_path, monkeypatch, atheris, message
):
    (tmp_path / "atheris.py").write_text(atheris)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PipelineError) as raised:
        fuzz("lists", tmp_path / "lists", 60)
    assert str(raised.value).startswith(message)


def test_a_target_without_inputs_is_a_failure(tmp_path):
    with pytest.raises(PipelineError, match="lists: no input was tried in 0 seconds"):
        fuzz("lists", tmp_path / "lists", 0)
