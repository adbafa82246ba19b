"""The page to go through faces by: which, in which order, what it shows and never lets in."""

import base64
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.common.names import BOX_COLUMNS
from pipeline.detect import __main__ as command
from pipeline.detect import page
from pipeline.detect.cards import SIDE, view
from pipeline.detect.crops import Whole
from pipeline.detect.detector import Detector
from pipeline.detect.explaining import Explainer
from pipeline.detect.sources import shown
from pipeline.explanation import occlusion
from tests.detect.page_reader import Reader, difference
from tests.detect.written import read
from tests.detector_world import SETS
from tests.picture_world import picture

pytestmark = pytest.mark.usefixtures("folder")
HOSTILE = (
    "=HYPERLINK(1).png", "\u202egnp.png", "a\"b'c&amp;.png", "<script>alert(1)<", "\udcff.png"
)  # fmt: skip


def test_faces_stand_by_p_value_with_their_verdict_and_picture(run):
    Path("photos/bad.png").write_bytes(b"")
    Image.new("RGB", (9, 9), "grey").save("photos/tiny.png")
    status, rows, said = run("photos", "--page", "review.html", "--out", "rows.csv")
    assert status == 1 and rows == [] and "review.html: 23 faces" in said
    expected = read(Path("rows.csv"))
    expected.sort(key=lambda r: (r["p_value"] == "", float(r["p_value"] or 0)))
    found = Reader(Path("review.html")).cards
    assert [card.data["p"] for card in found] == [row["p_value"] for row in expected]
    by_path = {row["path"]: row for row in expected}
    for card in found:
        row = by_path.pop(card.data["path"])
        assert card.data["verdict"] == row["verdict"] and row["verdict"] in card.text
        assert card.data["box"] == ",".join(row[name] for name in BOX_COLUMNS).strip(",")
        if row["error"]:
            assert card.pictures == [] and row["error"] in card.text
        else:
            whole = np.asarray(Image.open(row["path"]).convert("RGB"), float)
            assert difference(card.pictures[0], whole) < 12 and card.marked == ""
    assert not by_path and found[-1].data["path"] == "photos/bad.png"
    assert found[-2].data["verdict"] == "cannot judge" and "smaller than any" in found[-2].text


def test_the_box_is_drawn_with_as_much_around_it(run):
    Image.fromarray(picture(7, 200, 300)).save("group.png")
    lines = ["path," + ",".join(BOX_COLUMNS), "group.png,40,10,76,46", "group.png,290,9,326,45"]
    Path("boxes.csv").write_text("\n".join(lines) + "\n")
    run("group.png", "--crop", "boxes.csv", "--page", "review.html")
    drawn, outside = Reader(Path("review.html")).cards
    left, top, width, height = (float(n) for n in re.findall(r"[\d.]+(?=%)", drawn.marked))
    assert drawn.pictures[0].size == (72, 64)  # 22 to 94, and 0, the picture's edge, to 64
    assert (left, width) == (25, 50) and (top, height) == (pytest.approx(15.62), 56.25)
    assert "leaves the picture" in outside.text and outside.pictures[0].size == (28, 63)


