"""Faces in boxes of a picture."""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.common.names import BOX_COLUMNS
from tests.detect.written import read
from tests.picture_world import picture

pytestmark = pytest.mark.usefixtures("folder")


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


@pytest.mark.parametrize("box", ["-1e308,0,1.7e308,10", "0,0,1e30,9", "0,0,nan,9", "0,-inf,9,9"])
def test_a_box_that_no_picture_has_is_refused_with_its_line(run, box):
    Path("boxes.csv").write_text(f"path,{','.join(BOX_COLUMNS)}\na.png,0,0,9,9\nb.png,{box}\n")
    status, rows, said = run("photos", "--crop", "boxes.csv", "--page", "r.html")
    assert (status, rows) == (2, []) and "boxes.csv, line 3" in said and "beyond" in said


@pytest.mark.parametrize(
    "text", ["path,x0\ng.png,1\n", "path,box_x0,box_y0,box_x1,box_y1\ng.png,1,2,x,4\n", ""]
)
def test_wrong_boxes_name_the_line(run, text):
    Path("boxes.csv").write_text(text)
    status, rows, said = run("photos", "--crop", "boxes.csv")
    if text:
        assert status == 2 and "boxes.csv, line 2" in " ".join(said.split()) and rows == []
    assert run("photos", "--crop", "absent.csv")[0] == 2
