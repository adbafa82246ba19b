"""The stage end to end on the results of a miniature run."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from pipeline.stages import report
from tests.report import world

OUTPUTS = ("metrics/overview.png", "data/report/index.html")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder with the outputs of one run, what it printed, and which files it wrote."""
    folder = tmp_path_factory.mktemp("once")
    world.write(folder)
    before = {path for path in folder.rglob("*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        report.main(world.COMMAND)
    after = {path for path in folder.rglob("*") if path.is_file()}
    return folder, printed.getvalue(), {str(path.relative_to(folder)) for path in after - before}


def test_outputs_and_nothing_else(once):
    folder, printed, written = once
    assert written == set(OUTPUTS)
    assert Image.open(folder / OUTPUTS[0]).width == 1600
    assert "mean" in printed and "simulated data" in printed and "data/report/index.html" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_page_holds_the_parameters_that_it_declares_and_where_it_comes_from(once):
    page = (once[0] / OUTPUTS[1]).read_text(encoding="utf-8")
    for words in ("seed: 1", "generators: [sim_latent, sim_rolloff]", "scikit-learn", "unknown"):
        assert words in page
    assert "launcher" not in page


def test_another_process_writes_the_same_bytes_in_place_of_an_old_report(once, tmp_path):
    world.write(tmp_path)
    (tmp_path / "data/report").mkdir()
    (tmp_path / "data/report/old.html").touch()
    environment = {**os.environ, "PYTHONPATH": str(Path(report.__file__).parents[2])}
    command = [sys.executable, "-m", "pipeline.stages.report", *world.COMMAND]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "data/report").iterdir()] == ["index.html"]
    for path in OUTPUTS:
        assert (tmp_path / path).read_bytes() == (once[0] / path).read_bytes()