@given(st.tuples(*[st.integers(-50, 150)] * 4), st.integers(1, 100), st.integers(1, 100))
def test_what_is_seen_lies_in_the_picture_and_has_the_box_in_it(numbers, width, height):
    x0, y0, dx, dy = numbers[0], numbers[1], abs(numbers[2]) + 1, abs(numbers[3]) + 1
    left, top, right, bottom = view((x0, y0, x0 + dx, y0 + dy), width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    if 0 <= x0 < x0 + dx <= width and 0 <= y0 < y0 + dy <= height:
        assert left <= x0 < x0 + dx <= right and top <= y0 < y0 + dy <= bottom


def test_thumbnails_are_small_and_of_very_many_faces_the_most_anomalous_are_kept(run, monkeypatch):
    Image.fromarray(picture(3, 600, 900)).save("photos/large.png")
    run("photos", "--page", "all.html")
    whole = Reader(Path("all.html")).cards
    sizes = [card.pictures[0].size for card in whole]
    assert max(max(size) for size in sizes) == SIDE == 144
    assert Path("all.html").stat().st_size < 60_000 + 10_000 * len(whole)
    monkeypatch.setattr(page, "MOST_FACES", 5)
    said = run("photos", "--page", "some.html")[2]
    some = Reader(Path("some.html"))
    assert [card.data for card in some.cards] == [card.data for card in whole[:5]]
    assert "the 5 most anomalous of 22 faces" in said
    assert "5 most anomalous of 22 faces" in some.outside


def test_no_name_becomes_markup_and_nothing_is_fetched(run):
    names = [*HOSTILE, "</script><img src=x>.png"]
    Path("<").mkdir()
    for name in names:
        shutil.copy("photos/000_0.png", name)
    run(*names, "--page", "x'><b>.html", "--explain", "0")
    found = Reader(Path("x'><b>.html"))
    assert {card.data["path"] for card in found.cards} == {shown(name) for name in names}
    assert all(len(card.pictures) == 1 for card in found.cards)
    assert found.tags.count("script") == 1 and found.tags.count("img") == len(names)
    text = Path("x'><b>.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:https?:)?//\w+\.|@import|url\(", re.sub(r"base64,[^\"]+", "", text))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'; img-src data:" in text and f"script-src 'sha256-{allowed}'" in text


def test_the_most_anomalous_are_explained_up_to_the_limit(run, world):
    rate = ["--false-alarm-rate", "0.5"]
    run("photos", "--page", "r.html", "--explain", "2", "--photographs", "photos", *rate)
    found = Reader(Path("r.html"))
    flagged = [card for card in found.cards if card.data["verdict"] == "flag"]
    assert len(flagged) > 3 and found.cards[: len(flagged)] == flagged
    assert [len(card.pictures) for card in found.cards] == [6, 6] + [1] * (SETS["test"] - 2)
    assert f"2 of the {len(flagged)} faces that do not pass" in found.outside
    assert f"the other {len(flagged) - 2} are not (beyond --explain, or" in found.outside
    explainer = Explainer(Detector.load(world / "models", device="cpu"), Whole())
    for card in flagged[:2]:
        whole = np.array(Image.open(card.data["path"]).convert("RGB"))
        ((seen, drop),) = occlusion.maps(explainer._scorer, [whole])
        assert difference(card.pictures[1], seen) < 12
        assert difference(card.pictures[2], occlusion.overlay(seen, drop)) < 12
        assert occlusion.strongest(drop)[1] in card.text or "no part does" in card.text
        itself = Path(card.data["path"]).name  # is among the photographs
        assert f"photograph at 0.0 sd: {itself}" in card.text


def test_a_face_that_is_no_longer_there_is_not_counted_as_explained(run):
    resumed = ["--out", "rows.csv", "--resume", "--page", "r.html", "--false-alarm-rate", "0.5"]
    run("photos", *resumed, "--explain", "0")
    Path(Reader(Path("r.html")).cards[0].data["path"]).unlink()
    said = run("photos", *resumed, "--explain", "2")[2]
    found = Reader(Path("r.html"))
    assert [len(card.pictures) for card in found.cards[:3]] == [0, 3, 1]
    assert "1 of the " in found.outside and ", 1 explained" in said


def test_without_photographs_the_page_says_how_to_see_the_nearest(run):
    run("photos", "--page", "r.html", "--explain", "1", "--false-alarm-rate", "0.5")
    found = Reader(Path("r.html"))
    assert [len(card.pictures) for card in found.cards[:2]] == [3, 1]
    assert "as a model's files hold none (--photographs)" in found.outside
    run("photos", "--page", "n.html", "--explain", "0", "--false-alarm-rate", "0.5")
    assert "No face has an occlusion map" in Reader(Path("n.html")).outside


def test_a_resumed_run_makes_the_same_page_and_says_what_is_no_longer_there(run):
    Path("photos/bad.png").write_bytes(b"")
    shutil.copy("photos/000_0.png", "photos/\udcff.png")
    run("photos", "--out", "rows.csv", "--page", "review.html")
    before = Path("review.html").read_bytes()
    lines = Path("rows.csv").read_text().splitlines(keepends=True)
    for kept in (8, len(lines)):
        Path("rows.csv").write_text("".join(lines[:kept]))
        run("photos", "--out", "rows.csv", "--resume", "--page", "review.html")
        assert len(Reader(Path("review.html")).cards) == SETS["test"] + 2
    assert Path("review.html").read_bytes() == before
    Image.fromarray(picture(1, 50, 50)).save("photos/000_0.png")
    Path("photos/001_0.png").unlink()
    run("photos", "--out", "rows.csv", "--resume", "--page", "review.html")
    cards = {card.data["path"]: card for card in Reader(Path("review.html")).cards}
    assert "a picture of another size since" in cards["photos/000_0.png"].text
    assert "not shown: no such file" in cards["photos/001_0.png"].text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--page", "review.htm"], "ends in .html"),
        (["--page", "there.html"], "there.html is there already"),
        (["--page", "r.html", "--photographs", "nowhere"], "none of 1 files can be read"),
        (["--page", "folder.html", "--resume"], "folder.html: a folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_scored(run, arguments, words):
    Path("there.html").write_text("mine")
    Path("folder.html").mkdir()
    status, _, said = run("photos", "--out", "rows.csv", *arguments)
    assert status == 2 and words in said and not Path("rows.csv").exists()
    assert Path("there.html").read_text() == "mine"


@pytest.mark.parametrize("name", ["photos/000_0.png/r.html", "x" * 250 + ".html"])
def test_a_page_that_cannot_be_written_is_found_before_anything_is_scored(run, name):
    status, _, said = run("photos", "--out", "rows.csv", "--page", name)
    assert status == 2 and f"{name}: cannot be written there" in said
    assert not Path("rows.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--explain", "3"], "say what is on the --page"),
        (["--photographs", "x"], "say what is on the --page"),
        (["--page", "r.html", "--explain", "-1"], "a whole number, 0 or more, not -1"),
        (["--page", "r.html", "--calibrate", "--out", "x.npz"], "--calibrate makes no --page"),
        (["-", "--page", "r.html", "--photographs", "-"], "cannot both be -"),
        (["--face-detector", "centerface"], "--face-detector needs --crop auto"),
    ],
)
def test_options_that_do_not_go_together(capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        command.main(["photos", *arguments])
    assert ended.value.code == 2 and words in capsys.readouterr().err
