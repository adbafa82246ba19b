"""Commands name themselves as they are called."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("attribution", "detect", "export", "import_checkpoint", "stages.filter_exif")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_option_is_status_2_and_shows_the_command(command):
    call = [sys.executable, "-m", f"pipeline.{command}", "--wrong"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: python -m pipeline.{command} ")
