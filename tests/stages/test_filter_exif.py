"""The whole stage on a small folder in the authors' layout with one bad record of each kind."""

import json
import os
import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, names, shards
from pipeline.common.layout import Layout
from pipeline.stages import filter_exif

# Real pictures in the authors' layout, which lie beside the checkout where there are any.
BESIDE = Path(__file__).resolve().parents[3] / "shared/data/real-mini"
REAL_MINI = Path(os.environ.get("REAL_MINI", BESIDE))
PARAMS = """
seed: 2
exif: {source: fdf, licenses: [], face_detector: centerface, photographer_pattern: '', reject: [],
  require: all, tags: {iso: [6, 409600], f_number: [0.7, 64], exposure_time_s: [0.00003125, 60],
  focal_length_mm: [1, 2000]}}
split: {validation: 0.3, calibration: 0.4}
"""
GOOD: dict[str, str | None] = {
    "ISO Speed Ratings": "200",
    "Aperture Value": "F2.8",
    "Exposure Time": "1/60sec",
    "Focal Length": "50.0 mm",
}
BOX = (0.25, 0.2, 0.75, 0.8)


class World:
    """A folder in the authors' layout, filled face by face and written by `save`."""

    def __init__(self, root):
        self.layout = Layout(root)
        self.layout.exif.mkdir(parents=True)
        self.layout.images.mkdir(parents=True)
        self.metainfo, self.mapping = {}, {}

    def add(self, face_id, photo_id, *, author="", record=None, size=(128, 128), box=BOX):
        landmark = [[0.5, 0.5 + i / 100] for i in range(7)]
        self.metainfo[face_id] = {"author": author, "bounding_box": list(box), "landmark": landmark}
        self.mapping[face_id] = photo_id
        self.photo(photo_id, GOOD if record is None else record)
        shape = (*size[::-1], 3)
        picture = np.random.default_rng(int(face_id)).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(picture).save(self.layout.images / f"{face_id}.png", compress_level=1)
        return picture

    def photo(self, photo_id, record):
        (self.layout.exif / f"{photo_id}.json").write_text(
            json.dumps({"EXIF": record, "photo_id": photo_id})
        )

    def save(self):
        self.layout.metainfo.write_text(json.dumps(self.metainfo))
        self.layout.mapping.with_suffix(".json").write_text(json.dumps(self.mapping))


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    return World(tmp_path / "sample")


def run(root="sample", out="faces"):
    filter_exif.main(["--root", str(root), "--output", out])
    table = artifacts.read_table(f"{out}/faces.parquet")
    return artifacts.read_json(f"{out}/exif.json"), table


def fill(world, count=40):
    """`count` good faces, two per photograph, of authors with two photographs each; every fifth
    photograph has no author.
    """
    pictures = {}
    for i in range(count):
        author = "" if i // 2 % 5 == 0 else f"author {i // 4}"
        pictures[str(100 + i)] = world.add(str(100 + i), f"p{i // 2}", author=author)
    return pictures


def test_good_faces_are_packed_with_their_table(world):
    pictures = fill(world)
    world.metainfo["101"]["landmark"] = None
    world.save()
    counts, table = run()
    assert counts["records"] == counts["kept"] == 40 and counts["reasons"] == {}
    assert counts["photographs"] == 20
    assert table["face_id"].tolist() == list(pictures) and table["row"].tolist() == list(range(40))
    stored = shards.read_shards("faces")
    np.testing.assert_array_equal(stored[table["row"]], np.stack(list(pictures.values())))
    first = table.iloc[0]
    assert [first[name] for name in names.BOX_COLUMNS] == pytest.approx([32.0, 25.6, 96.0, 102.4])
    landmarks = [first[name] for name in names.LANDMARK_COLUMNS[:4]]
    assert landmarks == pytest.approx([64.0, 64.0, 64.0, 65.28])
    assert table.loc[1, list(names.LANDMARK_COLUMNS)].isna().all()
    assert [first[tag] for tag in names.TAGS] == [200.0, 2.8, 1 / 60, 50.0]
    assert (table["group"] == table["author"].where(table["author"] != "", table["photo_id"])).all()
    assert counts["authors"] == table.loc[table["author"] != "", "author"].nunique()
    assert [(tag["name"], tag["faces"]) for tag in counts["tags"]] == [(t, 40) for t in names.TAGS]
    assert counts["lacking"] == {}


def test_no_group_or_photograph_is_on_both_sides(world):
    fill(world)
    world.save()
    counts, table = run()
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert (table.groupby("photo_id")["split"].nunique() == 1).all()
    assert counts["splits"] == Counter(table["split"])
    assert set(counts["splits"]) == {"train", "validation"}


