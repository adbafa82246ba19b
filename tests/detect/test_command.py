"""The command: which row each file gets, and what it answers with."""

import errno
import io
import os
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from pipeline.common import pictures
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect import __main__ as command
from pipeline.detect.detector import Detector
from pipeline.detect.rows import COLUMNS
from pipeline.detect.sources import shown
from tests.detect.bad_files import FILES
from tests.detector_world import SETS

pytestmark = pytest.mark.usefixtures("folder")


def test_rows_say_what_the_detector_says(run, world):
    status, rows, _ = run("photos")
    detector = Detector.load(world / "models", device="cpu")
    paths = sorted(map(str, Path("photos").iterdir()))
    assert status == 0 and [row["path"] for row in rows] == paths and len(rows) == SETS["test"]
    images = [Image.open(path) for path in paths]
    for row, image, one in zip(rows, images, detector.judge(images), strict=True):
        assert float(row["anomaly_score"]) == pytest.approx(one.anomaly_score, rel=1e-12)
        assert (float(row["p_value"]), row["verdict"]) == (one.p_value, one.verdict)
        assert (row["head"], row["reason"]) == (one.head, one.reason)
        assert float(row["head_z"]) == pytest.approx(one.head_z)
        box = (0, 0, *image.size)
        assert tuple(int(row[name]) for name in BOX_COLUMNS) == box
        assert (int(row["width"]), int(row["height"]), row["format"]) == (*box[2:], image.format)
        assert row["error"] == "" and row["detector"] == detector.identity


@pytest.mark.parametrize("name", FILES)
def test_every_file_gets_its_row(run, name, monkeypatch):
    make, verdict, reason, error = FILES[name]
    if error == "permission denied" and os.geteuid() == 0:  # who may read everything
        refused = PermissionError(errno.EACCES, "Permission denied")
        monkeypatch.setattr(pictures, "read_bytes", Mock(side_effect=refused))
    Path("odd").mkdir()
    make(Path("odd", name))
    for arguments in (["odd"], [f"odd/{name}"]):
        status, rows, said = run(*arguments)
        assert len(rows) == 1 and list(rows[0]) == list(COLUMNS)
        row = rows[0]
        assert row["path"] == shown(f"odd/{name}") and row["path"].isprintable()
        assert row["verdict"] == verdict or (verdict is None and row["anomaly_score"])
        assert reason in row["reason"] and row["error"].startswith(error)
        assert bool(row["error"]) == bool(error) and status == bool(error)
        assert "\n" not in row["error"] and max(map(len, said.splitlines())) <= 80


def test_bad_files_do_not_change_the_rows_of_good_ones(run):
    expected = {row["path"]: row for row in run("photos")[1]}
    for number, name in enumerate(FILES):
        FILES[name][0](Path("photos", f"{number:03}_5{Path(name).suffix}"))
    status, rows, said = run("photos")
    found = {row["path"]: row for row in rows}
    assert status == 1 and len(rows) == SETS["test"] + len(FILES) and "unreadable" in said
    for path, row in expected.items():
        for name, text in row.items():
            same = found[path][name] == text
            assert same or float(found[path][name]) == pytest.approx(float(text), rel=1e-3), name


def test_what_is_searched_and_what_is_passed_over(run):
    Path("photos/deep/er").mkdir(parents=True)
    shutil.copy("photos/000_0.png", "photos/deep/er/x.JPEG")
    Path("photos/notes.txt").write_text("no picture")
    Path("photos/.hidden.png").write_bytes(b"")
    Path("photos/linked").symlink_to("deep", target_is_directory=True)
    status, rows, said = run("photos", "photos/000_0.png")
    assert status == 0 and len(rows) == SETS["test"] + 1
    for words in ("1 x other extension", "1 x hidden", "1 x linked folder", "1 x named twice"):
        assert words in " ".join(said.split())
    assert run("photos/notes.txt")[0] == 1, "what is named itself is never passed over"


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_patterns_and_lists(run, monkeypatch, end):
    by_pattern = run("photos/*.png")[1]
    assert len(by_pattern) == 11 and run("**/00?_1.jpg")[1][0]["path"] == "photos/000_1.jpg"
    names = [row["path"].encode() for row in by_pattern]
    given = io.BytesIO(end.join([*names, b""]))
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": given}))
    assert [row["path"] for row in run("-")[1]] == [row["path"] for row in by_pattern]


def test_what_is_not_there_gets_a_row(run):
    Path("nothing-in-it").mkdir()
    status, rows, _ = run("absent.jpg", "*.nothing", "nothing-in-it")
    assert status == 1 and [row["error"] for row in rows] == [
        "no such file or directory",
        "no such file or directory",
        "a folder without pictures",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--false-alarm-rate", "0.01"], 2, "needs at least 99 calibration photographs"),
        (["--out", "rows.xls"], 2, "ends in .csv, .jsonl, .parquet"),
        (["--model", "nowhere"], 3, "no encoder.safetensors here"),
        (["--calibration", "absent.npz"], 3, "absent.npz"),
        (["--out", "photos/000_0.png/rows.csv"], 4, "photos/000_0.png"),
    ],
)
def test_what_cannot_be_done_says_why_and_scores_nothing(run, arguments, status, words):
    found, rows, said = run("photos", *arguments)
    assert (found, rows) == (status, []) and said.startswith("error: ") and words in said


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x", "--resume"],
        ["x", "--false-alarm-rate", "0"],
        ["x", "--false-alarm-rate", "5%"],
        ["x", "--false-alarm-rate", "nan"],
        ["x", "--unknown"],
        ["x", "--calibrate", "--resume", "--out", "x"],
    ],
)
def test_wrong_options_are_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and "usage: python -m " in capsys.readouterr().err


def test_the_rate_moves_the_verdicts(run):
    rows = run("photos", "--false-alarm-rate", "0.5")[1]
    for row in rows:
        assert (row["verdict"] == "flag") == (float(row["p_value"]) <= 0.5)
