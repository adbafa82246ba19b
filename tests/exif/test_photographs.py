"""Faces of photographs against places that are known, and real camera files against exiftool."""

import csv
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.common.tally import Tally
from pipeline.exif import embedded, faces, photographs
from pipeline.exif.origin import check_origin
from pipeline.exif.tags import Rejection, parse_tags
from pipeline.face_detection.face import Face
from tests.exif.test_embedded import GOOD, tiff
from tests.exif_world import FOUR

# Real camera files with what exiftool says of them, beside the checkout where there are any.
BESIDE = Path(__file__).resolve().parents[3] / "shared/data/exif-corpus"
CORPUS = Path(os.environ.get("EXIF_CORPUS", BESIDE))
WIDTH, HEIGHT = 300, 260
NUMBERS = itertools.count()
X, Y = st.floats(0, WIDTH), st.floats(0, HEIGHT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs with one in which a pixel's red and green say where it is."""
    made = tmp_path_factory.mktemp("data") / photographs.FOLDER
    made.mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x // 2, y // 2, x * 0], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(made / "a.png", exif=tiff(GOOD))
    return made


@given(st.tuples(X, Y, X, Y), st.lists(st.tuples(X, Y), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_place_in_the_face_is_the_place_in_the_photograph(folder, corners, points):
    x0, x1 = sorted(corners[::2])
    y0, y1 = sorted(corners[1::2])
    assume(x0 + 1 < x1 and y0 + 1 < y1)
    table = f"{next(NUMBERS)}.csv"  # a process reads each once
    columns = ("path", *faces.BOX_COLUMNS, *faces.POINT_COLUMNS)
    row = ("./a.png", x0, y0, x1, y1, *(number for point in points for number in point))
    with (folder.parent / table).open("w", newline="") as file:
        csv.writer(file).writerows([columns, row])
    reasons = Tally()
    read = photographs.read("a.png", photographs.Settings(folder, FOUR, [], "", table), reasons)
    side = min(max(x1 - x0, y1 - y0) / 0.57, HEIGHT)
    if not read.faces:
        assert side < 128.5 and reasons.counts == {"face_too_small": 1}
        return
    [found], [pixels] = read.faces, read.pixels
    left, top = 2.0 * pixels[0, 0, :2]  # of the square, to 2 pixels
    places = np.array([*found.box, *found.landmarks[:6]]).reshape(-1, 2) * side + (left, top)
    expected = np.array([(x0, y0), (x1, y1), *points])
    assert np.abs(places - expected).max() < 8, "antialiasing and rounding of the square"
    assert all(math.isnan(share) for share in found.landmarks[6:])


class Light:
    """A detector that takes all that is light for one face, and says how large its picture was."""

    def find(self, picture):
        self.seen = picture.shape
        y, x = np.nonzero(picture[..., 0] > 127)
        box = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
        return [Face(box, 0.9, (box[:2],) * 5)]


@pytest.mark.parametrize(
    ("size", "longer"),
    [
        *(((1632, 1224), 352), ((300, 200), 300), ((352, 20), 352), ((2200, 1000), 480)),
        *(((1000, 3333), 640), ((6000, 4000), 640)),
    ],
)
def test_a_detector_sees_what_the_smallest_face_needs_and_its_places_are_the_photographs(
    size, longer
):
    width, height = size
    x0, y0, x1, y1 = expected = (width // 4, height // 5, width // 2, height // 2)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    detector = Light()
    [found] = faces.find(Image.fromarray(pixels), detector)
    assert max(detector.seen) == longer
    assert 73 * longer / max(size) > 15 or longer in (max(size), 640), "of the smallest face"
    pixel = max(width / detector.seen[1], height / detector.seen[0])
    assert found.box == pytest.approx(expected, abs=pixel)
    assert found.landmarks[4] == found.box[:2]


def rows():
    with (CORPUS / "expected.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of camera files is not here")
def test_camera_files_are_read_as_exiftool_reads_them():
    """Where a tag is absent, its APEX form may stand in for it."""
    read = 0
    for row in rows():
        try:
            found = parse_tags(embedded.read_exif((CORPUS / row["file"]).read_bytes(), FOUR), FOUR)[
                0
            ]
        except Rejection:
            continue
        read += 1
        expected = {tag: {float(word) for word in row[tag].split()} for tag in found}
        for tag, values in expected.items():
            assert not values or found[tag] == pytest.approx(max(values), rel=1e-3), row["file"]
    assert read == 41


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of camera files is not here")
def test_the_editors_of_camera_files_are_known():
    """The corpus's notes say which are edited; of one program they say both."""
    said, found = set(), set()
    for row in rows():
        if row["software"] == "OLYMPUS CAMEDIA Master":
            continue
        try:
            check_origin((CORPUS / row["file"]).read_bytes(), (1, 1), ["edited"])
        except Rejection as rejection:
            found |= {row["file"]} if rejection.reason == "edited" else set()
        said |= {row["file"]} if "edited by software" in row["note"] else set()
        if row["note"] == "four tags valid":
            assert row["file"] not in found
    assert said <= found