def spoil(world):
    """One bad record of every kind; returns the reason expected for each."""
    add, layout = world.add, world.layout
    add("1", "bad1", record={**GOOD, "ISO Speed Ratings": None})
    add("2", "bad2", record=GOOD | {"Aperture Value": "F"})
    add("3", "bad3", record=GOOD | {"Exposure Time": "Unknown"})
    add("4", "bad4", record=GOOD | {"Focal Length": "0.0 mm"})
    add("5", "bad5")
    (layout.exif / "bad5.json").unlink()
    add("6", "bad6")
    (layout.exif / "bad6.json").write_text('{"EXIF": {"ISO')
    add("7", "bad7", size=(64, 128))
    add("8", "bad8")
    png = layout.images / "8.png"
    png.write_bytes(png.read_bytes()[:20_000])
    add("9", "bad9")
    (layout.images / "9.png").unlink()
    add("10", "bad10", box=(0.5, 0.5, 0.4, 0.6))
    add("11", "bad11")
    del world.mapping["11"]
    add("12", "good12")
    world.mapping["12"] = "../../outside"
    add("13", "p1", author="somebody else")
    world.metainfo["../14"] = world.metainfo["13"]
    add("15", "bad15")
    (layout.exif / "bad15.json").write_text("{}")
    add("16", "bad16")
    Image.new("RGBA", (128, 128)).save(layout.images / "16.png")
    return [
        *("iso_missing", "f_number_empty", "exposure_time_s_not_a_number", "focal_length_mm_zero"),
        *("photo_json_missing", "photo_json_broken", "picture_size", "picture_truncated"),
        *("picture_missing", "box_outside_picture", "photo_id_missing", "photo_id_unsafe"),
        *("photo_of_two_authors", "face_id_unsafe", "exif_missing"),
        "picture_transparent",
    ]


def test_bad_records_are_counted_and_never_fatal(world, capsys):
    fill(world)
    expected = spoil(world)
    world.save()
    counts, table = run()
    assert counts["reasons"] == dict.fromkeys(expected, 1)
    assert counts["kept"] == len(table) == 40
    assert counts["rejected"] == len(expected) and counts["records"] == 40 + len(expected)
    printed = capsys.readouterr().out
    assert re.search(r"kept +40\n", printed) and re.search(
        r"picture_truncated +1  8: image", printed
    )
    assert counts["first"]["picture_truncated"] == "8: image file is truncated"
    assert counts["first"].keys() == counts["reasons"].keys()


@pytest.mark.parametrize("ending", [".pkl", ".json"])
def test_bytes_do_not_depend_on_processes_or_jobs(world, monkeypatch, ending):
    fill(world)
    spoil(world)
    world.save()
    if ending == ".pkl":
        world.layout.mapping.unlink()
        world.layout.mapping.write_bytes(pickle.dumps(world.mapping))
    written = []
    for workers, faces_per_job in [(1, 256), (1, 3), (2, 7)]:
        monkeypatch.setenv("PIPELINE_WORKERS", str(workers))
        monkeypatch.setattr(filter_exif, "FACES_PER_JOB", faces_per_job)
        out = f"faces{workers}{faces_per_job}"
        run(out=out)
        written.append({path.name: path.read_bytes() for path in Path(out).iterdir()})
    assert written[0] == written[1] == written[2]
    assert sorted(written[0]) == ["exif.json", "faces.parquet", "pixels-00000.npy", "tags.csv"]


def test_distributions_hold_every_face(world):
    for i in range(12):
        record = GOOD | {"ISO Speed Ratings": str(100 * 2 ** (i % 4))}
        world.add(str(i), f"p{i}", author=f"a{i}", record=record)
    world.save()
    run()
    header, *lines = Path("faces/tags.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines]
    assert header == "tag,value_from,value_to,faces" and len(lines) <= 500
    assert list(dict.fromkeys(cell[0] for cell in cells)) == list(names.TAGS)
    for tag in names.TAGS:
        assert sum(int(cell[3]) for cell in cells if cell[0] == tag) == 12
    iso = [(float(low), float(high), int(n)) for tag, low, high, n in cells if tag == "iso"]
    assert [n for low, high, n in iso if low <= 400 < high] == [3]


def test_no_face_left_is_an_error_with_the_reasons(world):
    for i in range(3):
        world.add(str(i), f"p{i}", record={})
    world.save()
    with pytest.raises(PipelineError, match=r"sample: no face is .*rejected are.*iso_missing.*: 3"):
        run()
    assert not Path("faces").exists()


def test_an_empty_face_list_is_an_error(world):
    world.save()
    with pytest.raises(PipelineError, match="the face list is empty"):
        run()


def test_an_empty_split_is_an_error(world):
    for i in range(5):
        world.add(str(i), f"p{i}", author="the only one")
    world.save()
    with pytest.raises(PipelineError, match=r"no face is in the split 'validation'.*validation"):
        run()


def test_a_folder_in_another_layout_is_an_error(world):
    with pytest.raises(PipelineError, match="id_vs_fdfName"):
        run()


@pytest.mark.skipif(not REAL_MINI.exists(), reason="the real miniature is not here")
def test_real_miniature(world):
    """Its six bad records are those that its README names."""
    counts, _ = run(REAL_MINI)
    expected = (
        "photo_json_missing iso_missing f_number_empty exposure_time_s_not_a_number "
        "picture_truncated photo_json_broken"
    )
    assert counts["reasons"] == dict.fromkeys(expected.split(), 1)
    assert (counts["records"], counts["kept"], counts["photographs"]) == (87, 81, 35)
