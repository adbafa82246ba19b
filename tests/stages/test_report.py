"""The stage end to end on a metrics folder made here."""

import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.report.figures.canvas import Drawings
from pipeline.stages import report
from tests.fake_results import build

OUTPUTS = ("metrics/overview.png", "data/report/index.html", "data/report/report.md")
NAMES = {"sim_b": 30, "sim_a": 5}


def built(folder):
    return build(folder, NAMES, faces=60, perturbations=["jpeg_75", "jpeg_40", "crop_0.9"])


def contents():
    return [Path(path).read_bytes() for path in OUTPUTS]


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return built(tmp_path)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The outputs of one run, what it printed and which files it wrote: drawing a report takes
    seconds.
    """
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        command = built(folder)
        before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
        report.main(command)
        after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
        return (
            contents(),
            printed.getvalue(),
            {path.as_posix() for path in after if after[path] != before.get(path)},
        )


def test_outputs_and_nothing_else(once):
    (overview, *_), printed, written = once
    assert written == set(OUTPUTS)
    assert Image.open(io.BytesIO(overview)).width == 1600
    assert "mean" in printed and "simulated data" in printed and "data/report/index.html" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize(
    ("folder", "end"),
    [("generators", "json"), ("roc", "csv"), ("histograms", "csv"), ("faces", "png")],
)
def test_results_of_another_list_of_generators_do_not_stand_in(command, folder, end):
    old = Path("metrics") / folder / f"sim_a.{end}"
    old.rename(old.with_name(f"sim_old.{end}"))
    with pytest.raises(PipelineError, match=rf"missing: \S*{folder}/sim_a\.{end}"):
        report.main(command)
    assert not Path("data/report").exists()


def test_an_old_report_is_replaced_as_a_whole(command, monkeypatch):
    monkeypatch.setattr(
        Drawings, "draw", lambda *arguments, **named: "<svg></svg>"
    )  # what is drawn is not asked here
    Path("data/report").mkdir(parents=True)
    Path("data/report/old.html").touch()
    report.main(command)
    assert {path.name for path in Path("data/report").iterdir()} == {"index.html", "report.md"}


def test_torch_and_scikit_learn_are_not_imported():
    code = "import sys; from pipeline.stages import report; sys.exit(bool({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    root = Path(report.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_another_process_writes_the_same_bytes_beside_what_another_list_left_and_imports_nothing_slow(
    once, command
):
    """What is left from another list is named; it changes no byte."""
    assert "left aside" not in once[1]
    for number in range(9):  # more than fit on a line
        Path(f"metrics/roc/generator-{number}.csv").touch()
    root = Path(report.__file__).parents[2]
    code = (
        "import sys; from pipeline.stages import report; report.main(sys.argv[1:]); "
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert contents() == once[0]
    printed = done.stdout
    assert (
        "generator-8. To delete" in " ".join(printed.split())
        and max(map(len, printed.splitlines())) <= 80
    )
