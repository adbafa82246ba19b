"""How the errors of the command that compares two runs read at a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import __main__ as compare


@pytest.mark.parametrize("error", [PipelineError, OSError])
def test_an_error_is_wrapped_with_its_commands_whole(monkeypatch, error):
    def fail():
        raise error(
            "many words " * 12
            + "`git add dvc.lock metrics && git commit -m message`, and\na second line"
        )

    monkeypatch.setattr(compare, "main", fail)
    with pytest.raises(PipelineError) as raised:
        compare.command()
    lines = f"error: {raised.value}".splitlines()
    assert max(map(len, lines)) <= 80 and lines[-1] == "a second line"
    assert any("`git add dvc.lock metrics && git commit -m message`" in line for line in lines)
    assert " ".join(lines[0].split()) == "error: " + "many words " * 6 + "many"


def test_the_command_of_the_terminal_wraps_its_errors(tmp_path):
    root = Path(compare.__file__).parents[1]
    command = [
        sys.executable,
        "-m",
        "pipeline.comparison.__main__",
        "--fail-if",
        "many words " * 20,
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: --fail-if 'many words")
    assert max(map(len, done.stderr.splitlines())) <= 80 < len(done.stderr)
