"""Contact sheets."""

import numpy as np
import pytest
from PIL import Image

from pipeline.common.contact_sheet import contact_sheet


def plain(height, width, colour):
    return np.full((height, width, 3), colour, np.uint8)


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_pictures_stand_in_their_cells(tmp_path):
    contact_sheet(
        [[plain(40, 40, 10), plain(40, 40, 20)], [plain(40, 40, 30)]],
        None,
        tmp_path / "s.png",
        side=40,
    )
    sheet = read(tmp_path / "s.png")
    assert sheet.shape == (4 + 2 * 44, 4 + 2 * 44, 3)
    assert (
        (sheet[4:44, 4:44] == 10).all()
        and (sheet[4:44, 48:88] == 20).all()
        and (sheet[48:88, 4:44] == 30).all()
    )
    assert (sheet[48:88, 48:88] == 255).all()  # a short row ends in white


def test_a_small_picture_stays_as_it_is_in_the_middle_and_a_large_one_is_fitted(tmp_path):
    contact_sheet([[plain(20, 10, 7), plain(400, 200, 9)]], None, tmp_path / "s.png", side=40)
    sheet = read(tmp_path / "s.png")
    rows, columns = np.nonzero((sheet == 7).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 33, 19, 28)
    rows, columns = np.nonzero((sheet == 9).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 43, 58, 77)


def test_small_pictures_are_enlarged_to_their_cell_on_request(tmp_path):
    contact_sheet(
        [[plain(20, 10, 7), plain(400, 200, 9)]], None, tmp_path / "s.png", side=40, enlarge=True
    )
    sheet = read(tmp_path / "s.png")
    for value, left in ((7, 14), (9, 58)):
        rows, columns = np.nonzero((sheet == value).all(axis=2))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 43, left, left + 19)


@pytest.mark.parametrize(
    "titles",
    [{"column_titles": ["a", "b"]}, {"column_titles": None, "row_titles": ["a long title"]}],
)
def test_titles_make_room(tmp_path, titles):
    contact_sheet([[plain(30, 30, 0)] * 2], path=tmp_path / "s.png", side=30, **titles)
    height, width, _ = read(tmp_path / "s.png").shape
    assert (height > 38) == ("row_titles" not in titles) and (width > 72) == (
        "row_titles" in titles
    )


def test_same_bytes_twice(tmp_path):
    rows = [list(np.random.default_rng(0).integers(0, 256, (3, 50, 60, 3), dtype=np.uint8))]
    for name in ("a", "b"):
        contact_sheet(rows, ["x", "y", "z"], tmp_path / name, ["r"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_title_of_several_lines_makes_room_for_its_longest_line_and_stands_in_the_middle_of_its_row(
    tmp_path,
):
    for name, title in (("one", "a long line"), ("three", "a\na long line\nb")):
        contact_sheet(
            [[plain(60, 60, 255)], [plain(60, 60, 255)]],
            None,
            tmp_path / name,
            ["", title],
            side=60,
        )
    one, three = read(tmp_path / "one"), read(tmp_path / "three")
    assert one.shape == three.shape
    ink = [np.nonzero((sheet < 128).any(axis=(1, 2)))[0] for sheet in (one, three)]
    assert all(rows.min() >= 68 and rows.max() < 128 for rows in ink), "within the second row"
    assert np.ptp(ink[1]) > 2 * np.ptp(ink[0]) and abs(ink[0].mean() - ink[1].mean()) < 5
