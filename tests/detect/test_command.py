"""The command: which row each file gets, where rows go, what it answers with."""

import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.common import artifacts, pictures
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect import __main__ as command
from pipeline.detect.detector import Detector
from pipeline.detect.rows import COLUMNS, Rows
from pipeline.detect.sources import shown
from pipeline.face_detection import detectors
from pipeline.face_detection.face import Face
from tests.detect.bad_files import FILES
from tests.detector_world import SETS
from tests.picture_world import picture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(world, tmp_path, monkeypatch):
    """A folder with the test photographs in photos/, and the models."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world / "root/test", "photos")
    Path("models").symlink_to(world / "models")
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run the command: exit status, rows on standard output, standard error."""

    def call(*arguments):
        status = command.main([*arguments, "--device", "cpu"])
        printed = capsys.readouterr()
        return status, list(csv.DictReader(io.StringIO(printed.out))), printed.err

    return call


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


def read(path):
    """Rows of an output file as text, None as ''."""
    if path.suffix == ".csv":
        return list(csv.DictReader(path.open(newline="")))
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.open()]
    else:
        rows = pd.read_parquet(path).astype(object).to_dict("records")
    plain = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]
    whole = [name for name, kind in COLUMNS.items() if kind is int]
    return [
        {k: "" if v is None else str(int(v)) if k in whole else str(v) for k, v in row.items()}
        for row in plain
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
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
    assert status == 2 and "rows of another model, calibration or false alarm rate" in said
    Path("other.csv").write_text("a,b\n1,2\n")
    assert run("photos", "--out", "other.csv", "--resume")[0] == 2
    assert Path("rows.csv").read_bytes() == before


def test_boxes(run):
    Image.fromarray(picture(7, 80, 90)).save("group.png")
    boxes = [(3, 4, 38, 40), (40, 30, 75, 66), (60, 60, 100, 90), (0, 0, 9, 9)]
    lines = [f"group.png,{','.join(map(str, box))}" for box in boxes]
    Path("boxes.csv").write_text("\n".join(["path," + ",".join(BOX_COLUMNS), *lines]) + "\n")
    for number, box in enumerate(boxes[:2]):
        Image.open("group.png").crop(box).save(f"crop_{number}.png")
    expected = run("crop_0.png", "crop_1.png")[1]
    status, rows, _ = run("group.png", "photos/000_0.png", "--crop", "boxes.csv")
    assert status == 0 and [tuple(int(r[n] or 0) for n in BOX_COLUMNS) for r in rows[:4]] == boxes
    for row, alone in zip(rows, expected, strict=False):
        assert (row["p_value"], row["verdict"]) == (alone["p_value"], alone["verdict"])
        assert (row["width"], row["height"]) == ("90", "80")
    reasons = [row["reason"] for row in rows[2:]]
    assert "leaves the picture" in reasons[0] and reasons[1].startswith("smaller than any")
    assert reasons[2] == "no box of a face is given"
    assert {row["verdict"] for row in rows[2:]} == {"cannot judge"}
    run("group.png", "--crop", "boxes.csv", "--out", "rows.csv")
    whole = Path("rows.csv").read_text()
    Path("rows.csv").write_text("".join(whole.splitlines(keepends=True)[:3]))  # two of four faces
    run("group.png", "--crop", "boxes.csv", "--out", "rows.csv", "--resume")
    assert [r["verdict"] for r in read(Path("rows.csv"))] == [r["verdict"] for r in rows[:4]]


@pytest.mark.parametrize(
    "text", ["path,x0\ng.png,1\n", "path,box_x0,box_y0,box_x1,box_y1\ng.png,1,2,x,4\n", ""]
)
def test_wrong_boxes_name_the_line(run, text):
    Path("boxes.csv").write_text(text)
    status, rows, said = run("photos", "--crop", "boxes.csv")
    if text:
        assert status == 2 and "boxes.csv, line 2" in " ".join(said.split()) and rows == []
    assert run("photos", "--crop", "absent.csv")[0] == 2


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
        ["x", "--unknown"],
        ["x", "--calibrate", "--resume", "--out", "x"],
    ],
)
def test_wrong_options_are_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and "usage: python -m pipeline.detect" in capsys.readouterr().err


