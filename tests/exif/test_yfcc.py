"""YFCC100M's EXIF pack: good, broken and hostile lines."""

import bz2
import json
import sys
import tracemalloc
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.exif import yfcc
from pipeline.exif.records import AMBIGUOUS
from pipeline.exif.tags import KNOWN, Rejection

TAGS = tuple(key for key, *_ in KNOWN.values())
SHOT = "Exif+SubIFD."


def read(path, content, ids=("1",), tags=TAGS):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return yfcc.read_pack(path, ids, tags)


@pytest.fixture
def pack(tmp_path):
    return tmp_path / "pack"


# ---- photo ids


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("http://www.flickr.com/photos/12345678@N00/5000000001/", "5000000001"),
        ("https://www.flickr.com/photos/77/5000000001", "5000000001"),
        (" http://www.flickr.com/photos/anna/12/in/photostream/?a=34#5 ", "12"),
        ("http://farm3.staticflickr.com/2007/2163986018_9a5c.jpg", "2163986018"),
        ("http://farm3.staticflickr.com/2007/2163986018.jpg", "2163986018"),
        ("http://www.flickr.com/photos/anna/", ""),
        ("http://www.flickr.com/photos/anna/first/12/", ""),
        ("someone/pictures@151df64d:samples/in/group-1.jpg", ""),
        ("", ""),
    ],
)
def test_a_photograph_has_its_number_from_its_address(url, number):
    assert yfcc.photo_number(url) == number


def test_photo_ids_are_those_of_the_face_list(tmp_path):
    page = "http://www.flickr.com/photos/a/{}/".format
    faces = {"7": page(1), "8": page(2), "9": page(2), "10": 3, "11": "none", "12": None}
    path = tmp_path / "metainfo.json"
    text = json.dumps({face_id: {"photo_url": url} for face_id, url in faces.items()})
    twice = f', "8": {{"photo_url": "{page(2)}"}}, "9": {{"photo_url": "{page(3)}"}}, "13": []}}'
    path.write_text(text[:-1] + twice)
    assert yfcc.read_photo_ids(path) == {"7": "1", "8": "2", "9": AMBIGUOUS}


# ---- lines


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(TAGS), st.text(max_size=12)),
    st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1), st.text()), max_size=5),
    st.randoms(use_true_random=False),
)
def test_what_was_encoded_is_read(tmp_path_factory, values, others, random):
    """Other categories' values, commas, colons and points in the texts do not matter."""
    items = [("Exif SubIFD", tag, value) for tag, value in values.items()]
    items += [("Exif Thumbnail", tag, "thumbnail") for tag in TAGS]
    items += [(f"{category} Makernote".replace(".", " "), *rest) for category, *rest in others]
    random.shuffle(items)
    line = ",".join(f"{quote_plus(c)}.{quote_plus(t)}:{quote_plus(v)}" for c, t, v in items)
    path = tmp_path_factory.getbasetemp() / "pack_of_any_texts"
    found = read(path, f"0\t\n1\t{line}\n2\t{SHOT}x:y\n")
    assert found == ({b"1": values}, 3, {})


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("Exif+IFD0.Focal+Length:7+mm", "7 mm"),
        (f"Exif+IFD0.Focal+Length:7+mm,{SHOT}Focal+Length:50.0+mm", "50.0 mm"),
        (f"{SHOT}Focal+Length:50.0+mm,Exif+IFD0.Focal+Length:7+mm", "50.0 mm"),
        (f"{SHOT}Focal+Length:50.0+mm,{SHOT}Focal%20Length:50%2e0%20mm", "50.0 mm"),
        (f"{SHOT}Focal+Length:%zz%ff", "%zz\ufffd"),
        (f"{SHOT}Focal+Length:1%3A2:3", "1:2:3"),
        (f"{SHOT}Focal+Length:", ""),
    ],
)
def test_a_tag_is_of_the_shot_before_that_of_the_file(pack, items, expected):
    found = read(pack, f"1\t{items}\r\n")
    assert yfcc.exif_of(found.record("1")) == {"Focal Length": expected} and not found.wrong


