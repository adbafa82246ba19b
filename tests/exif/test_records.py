"""The authors' records, good, broken and hostile."""

import io
import json
import math
import os
import pickle
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.common.layout import Layout
from pipeline.common.tally import Tally
from pipeline.exif import records
from pipeline.exif.tags import Rejection
from tests.exif_world import FOUR

ENTRY = {
    "author": " Ansel ",
    "bounding_box": [0.25, 0.2, 0.75, 0.8],
    "landmark": [[0.1 * i, 0.05 * i] for i in range(7)],
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# ---- face list


@pytest.fixture
def layout(tmp_path):
    """A data root whose mapping knows the faces 7, 8 and 9."""
    found = Layout(tmp_path)
    found.metainfo.parent.mkdir(parents=True)
    write(found.mapping.with_suffix(".json"), {"7.png": "p7", "8.png": "p8", "9.png": "p7"})
    return found


def listed(layout, content, licenses=()):
    """The faces of a face list, and why others are rejected."""
    write(layout.metainfo, content)
    photo_ids, reasons = records.read_mapping(layout.mapping), Tally()
    faces = records.listed_faces(layout.metainfo, photo_ids, reasons, licenses)
    return list(faces), reasons.counts


def test_faces_come_in_order_with_their_numbers(layout):
    (first, second), reasons = listed(
        layout, {"8": ENTRY, "7": {**ENTRY, "author": None, "landmark": None}}
    )
    landmarks = tuple(x for i in range(7) for x in (0.1 * i, 0.05 * i))
    assert first == ("8", "p8", "Ansel", (0.25, 0.2, 0.75, 0.8), landmarks)
    assert second[:3] == ("7", "p7", "") and not reasons
    assert all(math.isnan(x) for x in second.landmarks) and len(second.landmarks) == 14


@pytest.mark.parametrize(
    "landmark", [[], [[0.1, 0.2]] * 6, "nose", [[0.1, None]] * 7, [[True, False]] * 7]
)
def test_unusable_landmarks_are_absent_not_fatal(layout, landmark):
    [face], _ = listed(layout, {"7": {**ENTRY, "landmark": landmark}})
    assert all(math.isnan(x) for x in face.landmarks)


@pytest.mark.parametrize("face_id", ["../../etc/passwd", "a/b", "a.b", "a\\b", "a\0", ""])
def test_face_ids_that_could_lead_elsewhere_are_refused(layout, face_id):
    assert listed(layout, {face_id: ENTRY}) == ([], {"face_id_unsafe": 1})


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (None, "box_missing"),
        ([], "box_not_four_numbers"),
        ([0.1, 0.1, "0.5", 0.5], "box_not_four_numbers"),
        ([0.1, 0.1, 1e9, 0.5], "box_not_four_numbers"),
        ({"x": 1}, "box_not_four_numbers"),
        ([0.5, 0.1, 0.5, 0.5], "box_outside_picture"),
        ([0.9, 0.1, 1.2, 0.5], "box_outside_picture"),
        ([-0.4, 0.1, 0.3, 0.5], "box_outside_picture"),
        ([0.5, 0.1, 0.500000001, 0.5], "box_outside_picture"),  # empty when it is kept
    ],
)
def test_unusable_boxes_have_a_reason_and_the_next_face_is_read(layout, box, reason):
    faces, reasons = listed(layout, {"7": {**ENTRY, "bounding_box": box}, "8": ENTRY})
    assert [face.face_id for face in faces] == ["8"] and reasons == {reason: 1}


def test_faces_without_a_photograph_of_their_own_are_counted(layout):
    write(layout.mapping, {"7": "p7", "8": "p7", "9": "../p9"})
    text = json.dumps({"7": ENTRY, "8": {**ENTRY, "author": "Weston"}, "9": ENTRY, "10": ENTRY})
    repeated = text[:-1] + f', "7": {json.dumps(ENTRY)}, "11": null}}'
    faces, reasons = listed(layout, repeated.encode())
    assert [face.face_id for face in faces] == ["7"]
    counted = "photo_of_two_authors photo_id_unsafe photo_id_missing face_repeated"
    assert reasons == dict.fromkeys([*counted.split(), "face_entry_not_an_object"], 1)


