"""The stage end to end on a metrics folder made here."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.stages import report
from tests.fake_results import build

OUTPUTS = ("metrics/overview.png", "data/report/index.html", "data/report/report.md")
NAMES = {"sim_b": 30, "sim_a": 5}


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(tmp_path, NAMES, faces=60, perturbations=["jpeg_75", "jpeg_40", "crop_0.9"])


def test_outputs_and_nothing_else(command, capsys):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    report.main(command)
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert {path.as_posix() for path in after if after[path] != before.get(path)} == set(OUTPUTS)
    assert Image.open("metrics/overview.png").width == 1600
    printed = capsys.readouterr().out
    assert "mean" in printed and "simulated data" in printed and "data/report/index.html" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_same_bytes_twice(command):
    contents = []
    for _ in range(2):
        report.main(command)
        contents.append([Path(path).read_bytes() for path in OUTPUTS])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("folder", "end"), [("generators", "json"), ("roc", "csv"), ("histograms", "csv"), ("faces", "png")])
def test_results_of_another_list_of_generators_do_not_stand_in(command, folder, end):
    old = Path("metrics") / folder / f"sim_a.{end}"
    old.rename(old.with_name(f"sim_old.{end}"))
    with pytest.raises(PipelineError, match=rf"missing: \S*{folder}/sim_a\.{end}"):
        report.main(command)
    assert not Path("data/report").exists()


def test_what_another_list_left_changes_nothing_and_is_named(command, capsys):
    report.main(command)
    pages = [Path(path).read_bytes() for path in OUTPUTS]
    assert "left aside" not in capsys.readouterr().out
    for number in range(9):  # more than fit on a line
        Path(f"metrics/roc/generator-{number}.csv").touch()
    report.main(command)
    printed = capsys.readouterr().out
    assert pages == [Path(path).read_bytes() for path in OUTPUTS]
    assert "generator-8. To delete" in " ".join(printed.split()) and max(map(len, printed.splitlines())) <= 80


def test_an_old_report_is_replaced_as_a_whole(command):
    Path("data/report").mkdir(parents=True)
    Path("data/report/old.html").touch()
    report.main(command)
    assert {path.name for path in Path("data/report").iterdir()} == {"index.html", "report.md"}


def test_torch_and_scikit_learn_are_not_imported():
    code = (
        "import sys; from pipeline.stages import report; sys.exit(bool({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(report.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_nothing_slow_is_imported_while_it_runs(command):
    root = Path(report.__file__).parents[2]
    code = (
        "import sys; from pipeline.stages import report; report.main(sys.argv[1:]); "
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code, *command], check=False, env=environment).returncode == 0
