"""Contact sheets: where pictures and titles stand."""

import numpy as np
from PIL import Image

from pipeline.common.contact_sheet import contact_sheet


def plain(height, width, colour):
    return np.full((height, width, 3), colour, np.uint8)


def sheet(path, rows, **options):
    contact_sheet(rows, options.pop("column_titles", None), path, **options)
    return np.asarray(Image.open(path).convert("RGB"))


def place(picture, colour):
    """First and last row and column of what has this colour."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_pictures_stand_in_their_cells_and_a_short_row_ends_in_white(tmp_path):
    rows = [[plain(40, 40, 10), plain(40, 40, 20)], [plain(40, 40, 30)]]
    picture = sheet(tmp_path / "s.png", rows, side=40)
    assert picture.shape == (92, 92, 3)
    assert place(picture, 10) == (4, 43, 4, 43) and place(picture, 20) == (4, 43, 48, 87)
    assert place(picture, 30) == (48, 87, 4, 43) and (picture[48:88, 48:88] == 255).all()


def test_pictures_are_fitted_and_small_ones_enlarged_only_on_request(tmp_path):
    rows = [[plain(20, 10, 7), plain(400, 200, 9)]]
    as_they_are = sheet(tmp_path / "s.png", rows, side=40)
    assert place(as_they_are, 7) == (14, 33, 19, 28) and place(as_they_are, 9) == (4, 43, 58, 77)
    enlarged = sheet(tmp_path / "s.png", rows, side=40, enlarge=True)
    assert place(enlarged, 7) == (4, 43, 14, 33) and place(enlarged, 9) == (4, 43, 58, 77)


def test_titles_make_room_and_stand_in_the_middle(tmp_path):
    rows = [[plain(60, 60, 255)], [plain(60, 60, 255)]]
    bare = sheet(tmp_path / "s.png", rows, side=60)
    assert sheet(tmp_path / "s.png", rows, side=60, column_titles=["a"]).shape[0] > bare.shape[0]
    one = sheet(tmp_path / "s.png", rows, side=60, row_titles=["", "a long line"])
    three = sheet(tmp_path / "s.png", rows, side=60, row_titles=["", "a\na long line\nb"])
    assert one.shape == three.shape and one.shape[1] > bare.shape[1]
    ink = [np.nonzero((picture < 128).any(axis=(1, 2)))[0] for picture in (one, three)]
    assert all(lines.min() >= 68 and lines.max() < 128 for lines in ink), "within the second row"
    assert np.ptp(ink[1]) > 2 * np.ptp(ink[0]) and abs(ink[0].mean() - ink[1].mean()) < 5
