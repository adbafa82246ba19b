"""Readable, doubled and shared pictures against hashlib and small sets made by hand."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.face_sets import inspection
from pipeline.face_sets.face_list import ListedFace
from pipeline.face_sets.inspection import Inspected


def test_pictures_are_decoded_and_hashed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "good.png")
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:400])
    (tmp_path / "text.png").write_bytes(b"text")
    names = ["good.png", "cut.png", "text.png", "absent.png"]
    good, *bad = inspection.inspect(names, tmp_path)
    assert good[:3] == ("good.png", hashlib.sha256(content).hexdigest(), "")
    assert good.look == hashlib.sha256(b"(16, 16, 3)" + noise.tobytes()).hexdigest()
    assert [row.reason for row in bad] == ["truncated", "not_a_picture", "missing"]
    assert [row.name for row in bad] == names[1:] and {row.sha256 for row in bad} == {""}
    assert "truncated" in bad[0].cause and bad[2].cause == ""


def test_a_missing_name_that_is_there_in_another_form_says_so(tmp_path):
    """As copied from a Mac (NFD), or from where capitals do not count."""
    for name in ("Jose\u0301.png", "ANN.PNG"):
        (tmp_path / name).touch()
    rows = inspection.inspect(["Jos\u00e9.png", "ann.png", "other.png"], tmp_path)
    assert [row.reason for row in rows] == ["missing"] * 3
    assert [row.cause for row in rows] == [
        r"there is 'Jose\u0301.png', the list has 'Jos\xe9.png'",
        "there is 'ANN.PNG', the list has 'ann.png'",
        "",
    ]


ROWS = [
    Inspected("d/1_a.png", "x", ""),
    Inspected("d/1_b.png", "", "missing"),
    Inspected("d/2_a.png", "x", ""),
    Inspected("d/3_a.png", "y", ""),
    Inspected("d/3_b.png", "", "missing"),
]


def test_of_equal_pictures_the_first_is_kept_and_the_others_are_counted():
    faces, left_out = inspection.usable(ROWS, "^(.)_")
    assert faces == [("d/1_a.png", "1", "x"), ("d/3_a.png", "3", "y")]
    assert left_out == {
        "missing": {"count": 2, "first": "d/1_b.png"},
        "doubled": {"count": 1, "first": "d/2_a.png"},
    }


def test_pictures_that_look_the_same_are_doubled_whatever_their_files_say(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    noise.save(tmp_path / "a.png")
    noise.save(tmp_path / "b.png", exif=exif)
    noise.save(tmp_path / "c.webp", lossless=True)
    noise.rotate(180).save(tmp_path / "d.png")
    inspected = inspection.inspect(["a.png", "b.png", "c.webp", "d.png"], tmp_path)
    faces, left_out = inspection.usable(inspected, None)
    assert [face.name for face in faces] == ["a.png", "d.png"]
    assert left_out == {"doubled": {"count": 2, "first": "b.png"}}


def test_a_set_of_the_same_list_doubles_too():
    seen = set[str]()
    inspection.usable(ROWS[:1], None, seen)
    faces, left_out = inspection.usable(ROWS[2:4], None, seen)
    assert [face.name for face in faces] == ["d/3_a.png"]
    assert left_out == {"doubled": {"count": 1, "first": "d/2_a.png"}}


def test_transparent_pictures_are_counted(tmp_path):
    shades = np.full((4, 4, 4), 255, np.uint8)
    Image.fromarray(shades).save(tmp_path / "opaque.png")
    shades[0, 0, 3] = 0
    Image.fromarray(shades).save(tmp_path / "cut.png")
    rows = inspection.inspect(["opaque.png", "cut.png"], tmp_path)
    [warning] = inspection.warn_of_transparency("sdxl", rows)
    assert warning.startswith("sdxl: 1 of 2 pictures are transparent in places (first: cut.png)")
    assert inspection.warn_of_transparency("sdxl", rows[:1]) == []


def test_every_generated_face_is_a_person_of_its_own():
    faces, _ = inspection.usable(ROWS, None)
    assert [face.person for face in faces] == ["d/1_a.png", "d/3_a.png"]


def test_more_unreadable_pictures_than_allowed_are_an_error():
    inspection.check_readable("test.txt", ROWS, 0.4)
    with pytest.raises(PipelineError, match=r"test\.txt: 2 of 5 .*2 x missing \(first: d/1_b\.png"):
        inspection.check_readable("test.txt", ROWS, 0.39)


def sets(**changed):
    """Four sets of one face each, all different."""
    names = ("photographic_fit", "photographic_calibration", "photographic_test", "sdxl", "flux")
    return {name: [changed.get(name, ListedFace(f"{name}.png", name, name))] for name in names}


def test_different_pictures_of_different_persons_pass():
    assert inspection.check_shared(sets()) == inspection.check_persons(sets()) == []


@pytest.mark.parametrize(
    ("changed", "other"),
    [
        ("photographic_calibration", "photographic_fit"),
        ("photographic_test", "photographic_calibration"),
        ("photographic_test", "photographic_fit"),
        ("flux", "photographic_test"),
    ],
)
def test_a_picture_of_two_sets_is_refused_with_both_names(changed, other):
    twin = {changed: ListedFace("twin.png", "somebody", other)}
    message = rf"{other}\.png \({other}\) and twin\.png \({changed}\)$"
    with pytest.raises(PipelineError, match=message):
        inspection.check_shared(sets(**twin))


def test_pictures_that_look_the_same_are_shared():
    twin = sets(flux=ListedFace("twin.png", "somebody", "other file"))
    looks = {"photographic_test": "look", "other file": "look"}
    with pytest.raises(PipelineError, match=r"twin\.png \(flux\)$"):
        inspection.check_shared(twin, looks)


def test_every_photograph_is_compared_with_every_generated_file(tmp_path):
    for name, content in {"p": b"one", "q": b"two", "g": b"six", "h": b"two", "i": b"four"}.items():
        (tmp_path / name).write_bytes(content)
    photographs = {"train.txt": ["p", "missing", "q"]}
    inspection.check_classes(photographs, {"sdxl": ["g", "i", "absent"]}, tmp_path)
    with pytest.raises(PipelineError, match=r": q \(train\.txt\) and h \(flux\)$"):
        inspection.check_classes(photographs, {"sdxl": ["g"], "flux": ["h"]}, tmp_path)


def test_many_shared_pictures_are_counted():
    faces = [ListedFace(f"{i}.png", str(i), str(i)) for i in range(14)]
    many = {"photographic_fit": faces, "sdxl": [face._replace(name="b.png") for face in faces]}
    with pytest.raises(PipelineError, match=r", and 4 more$"):
        inspection.check_shared(many)


def test_a_picture_of_two_generators_is_a_warning():
    twin = sets(flux=ListedFace("twin.png", "somebody", "sdxl"))
    [warning] = inspection.check_shared(twin)
    assert warning.endswith("the same: 1 (first: sdxl.png (sdxl) and twin.png (flux))")


@pytest.mark.parametrize("known", ["photographic_fit", "photographic_calibration"])
def test_a_person_of_both_lists_is_a_warning(known):
    met = sets(photographic_test=ListedFace("a.png", known, "a"))
    [warning] = inspection.check_persons(met)
    assert f"to test: 1 (first: {known})" in warning
