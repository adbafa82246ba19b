"""The stage on one's own photographs: a tree made by Pillow, with faces at known places."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, names, shards
from pipeline.exif import photographs
from pipeline.face_detection import detectors, face
from pipeline.manipulation.landmarks import regions_from_seven
from pipeline.stages import filter_exif, manipulate_faces
from tests.stages.test_filter_exif import World, fill

PARAMS = """
seed: 2
exif: {{source: {source}, licenses: [], face_detector: {detector},
  photographer_pattern: '{pattern}', reject: [{reject}], require: all, tags: {{iso: [6, 409600],
  f_number: [0.7, 64], exposure_time_s: [0.00003125, 60], focal_length_mm: [1, 2000]}}}}
split: {{validation: 0.3, calibration: 0.4}}
manipulation: {{source: generate, warp_sigma: [0.04, 0.05], blend_ratios: [1]}}
"""
REJECT = "edited, shrunken, generated"
EXIF = 0x8769
SOFTWARE, ARTIST, MODEL, ORIENTATION = 0x0131, 0x013B, 0x0110, 0x0112
ISO, F_NUMBER, TIME, FOCAL, WIDTH, SERIAL = 0x8827, 0x829D, 0x829A, 0x920A, 0xA002, 0xA431
SHOT = {ISO: 200, F_NUMBER: 2.8, TIME: 1 / 60, FOCAL: 50.0}
BOX = (40, 30, 113, 90)  # 73 pixels wide: FDF's frame is 128
FRAME = (12, 0, 140, 128)  # its middle is (76.5, 60), and the picture begins at 0


def exif(first, own):
    """The tags of the shot, with these in the first directory and in EXIF's own."""
    made = Image.Exif()
    made.update(first)
    made.get_ifd(EXIF).update({**SHOT, **own})
    return made.tobytes()


def noise(number, size=(200, 160)):
    shape = (size[1], size[0], 3)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


class Tree:
    """Photographs of noise below a data root, each with a number, and the boxes of their faces."""

    def __init__(self, root):
        self.root, self.folder = root, root / "SSL_training_data/photographs"
        self.boxes, self.count = [], 0

    def add(self, name, *, boxes=(BOX,), size=(200, 160), first=None, own=None, **how):
        pixels, self.count = noise(self.count, size), self.count + 1
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        turned = ORIENTATION in (first or {})
        stored = Image.fromarray(np.rot90(pixels) if turned else pixels)
        stored.save(path, exif=exif(first or {}, own or {}), **how)
        self.boxes += [(name, *box) for box in boxes]
        return pixels

    def run(self, reject=REJECT, pattern="", detector="boxes.csv", out="faces"):
        names_of = {"reject": reject, "pattern": pattern, "detector": detector}
        Path("params.yaml").write_text(PARAMS.format(source="photos", **names_of))
        with (self.root / "SSL_training_data/boxes.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", *names.BOX_COLUMNS), *self.boxes])
        filter_exif.main(["--root", str(self.root), "--output", out])
        return artifacts.read_json(f"{out}/exif.json"), artifacts.read_table(f"{out}/faces.parquet")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Twelve photographs of six persons."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    made = Tree(tmp_path / "mine")
    for i in range(12):
        made.add(f"person {i // 2}/{i}.png")
    return made


def test_faces_are_packed_in_the_form_of_fdfs(tree, tmp_path):
    theirs = World(tmp_path / "theirs")
    fill(theirs)
    theirs.save()
    counts, table = tree.run()
    Path("params.yaml").write_text(
        PARAMS.format(source="fdf", reject="", pattern="", detector="centerface")
    )
    filter_exif.main(["--root", str(tmp_path / "theirs"), "--output", "other"])
    other = artifacts.read_table("other/faces.parquet")
    assert table.dtypes.to_dict() == other.dtypes.to_dict()
    assert counts.keys() == artifacts.read_json("other/exif.json").keys()
    assert {path.name for path in Path("faces").iterdir()} == {
        path.name for path in Path("other").iterdir()
    }
    x0, y0, x1, y1 = FRAME
    numbers = [int(Path(name).stem) for name in table["photo_id"]]
    expected = np.stack([noise(number)[y0:y1, x0:x1] for number in numbers])
    np.testing.assert_array_equal(shards.read_shards("faces")[table["row"]], expected)
    assert counts["reasons"] == {} and counts["kept"] == counts["photographs"] == 12
    first = table.iloc[0]
    assert [first[name] for name in names.BOX_COLUMNS] == [28, 30, 101, 90]
    assert [first[tag] for tag in names.TAGS] == pytest.approx([200, 2.8, 1 / 60, 50], rel=1e-4)
    assert table.groupby("group")["split"].nunique().max() == 1


