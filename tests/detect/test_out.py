"""Where rows go: files of all kinds, resumed after a kill, and standard output."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from pipeline.detect.rows import COLUMNS, Rows
from tests.detect.written import read
from tests.picture_world import picture

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("kind", ["csv", "CSV", "jsonl", "parquet"])
def test_all_kinds_of_files_hold_the_same_rows_and_can_be_resumed(run, kind):
    Path("photos/bad.png").write_bytes(b"")
    Path("photos/line\nbreak.png").write_bytes(Path("photos/000_0.png").read_bytes())
    _, expected, _ = run("photos")
    out = Path(f"out/rows.{kind}")
    status, printed, said = run("photos", "--out", str(out))
    assert status == 1 and printed == [] and read(out) == expected
    assert list(out.parent.iterdir()) == [out]
    assert run("photos", "--out", str(out))[0] == 2, "it is there already"
    assert run("photos", "--out", str(out), "--resume") == (1, [], said)
    assert read(out) == expected
    later = run("photos", "photos/../photos/000_0.png", "--out", str(out), "--resume")
    assert later[0] == 1 and read(out)[:-1] == expected and len(read(out)) == len(expected) + 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kept", [0, 10, 300, 2000, 2500])
def test_a_torn_file_is_resumed(run, kind, kept):
    out = Path(f"rows.{kind}")
    run("photos", "--out", str(out))
    whole = read(out)
    journal = out
    if kind == "parquet":
        journal = Path("rows.parquet.rows.jsonl")
        journal.write_text("".join(json.dumps(row) + "\n" for row in _typed(whole)))
        out.unlink()
    journal.write_bytes(journal.read_bytes()[:kept])
    assert run("photos", "--out", str(out), "--resume")[0] == 0
    for found, expected in zip(read(out), whole, strict=True):
        assert found["path"] == expected["path"]
        assert float(found["p_value"]) == float(expected["p_value"])
    assert not Path("rows.parquet.rows.jsonl").exists()


def _typed(rows):
    return [{k: COLUMNS[k](v) if v else None for k, v in row.items()} for row in rows]


@pytest.mark.slow
def test_a_killed_run_has_its_rows_and_goes_on(folder):
    for i in range(400):
        Image.fromarray(picture(i)).save(f"photos/more_{i:03}.png")
    arguments = [sys.executable, "-m", "pipeline.detect", "photos", "--out", "rows.csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PIPELINE_WORKERS": "1"}
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE) as process:
        while not Path("rows.csv").exists() or Path("rows.csv").read_bytes().count(b"\n") < 40:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    before = Path("rows.csv").read_text().splitlines()
    assert len(before) < 421, "it was killed in time"
    done = subprocess.run([*arguments, "--resume"], env=environment, check=False)
    after = Path("rows.csv").read_text().splitlines()
    assert done.returncode == 0 and len(after) == 422 == len(set(after))
    assert after[: len(before) - 1] == before[:-1]


def test_rows_of_another_detector_are_not_resumed(run):
    run("photos", "--out", "rows.csv")
    before = Path("rows.csv").read_bytes()
    status, _, said = run("photos", "--out", "rows.csv", "--resume", "--false-alarm-rate", "0.1")
    assert status == 2 and "rows of another model, calibration, false alarm rate" in said
    Path("boxes.csv").write_text("path,box_x0,box_y0,box_x1,box_y1\nphotos/000_0.png,0,0,9,9\n")
    status, _, said = run("photos", "--out", "rows.csv", "--resume", "--crop", "boxes.csv")
    assert status == 2 and "--crop or --face-detector: it cannot be resumed" in said
    for text in ("a,b\n", "a,b\n1,2", "a text"):
        Path("other.csv").write_text(text)
        torn = run("photos", "--out", "other.csv", "--resume")
        assert torn[0] == 2 and "not what this command wrote" in torn[2]
        assert Path("other.csv").read_text() == text, "a file of somebody else"
    assert Path("rows.csv").read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_path_becomes_a_formula_and_is_still_found_when_resumed(run, kind):
    names = sorted(["=1+1.png", "+x.png", "-x.png", "@x.png", "＝x.png"])
    for name in names:
        Path(name).write_bytes(Path("photos/000_0.png").read_bytes())
    out = Path(f"rows.{kind}")
    for resume in ([], ["--resume"]):
        status = run("*.png", "--out", str(out), *resume)[0]
        assert status == 0 and [row["path"] for row in read(out)] == [f"./{n}" for n in names]


def test_a_full_disk_stops_the_run(run, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Rows, "write", Mock(side_effect=full))
    status, _, said = run("photos", "--out", "rows.csv")
    assert status == 4 and "No space left" in said


@pytest.mark.slow
def test_standard_output_has_rows_alone_and_may_close_early(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = f"{sys.executable} -m pipeline.detect photos | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[0] == ",".join(COLUMNS)
    assert done.stdout.splitlines()[1] in ("0", "141") and "Traceback" not in done.stderr


def test_nothing_is_imported_that_no_face_needs(folder):
    """The first row waits for every import."""
    code = """
import sys
from pipeline.detect.__main__ import main
main(["photos", "--out", "rows.csv", "--device", "cpu"])
print({"matplotlib", "pandas", "sklearn", "timm", "torch._dynamo", "torchvision"} & {*sys.modules})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