def test_the_rate_moves_the_verdicts(run):
    rows = run("photos", "--false-alarm-rate", "0.5")[1]
    for row in rows:
        assert (row["verdict"] == "flag") == (float(row["p_value"]) <= 0.5)


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


def test_the_table_counts_by_folder_and_says_what_the_verdicts_mean(run):
    shutil.copytree("photos", "other")
    Path("other/bad.png").write_bytes(b"")
    said = run("photos", "other")[2]
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[0].split()) == "folder pass review flag cannot judge unreadable"
    assert {line.split()[0] for line in lines[2:5]} == {"photos", "other", "all"}
    assert sum(int(n) for n in lines[4].split()[1:]) == 2 * SETS["test"] + 1
    text = " ".join(said.split())
    assert "unreadable: 1 x empty" in text and "39 calibration photographs" in text
    assert "no probability of being AI-generated" in text


def test_folders_unlike_the_calibration_are_named(run):
    Path("noise").mkdir()
    for i in range(25):
        noisy = picture(i, 34, 36).astype(int) + picture(50 + i, 34, 36)[::-1] % 64
        Image.fromarray(noisy.clip(0, 255).astype("uint8")).save(f"noise/{i}.png")
    said = " ".join(run("photos", "noise")[2].split())
    assert "caution, noise: its 25 faces are more unusual" in said
    assert "caution, photos" not in said


def test_own_calibration(run, world):
    Path("own").mkdir()
    for i in range(45):
        Image.fromarray(picture(500 + i, 50, 60)).save(f"own/{i:02}.png")
    shutil.copy("own/00.png", "own/again.png")
    Path("own/bad.png").write_bytes(b"")
    status, rows, said = run("--calibrate", "own", "--out", "own.npz")
    text = " ".join(said.split())
    assert status == 1 and rows == [] and "45 calibration photographs" in text
    assert "1 x empty" in text and "1 x the same picture again" in text
    assert max(map(len, said.splitlines())) <= 80
    before = {path.name: path.read_bytes() for path in Path("models").iterdir()}
    images = [Image.open(f"own/{i:02}.png") for i in range(45)]
    scores = -Detector.load("models", device="cpu").score_samples(images)
    arrays = artifacts.read_npz("own.npz")
    assert arrays["scores"][0] == pytest.approx(sorted(scores), rel=1e-9)
    assert (arrays["sizes"] == [60, 50]).all()
    found = run("own", "--calibration", "own.npz")[1]
    judged = {row["path"]: row for row in found}
    assert judged["own/00.png"]["verdict"] != "cannot judge"
    assert run("own/00.png")[1][0]["reason"].startswith("larger than any calibration")
    p = {path: float(row["p_value"]) for path, row in judged.items() if row["p_value"]}
    assert len(set(p.values())) == 45 and min(p.values()) == pytest.approx(2 / 46)
    assert {path.name: path.read_bytes() for path in Path("models").iterdir()} == before
    assert run("photos", "--calibrate", "--out", "own.npz")[0] == 2, "it is there already"


def test_too_few_photographs_to_calibrate_on_say_how_many(run):
    status, _, said = run("--calibrate", "photos", "--out", "own.npz", "--false-alarm-rate", "0.01")
    assert status == 2 and "needs at least 99 different photographs" in " ".join(said.split())
    assert not Path("own.npz").exists()
    assert run("--calibrate", "photos")[0] == 2, "without --out"


def test_the_calibration_of_another_model_is_refused(run):
    run("--calibrate", "photos", "--out", "own.npz")
    arrays = artifacts.read_npz("own.npz")
    artifacts.write_npz("own.npz", **{**arrays, "model": np.array("0" * 64)})
    status, _, said = run("photos", "--calibration", "own.npz")
    assert status == 3 and "a calibration of another model" in said


