"""The stage on faces whose EXIF is in YFCC100M's pack, against the layout of one file for each."""

import bz2
import shutil
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from pipeline.base.errors import PipelineError
from tests.stages.test_filter_exif import GOOD, PARAMS, World, run

FIRST = 5_000_000_000  # number of the first photograph
LICENSES = ["by", "by-sa", "by-nc", "by-nc-sa"]
# What photographs beside the good ones have, and the reasons with one file for each, and in lines
SPOILT = {
    FIRST + 900: (GOOD | {"Focal Length": "1,200 mm"}, ["focal_length_mm_ambiguous"] * 2),
    FIRST + 901: ({**GOOD, "Aperture Value": None}, ["f_number_missing"] * 2),
    FIRST + 902: ({}, ["iso_missing", "exif_missing"]),
    FIRST + 903: (None, ["photo_json_missing", "photo_line_missing"]),
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Faces, two of each photograph and four of each author, in both layouts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    world = World(tmp_path / "sample")
    records: dict[int, dict[str, str | None] | None] = {}
    for i in range(40):
        number = FIRST + i // 2
        speed: dict[str, str | None] = {
            "Exposure Time": f"1/{i // 2 + 1} sec",
            "ISO Speed Ratings": "200, 200",
        }
        records[number] = GOOD | speed
        world.add(str(100 + i), str(number), author=f"author {i // 4}", record=records[number])
    for i, (number, (record, _)) in enumerate(SPOILT.items()):
        records[number] = record
        world.add(str(200 + i), str(number), record=record)
    (world.layout.exif / f"{FIRST + 903}.json").unlink()
    for i, (face_id, entry) in enumerate(world.metainfo.items()):
        number = world.mapping[face_id]
        entry["photo_url"] = f"http://www.flickr.com/photos/{i}@N00/{number}/"
        entry["license_url"] = f"http://creativecommons.org/licenses/{LICENSES[i % 4]}/2.0/"
    world.save()
    write_pack(world.layout.root / "SSL_training_data/yfcc100m_exif.bz2", records)
    return world


def write_pack(path, records):
    """Lines of these photographs in another order than the faces, among as many others."""
    lines = []
    for number, record in reversed(records.items()):
        items = [("Exif Thumbnail", "Focal Length", "1 mm"), ("Exif IFD0", "Make", "A, B: C")]
        items += [("Exif SubIFD", *item) for item in (record or {}).items() if item[1] is not None]
        text = ",".join(f"{quote_plus(c)}.{quote_plus(t)}:{quote_plus(v)}" for c, t, v in items)
        if record is not None:
            lines.append(f"{number}\t{text if record else ''}")
        lines.append(f"{number + 10**9}\t{text}")
    path.write_bytes(bz2.compress("\n".join([*lines, "no number", ""]).encode()))


def filtered(source, licenses="[]", out="faces"):
    params = PARAMS.replace("source: fdf", f"source: {source}")
    Path("params.yaml").write_text(params.replace("licenses: []", f"licenses: {licenses}"))
    counts, table = run(out=out)
    return counts, table, {path.name: path.read_bytes() for path in Path(out).iterdir()}


def test_the_pack_gives_the_same_bytes_as_one_file_for_each_photograph(world, monkeypatch):
    expected, _, files = filtered("fdf")
    assert expected["kept"] == 40
    assert expected["reasons"] == {first: 1 for _, (first, _) in SPOILT.values()}
    world.layout.mapping.unlink()
    shutil.rmtree(world.layout.exif)  # what the source needs not
    for workers in (1, 2):
        monkeypatch.setenv("PIPELINE_WORKERS", str(workers))
        counts, _, found = filtered("yfcc", out=f"faces{workers}")
        for name in ("faces.parquet", "pixels-00000.npy", "tags.csv"):
            assert found[name] == files[name]
        assert counts["reasons"] == {second: 1 for _, (_, second) in SPOILT.values()}
        assert counts["lines"] == 2 * len(SPOILT) + 2 * 20
        cause = {"count": 1, "first": "line 48", "cause": "no number and tab"}
        assert counts["wrong_lines"] == {"photo_line_broken": cause}


def test_a_plain_pack_and_a_face_without_a_number(world, capsys):
    pack = world.layout.pack
    pack.with_suffix("").write_bytes(bz2.decompress(pack.read_bytes()))
    pack.unlink()
    world.metainfo["100"]["photo_url"] = "http://www.flickr.com/photos/anna/"
    world.save()
    counts, _, _ = filtered("yfcc")
    assert counts["kept"] == 39 and counts["first"]["photo_id_missing"] == "100"
    assert "yfcc100m_exif: 48 lines, wrong: 1 x photo_line_broken (first: line 48: no number" in (
        capsys.readouterr().out
    )


def test_no_pack_is_an_error(world):
    world.layout.pack.unlink()
    with pytest.raises(PipelineError, match=r"yfcc100m_exif\.bz2: no such file, nor one without"):
        filtered("yfcc")


@pytest.mark.parametrize("source", ["fdf", "yfcc"])
def test_faces_under_other_licences_are_counted(world, source):
    counts, table, _ = filtered(source, licenses="[CC-BY, CC-BY-NC-SA]")
    assert counts["kept"] == 20 and counts["reasons"]["license_other"] == 22
    assert set(table["face_id"].astype(int) % 4) == {0, 3}
    assert counts["first"]["license_other"].endswith("/licenses/by-sa/2.0/")