@pytest.mark.parametrize("content", [b'{"7": {"author": "a"', b"", b'{"7": NaN}', b"\xff\xfe"])
def test_a_broken_face_list_is_an_error(layout, content):
    with pytest.raises(PipelineError, match=r"metainfo\.json: broken JSON after 0 faces.*again"):
        listed(layout, content)


def test_a_missing_face_list_names_the_parameter(layout):
    with pytest.raises(PipelineError, match=r"no such file; set data\.root in params\.yaml"):
        list(records.listed_faces(layout.metainfo, {}, Tally()))


# ---- mapping


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_are_read(tmp_path, protocol):
    content = {str(i): (i * 10**8 if i % 2 else f"photo{i}") for i in range(700)}
    path = write(tmp_path / "m.pkl", pickle.dumps(content, protocol=protocol))
    assert records.read_mapping(path) == {key: str(value) for key, value in content.items()}


def test_json_and_csv_are_read(tmp_path):
    expected = {"100": "17", "101": "18"}
    assert (
        records.read_mapping(write(tmp_path / "m.json", {"100.png": "17", "101": 18})) == expected
    )
    assert (
        records.read_mapping(
            write(tmp_path / "m.csv", b"\xef\xbb\xbfimage,photo_id\r\n100.png,17\r\n101,18\r\n")
        )
        == expected
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", b"image,photo_id\n7,p7\n8,p8\n8,p8\n9,p9\n9,p10\n"),
        ("m.json", b'{"7": "p7", "8": "p8", "8": "p8", "9": "p9", "9": "p10"}'),
        ("m.pkl", pickle.dumps({"7": "p7", "8": "p8", "9": "p9", "9.png": "p10"}, protocol=2)),
    ],
)
def test_a_face_with_two_photo_ids_is_counted_not_guessed(layout, name, content):
    layout.mapping.unlink(missing_ok=True)
    write(layout.mapping.with_suffix(Path(name).suffix), content)
    faces, reasons = listed(layout, {"7": ENTRY, "8": ENTRY, "9": ENTRY})
    assert [face.photo_id for face in faces] == ["p7", "p8"]
    assert reasons == {"photo_id_ambiguous": 1}


def test_an_authors_name_is_the_same_in_every_unicode_form(layout):
    names = [unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD")]
    entries = {str(i): {**ENTRY, "author": name} for i, name in enumerate(names, start=7)}
    faces, _ = listed(layout, entries)
    assert [face.author for face in faces] == ["Jos\u00e9"] * 2


def test_a_record_that_says_two_things_of_a_tag_is_broken(tmp_path):
    twice = (
        b'{"EXIF": {"Focal Length": "%s mm", "Make": "a", "Make": "b", "Focal Length": "50 mm"}}'
    )
    path = write(tmp_path / "a.json", twice % b"50")
    assert records.read_exif(path, FOUR) == {"Focal Length": "50 mm", "Make": "b"}
    with pytest.raises(Rejection, match="photo_json_broken") as caught:
        records.read_exif(write(path, twice % b"35"), FOUR)
    assert caught.value.cause == "Focal Length stands there twice, with different values"


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["whole", "value", "key"])
def test_hostile_pickles_are_refused_and_not_executed(tmp_path, protocol, place):
    marker = tmp_path / "executed"
    bad = Hostile(str(marker))
    content = {"whole": bad, "value": {"a": "1", "b": bad}, "key": {bad: "1"}}[place]
    path = write(tmp_path / "m.pkl", pickle.dumps(content, protocol=protocol))
    with pytest.raises(PipelineError, match=r"m\.pkl: refused.*opcode"):
        records.read_mapping(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'echo hi'\ntR.",  # GLOBAL, REDUCE
        b"(S'echo hi'\nios\nsystem\n.",  # INST
        b"\x80\x02cbuiltins\neval\n.",  # a bare class or function
        b"\x80\x02}\x8c\x01a\x81.",  # NEWOBJ
        b"\x80\x02}}b.",  # BUILD
        b"\x80\x02\x82\x01.",  # EXT1
        b"P123\n.",  # PERSID
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame larger than the file
        b"\x80\x02}r\xff\xff\xff\x7f.",  # memo index that would reserve 16 GB
        b"\x80\x02}X\xff\xff\xff\x7fa.",  # text longer than the file
        b"\x80\x02.",
        b"",
        b"not a pickle",
    ],
)
def test_damaged_and_crafted_pickles_are_refused(tmp_path, content):
    with pytest.raises(PipelineError, match=r"m\.pkl: refused"):
        records.read_mapping(write(tmp_path / "m.pkl", content))