class Squares:
    """Stands for a face detector: whatever is red, as squares of 20 pixels on a grid."""

    def find(self, picture):
        height, width = (side // 20 for side in picture.shape[:2])
        places = [(x, y) for x in range(width) for y in range(height)]
        corners = [(20.0 * x, 20.0 * y) for x, y in places if picture[20 * y, 20 * x, 0] == 255]
        return [Face((x, y, x + 20, y + 20), 0.9, ((x, y),) * 5) for x, y in corners]


def red(width, height, places):
    """A picture with squares, each of another red, at places of the grid."""
    pixels = np.minimum(picture(width, height, width), 250)
    for x, y in places:
        pixels[20 * y : 20 * y + 20, 20 * x : 20 * x + 20, 0] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def found(monkeypatch):
    """The options with which faces are found by Squares, in pictures of none, twelve and one."""
    monkeypatch.setattr(detectors, "load", lambda name: Squares())
    Path("seen").mkdir()
    red(200, 160, []).save("seen/a-none.png")
    red(200, 160, [(x, y) for x in (1, 4, 7) for y in (1, 3, 4, 6)]).save("seen/b-twelve.png")
    red(90, 36, [(2, 0)]).save("seen/c-one.png")
    Path("seen/d-broken.png").write_bytes(b"")
    return ["seen", "--crop", "auto"]


def test_every_face_that_is_found_has_a_row(run, found):
    status, rows, said = run(*found)
    names = ["a-none", *["b-twelve"] * 12, "c-one", "d-broken"]
    assert status == 1 and [Path(row["path"]).stem for row in rows] == names
    assert (rows[0]["verdict"], rows[0]["reason"]) == ("cannot judge", "no face was found")
    assert "1 x no face was found" in " ".join(said.split()) and rows[-1]["error"] == "empty"
    boxes = [tuple(int(row[name]) for name in BOX_COLUMNS) for row in rows[1:-1]]
    assert boxes[0] == (12, 12, 47, 47) and len(set(boxes[:12])) == 12
    assert boxes[12] == (32, 0, 67, 35), "moved into the picture"
    lines = [
        ",".join(map(str, (row["path"], *box))) for row, box in zip(rows[1:], boxes, strict=False)
    ]
    Path("boxes.csv").write_text("\n".join(["path," + ",".join(BOX_COLUMNS), *lines]) + "\n")
    given = run("seen/b-twelve.png", "seen/c-one.png", "--crop", "boxes.csv")[1]
    assert all(row["verdict"] != "cannot judge" for row in given)
    assert [(r["p_value"], r["verdict"]) for r in given] == [
        (r["p_value"], r["verdict"]) for r in rows[1:-1]
    ]


@pytest.mark.parametrize("kept", [1, 2, 5, 14, 15])
def test_found_faces_are_resumed(run, found, kept):
    """After the header and kept rows: within the twelve, or after all of a picture's."""
    run(*found, "--out", "rows.csv")
    whole = read(Path("rows.csv"))
    lines = Path("rows.csv").read_text().splitlines(keepends=True)
    Path("rows.csv").write_text("".join(lines[: 1 + kept]))
    run(*found, "--out", "rows.csv", "--resume")
    again = read(Path("rows.csv"))
    keys = ("path", *BOX_COLUMNS, "verdict")
    assert [[row[k] for k in keys] for row in again] == [[row[k] for k in keys] for row in whole]


def test_a_large_face_is_shrunk_once_to_the_size_of_fdf(run, monkeypatch, world):
    big = Mock(find=Mock(return_value=[Face((100, 120, 271, 220), 0.9, ((0, 0),) * 5)]))
    monkeypatch.setattr(detectors, "load", lambda name: big)
    Image.fromarray(picture(3, 400, 500)).save("big.png")
    reason = run("big.png", "--crop", "auto")[1][0]
    box = tuple(int(reason[name]) for name in BOX_COLUMNS)
    assert box == (36, 20, 336, 320) and "larger than any calibration" in reason["reason"]
    small = Image.open("big.png").crop(box).resize((128, 128), Image.Resampling.LANCZOS)
    score = -Detector.load(world / "models", device="cpu").score_samples([small])[0]
    assert float(reason["anomaly_score"]) == pytest.approx(score, rel=1e-9)


def test_calibration_on_found_faces(run, found):
    status, _, said = run(*found, "--calibrate", "--out", "own.npz", "--false-alarm-rate", "0.2")
    text = " ".join(said.split())
    assert status == 1 and "13 calibration photographs" in text
    assert "left out: 1 x no face was found" in text
    assert (artifacts.read_npz("own.npz")["sizes"] == 35).all()


def test_a_face_detector_that_cannot_be_had_is_wrong_usage(run):
    status, rows, said = run("photos", "--crop", "auto", "--face-detector", "yunet:absent.onnx")
    assert (status, rows) == (2, []) and "yunet:absent.onnx: No such file" in said