@pytest.mark.parametrize(
    ("line", "reason", "cause"),
    [
        ("1", "photo_line_broken", "no tab"),
        (f"1\t{SHOT}Focal+Length:1,200+mm", "photo_line_broken", "item '200+mm'"),
        ("1\tFocal+Length:50.0+mm", "photo_line_broken", "item 'Focal+Length:50.0+mm'"),
        (f"1\t{SHOT}Make:a,", "photo_line_broken", "item ''"),
        (f"1\t{SHOT}:a", "photo_line_broken", f"item '{SHOT}:a'"),
        (f"1\t{SHOT}Make:{'a' * 2**20}", "photo_line_broken", "more than 1,048,576 bytes"),
        (f"1\t{SHOT}Make:{'a' * 2**23}", "photo_line_broken", "more than 1,048,576 bytes"),
        (
            f"1\t{SHOT}Focal+Length:50+mm,{SHOT}Focal+Length:35+mm",
            *("photo_line_ambiguous", "Focal Length has two values"),
        ),
        (
            f"1\t{SHOT}Focal+Length:50+mm\n1\t{SHOT}Focal+Length:35+mm",
            *("photo_line_ambiguous", "another line of this photograph differs"),
        ),
    ],
)
def test_a_wrong_line_is_counted_and_no_face_uses_it(pack, line, reason, cause):
    found = read(pack, f"{line}\n2\t{SHOT}Focal+Length:50+mm\n", ids=("1", "2"))
    first = f"line {found.number - 1}"
    assert found.wrong == {reason: {"count": 1, "first": first, "cause": cause}}
    assert found.record("2") == {"Focal Length": "50 mm"}
    with pytest.raises(Rejection, match=f"^{reason}$"):
        yfcc.exif_of(found.record("1"))


def test_wrong_lines_of_other_photographs_are_counted_by_their_beginning(pack):
    found = read(pack, "9\tbroken\n9\n\nx\t\n1\t\n")
    assert found.wrong.counts == {"photo_line_broken": 3} and found.number == 5
    assert found.wrong.firsts == {"photo_line_broken": "line 2: no number and tab"}


def test_a_photograph_without_exif_or_without_a_line_has_its_reason(pack):
    found = read(pack, f"1\t\n1\t\r\n3\t{SHOT}Make:a\n", ids=("1", "2", "3"))
    for photo_id, reason in (("1", "exif_missing"), ("2", "photo_line_missing")):
        with pytest.raises(Rejection, match=f"^{reason}$"):
            yfcc.exif_of(found.record(photo_id))
    assert yfcc.exif_of(found.record("3")) == {} and not found.wrong


# ---- files


@pytest.mark.parametrize("library", ["rapidgzip", "bz2"])
@pytest.mark.parametrize("streams", [0, 1, 3])
def test_plain_and_compressed_packs_say_the_same(pack, monkeypatch, library, streams):
    if library == "rapidgzip":
        pytest.importorskip("rapidgzip")
    else:
        monkeypatch.setitem(sys.modules, "rapidgzip", None)
    monkeypatch.setattr(yfcc, "BLOCK", 1000)
    lines = [f"{i}\t{SHOT}Focal+Length:{i}+mm,{SHOT}Make:{'a' * (i % 97)}\n" for i in range(999)]
    parts = [lines[i::streams] for i in range(streams)]
    content = b"".join(bz2.compress("".join(part).encode()) for part in parts)
    found = read(pack, content or "".join(lines)[:-1], ids=["1", "500", "998"])
    assert found.number == 999 and not found.wrong
    assert found.records == {str(i).encode(): {"Focal Length": f"{i} mm"} for i in (1, 500, 998)}


@pytest.mark.parametrize("library", ["rapidgzip", "bz2"])
@pytest.mark.parametrize(
    "broken", [lambda c: c[:-9], lambda c: c[:20] + b"x" + c[21:], lambda c: c[:4]]
)
def test_a_broken_pack_is_an_error(pack, monkeypatch, library, broken):
    if library == "rapidgzip":
        pytest.importorskip("rapidgzip")
    else:
        monkeypatch.setitem(sys.modules, "rapidgzip", None)
    content = broken(bz2.compress(b"1\t\n2\t\n" * 99))
    with pytest.raises(PipelineError, match=r"pack: (broken \(|holds no line)"):
        read(pack, content)


def test_no_pack_is_an_error(pack):
    with pytest.raises(PipelineError, match=r"pack: no such file.*EXIF expansion pack"):
        yfcc.read_pack(pack, [], TAGS)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_memory_does_not_grow_with_the_pack(pack, monkeypatch, end):
    """Nor with a line: the second pack is a single one."""
    monkeypatch.setattr(yfcc, "BLOCK", 2**16)
    monkeypatch.setattr(yfcc, "MAXIMUM_ITEMS", 2**16)
    pack.write_bytes((b"2\t" + b"a" * 2**10 + end) * 2**13)
    tracemalloc.start()
    yfcc.read_pack(pack, ["1"], TAGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < pack.stat().st_size / 8