def test_one_photograph_gives_several_faces_and_small_ones_are_counted(tree):
    boxes = [BOX, (200, 50, 346, 150), (300, 20, 372, 60)]  # frames of 128, 256 and 126 pixels
    tree.add("person 0/crowd.png", boxes=boxes, size=(420, 300))
    counts, table = tree.run()
    crowd = table[table["photo_id"] == "person 0/crowd.png"]
    assert crowd["face_id"].tolist() == ["person 0/crowd.png#0", "person 0/crowd.png#1"]
    assert counts["reasons"] == {"face_too_small": 1}
    assert counts["first"]["face_too_small"].startswith("person 0/crowd.png#2: 126 px")
    sides = (crowd["box_x1"] - crowd["box_x0"]).tolist()
    assert sides == pytest.approx([73, 73])  # of 146, at half the size


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
def test_a_turned_photograph_gives_the_pixels_of_an_upright_one(tree, kind):
    how = {"lossless": True} if kind == "webp" else {}
    pixels = tree.add(f"person 0/turned.{kind}", first={ORIENTATION: 6}, **how)
    _, table = tree.run()
    row = table.loc[table["photo_id"] == f"person 0/turned.{kind}", "row"]
    x0, y0, x1, y1 = FRAME
    np.testing.assert_array_equal(shards.read_shards("faces")[row][0], pixels[y0:y1, x0:x1])


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_heic_file_is_a_photograph(tree, orientation):
    """It is turned by its own boxes. Pillow's plug-in writes EXIF's orientation beside them."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    first = {} if orientation == 1 else {ORIENTATION: orientation}
    pixels = tree.add("person 0/a.HEIC", first=first, format="HEIF", quality=-1, chroma=444)
    counts, table = tree.run()
    row = table.loc[table["photo_id"] == "person 0/a.HEIC", "row"]
    x0, y0, x1, y1 = FRAME
    off = shards.read_shards("faces")[row][0].astype(int) - pixels[y0:y1, x0:x1]
    assert counts["reasons"] == {} and np.abs(off).max() <= 3, "as its colours are rounded"


def test_a_heic_file_without_the_package_for_it_is_counted_with_what_to_install(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tree.folder / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    counts, _ = tree.run()
    assert counts["reasons"] == {"picture_heic": 1}
    said = counts["first"]["picture_heic"]
    assert said.startswith("a.heic: pillow-heif is not installed; python -m pip install ")


GENERATED = b"http://cv.iptc.org/newscodes/digitalsourcetype/"


def spoil(tree):
    """One bad file of every kind; returns the reason and what is said of each."""
    add, folder = tree.add, tree.folder
    add("bad/edited.jpg", first={SOFTWARE: "Adobe Photoshop CS6 (Windows)"})
    add("bad/shrunken.jpg", own={WIDTH: 4000})
    add("bad/made.jpg", xmp=GENERATED + b"trainedAlgorithmicMedia")
    add("bad/mixed.webp", xmp=GENERATED + b"compositeWithTrainedAlgorithmicMedia", lossless=True)
    add("bad/iso.jpg", own={ISO: 0})
    add("bad/long.jpg", own={TIME: 900.0})
    add("bad/nobody.jpg", boxes=[])
    add("bad/small.jpg", boxes=[(10, 10, 50, 50)])
    add("bad/beside.jpg", boxes=[(900, 10, 980, 90)])
    for name, content in [("empty.jpg", b""), ("page.png", b"<html>"), ("notes.txt", b"x")]:
        (folder / "bad" / name).write_bytes(content)
    Image.fromarray(noise(99)).save(folder / "bad/plain.png")
    Image.new("RGBA", (200, 160)).save(folder / "bad/clear.png", exif=exif({}, {}))
    whole = (folder / "bad/iso.jpg").read_bytes()
    (folder / "bad/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "bad/cut.tif").write_bytes(b"II*\0" + whole[:200])
    (folder / "bad/copy.png").write_bytes((folder / "person 0/0.png").read_bytes())
    tree.boxes += [("bad/copy.png", *BOX), ("gone.jpg", *BOX)]
    (folder / ".trash").mkdir()
    (folder / ".trash/x.jpg").write_bytes(whole)
    (folder / "bad/out.jpg").symlink_to("/etc/hostname")
    (folder / "linked").symlink_to(tree.root)
    return {
        **{"edited": 1, "shrunken": 1, "generated": 2, "iso_zero": 1, "hidden": 1, "link": 2},
        **{"exposure_time_s_out_of_range": 1, "no_face": 1, "face_too_small": 1},
        **{"box_outside_picture": 1, "picture_empty": 1, "picture_not_a": 1, "exif_missing": 1},
        **{"other_extension": 1, "picture_transparent": 1, "picture_truncated": 1},
        **{"picture_broken": 1, "photograph_twice": 1, "photograph_missing": 1},
    }


def test_bad_files_are_counted_and_never_fatal(tree):
    expected = spoil(tree)
    counts, table = tree.run()
    assert counts["reasons"] == expected and counts["kept"] == len(table) == 12
    assert counts["records"] == 12 + sum(expected.values())
    first = counts["first"]
    assert first["edited"] == "bad/edited.jpg: Software = 'Adobe Photoshop CS6 (Windows)'"
    assert first["shrunken"] == "bad/shrunken.jpg: 200 of 4000 px"
    assert first["photograph_twice"] == "person 0/0.png: the same faces as bad/copy.png"
    assert first["photograph_missing"].startswith("gone.jpg: boxes.csv")


def test_what_is_not_among_the_reasons_to_reject_is_kept(tree):
    expected = spoil(tree)
    counts, _ = tree.run(reject="edited")
    left = {name: n for name, n in expected.items() if name not in ("generated", "shrunken")}
    assert counts["reasons"] == left and counts["kept"] == 15


def test_bytes_do_not_depend_on_processes(tree, monkeypatch):
    spoil(tree)
    written = []
    for workers in (1, 2):
        monkeypatch.setenv("PIPELINE_WORKERS", str(workers))
        tree.run(out=f"faces{workers}")
        written.append({path.name: path.read_bytes() for path in Path(f"faces{workers}").iterdir()})
    assert written[0] == written[1]


def test_the_photographer_is_in_the_path_or_in_exif(tree):
    tree.add("a.jpg", first={ARTIST: " Ansel\0"}, own={SERIAL: "7"})
    tree.add("b.jpg", first={MODEL: "X100"}, own={SERIAL: "7"})
    _, table = tree.run()
    assert table.set_index("photo_id")["author"][["a.jpg", "b.jpg", "person 0/0.png"]].tolist() == [
        *("Ansel", "X100 7", "")
    ]
    counts, table = tree.run(pattern="^([^/]+)/")
    assert counts["reasons"] == {"photographer_missing": 2} and counts["authors"] == 6
    assert set(table["group"]) == {f"person {i}" for i in range(6)}


class Stand:
    """A detector that finds one face with its five points in every photograph."""

    def find(self, picture):
        points = dict(right_eye=(60, 50), left_eye=(90, 50), nose=(75, 65))
        points |= dict(right_mouth_corner=(64, 78), left_mouth_corner=(86, 78))
        return [face.Face(BOX, 0.9, tuple(points[name] for name in face.LANDMARKS))]


def test_five_points_suffice_for_all_manipulations(tree, monkeypatch):
    monkeypatch.setattr(detectors, "load", lambda name: Stand())
    _, table = tree.run(detector="centerface")
    points = table[list(names.LANDMARK_COLUMNS)].to_numpy()
    x0, y0 = FRAME[:2]
    assert points[0, :6].tolist() == [75 - x0, 65 - y0, 60 - x0, 50 - y0, 90 - x0, 50 - y0]
    assert np.isnan(points[:, 6:]).all(), "ears and shoulders are not known"
    assert regions_from_seven(points, 128).usable.all()
    manipulate_faces.main(["--root", "mine", "--faces", "faces", "--output", "manipulated"])
    made = artifacts.read_json("manipulated/manipulations.json")
    assert set(made["operations"].values()) == {12} and not made["unusable_landmarks"]


def test_faces_from_boxes_without_points_are_only_warped(tree):
    tree.run()
    manipulate_faces.main(["--root", "mine", "--faces", "faces", "--output", "manipulated"])
    made = artifacts.read_json("manipulated/manipulations.json")
    assert made["unusable_landmarks"] == {"landmarks_missing": 12}


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("other.csv", r"mine/SSL_training_data/other\.csv: no such file"),
        ("yunet:net.onnx", r"yunet:.*mine/SSL_training_data/net\.onnx: No such file"),
        ("../boxes.csv", r"exif\.face_detector = '\.\./boxes\.csv'.*without \.\."),
        ("retina", "allowed are centerface"),
    ],
)
def test_a_detector_that_is_not_there_is_an_error_before_any_work(
    tree, monkeypatch, detector, message
):
    monkeypatch.setattr(photographs, "read_some", None)
    with pytest.raises(PipelineError, match=message):
        tree.run(detector=detector)
    assert not Path("faces").exists()


@pytest.mark.parametrize(
    "row",
    [
        ("x", 1, 2, 3),
        ("x", 1, 2, 3, "wide"),
        ("x", 5, 5, 5, 9),
        ("x", 1, 2, "nan", 4),
        ("x", 1, 2, 1e300, 4),
        ("x", 1, 2, 1.5, 9),
    ],
)
def test_a_table_without_boxes_is_an_error_with_its_line(tree, row):
    tree.boxes.append(row)
    with pytest.raises(PipelineError, match=r"boxes\.csv, line 14: .*expected a table with"):
        tree.run()


def test_a_folder_without_photographs_is_an_error(tree):
    tree.folder.rename(tree.root / "elsewhere")
    with pytest.raises(PipelineError, match="no such folder; put photographs there"):
        tree.run()
    tree.folder.mkdir()
    (tree.folder / "notes.txt").write_text("x")
    with pytest.raises(PipelineError, match=r"no photograph; .*\{'other_extension': 1\}"):
        tree.run()