def test_the_unpickler_itself_finds_no_class(tmp_path):
    """The second wall, behind the opcodes."""
    for payload in (pickle.dumps(Hostile(str(tmp_path / "x"))), b"cos\nsystem\n."):
        with pytest.raises(pickle.UnpicklingError, match=r"it asks for \w+\.\w+"):
            records._DataUnpickler(io.BytesIO(payload)).load()
    assert not (tmp_path / "x").exists()


@pytest.mark.filterwarnings(
    "ignore:invalid escape sequence"
)  # pickletools, reading what it will then refuse
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda b: b"\x80\x04}(\x8c\x01a" + b))
def test_any_bytes_give_a_mapping_or_an_error(tmp_path_factory, content):
    path = write(tmp_path_factory.getbasetemp() / "fuzz.pkl", content)
    try:
        mapping = records.read_mapping(path)
    except PipelineError:
        return
    assert all(type(key) is str and type(value) is str for key, value in mapping.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["a"], "refused"),  # lists are not among the opcodes
        ("a", "holds a str"),
        ({"a": {"b": "c"}}, "str to dict"),
        ({1: "a"}, "int to str"),
        ({"a": True}, "refused"),
        ({"a": 2**63}, "str to int"),
        ({"a": 10**5000}, "str to int|refused"),
        ({"a": 1.5}, "refused"),
    ],
)
def test_pickles_of_other_data_are_refused(tmp_path, content, message):
    with pytest.raises(PipelineError, match=message):
        records.read_mapping(write(tmp_path / "m.pkl", pickle.dumps(content)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.json", b'["a"]', "holds a list"),
        ("m.json", b'{"a": [1]}', "str to list"),
        ("m.json", b'{"a": true}', "str to bool"),
        ("m.json", b'{"a": "b"', "refused"),
        ("m.json", b"[" * 100_000, "refused"),
        ("m.csv", b"", "header is None"),
        ("m.csv", b"photo,image\n1,2\n", "header"),
        ("m.csv", b"image,photo_id\n1,2\n3\n", "line 3 has 1 cells"),
    ],
)
def test_broken_json_and_csv_are_refused(tmp_path, name, content, message):
    with pytest.raises(PipelineError, match=message):
        records.read_mapping(write(tmp_path / name, content))


def test_a_missing_mapping_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match="nor one ending in"):
        records.read_mapping(tmp_path / "m.pkl")


# ---- EXIF records


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"EXIF": {"ISO Speed Ratings": "200"}}', {"ISO Speed Ratings": "200"}),
        (b'\xef\xbb\xbf{"EXIF": {"Make": "a"}}', {"Make": "a"}),
        (b'{"EXIF": {"Make": "\xff"}}', {"Make": "\ufffd"}),
        (b'{"EXIF": {}, "score": NaN}', {}),
    ],
)
def test_exif_records(tmp_path, content, expected):
    assert records.read_exif(write(tmp_path / "1.json", content), FOUR) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "photo_json_broken"),
        (b'{"EXIF": {"ISO', "photo_json_broken"),
        (b"[" * 10_000, "photo_json_broken"),
        (b"[]", "photo_json_not_an_object"),
        (b'"EXIF"', "photo_json_not_an_object"),
        (b"{}", "exif_missing"),
        (b'{"EXIF": null}', "exif_missing"),
        (b'{"EXIF": ["a"]}', "exif_not_an_object"),
        (b" " * (2**20 + 1), "photo_json_too_large"),
    ],
)
def test_unusable_exif_records_have_a_reason(tmp_path, content, reason):
    with pytest.raises(Rejection, match=f"^{reason}$"):
        records.read_exif(write(tmp_path / "1.json", content), FOUR)


def test_exif_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(Rejection, match="photo_json_missing"):
        records.read_exif(tmp_path / "2.json", FOUR)
    with pytest.raises(Rejection, match="photo_json_unreadable"):
        records.read_exif(tmp_path, FOUR)
