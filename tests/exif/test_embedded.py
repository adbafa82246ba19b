"""EXIF inside photographs, from directories that are written here byte by byte."""

import io
import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.exif import embedded
from pipeline.exif.tags import Rejection, parse_tags
from tests.exif_world import FOUR

SHORT, LONG, RATIONAL, SIGNED, ASCII = 3, 4, 5, 10, 2
CODES = {SHORT: "H", LONG: "I", RATIONAL: "II", SIGNED: "ii"}
ISO, F_NUMBER, TIME, FOCAL = 0x8827, 0x829D, 0x829A, 0x920A
AV, TV = 0x9202, 0x9201
GOOD = {
    ISO: (SHORT, [200]),
    F_NUMBER: (RATIONAL, [(28, 10)]),
    TIME: (RATIONAL, [(1, 60)]),
    FOCAL: (RATIONAL, [(500, 10)]),
}
TAGS = {"iso": 200.0, "f_number": 2.8, "exposure_time_s": 1 / 60, "focal_length_mm": 50.0}


def directory(entries, start, order):
    """A directory at `start` of a TIFF file, with its values behind it."""
    values, end = b"", start + 2 + 12 * len(entries) + 4
    text = struct.pack(order + "H", len(entries))
    for tag, (kind, content) in sorted(entries.items()):
        if kind == ASCII:
            data, count = content + b"\0", len(content) + 1
        else:
            flat = [n for one in content for n in (one if isinstance(one, tuple) else (one,))]
            data, count = struct.pack(order + CODES[kind][0] * len(flat), *flat), len(content)
        if len(data) > 4:
            place, values = end + len(values), values + data
            data = struct.pack(order + "I", place)
        text += struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
    return text + bytes(4) + values


def tiff(own, first=None, order="<"):
    """EXIF with these entries of its own directory and of the first one."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entries = {**(first or {}), 0x8769: (LONG, [0])}
    length = len(directory(entries, 8, order))
    entries[0x8769] = (LONG, [8 + length])
    return head + directory(entries, 8, order) + directory(own, 8 + length, order)


def photograph(exif, kind="JPEG"):
    buffer = io.BytesIO()
    image = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
    image.save(buffer, kind, exif=b"Exif\0\0" + exif)
    return buffer.getvalue()


def read(own, first=None, **how):
    """The four tags, or the reason why there are none."""
    try:
        return parse_tags(embedded.read_exif(photograph(tiff(own, first, **how)), FOUR), FOUR)[0]
    except Rejection as rejection:
        return rejection.reason


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_four_tags_are_read_from_every_format(order, kind):
    data = photograph(tiff(GOOD, order=order), kind)
    assert parse_tags(embedded.read_exif(data, FOUR), FOUR)[0] == pytest.approx(TAGS, rel=1e-12)


@given(
    st.fractions(Fraction(7, 10), 64, max_denominator=10**6),
    st.fractions(Fraction(1, 32000), 60, max_denominator=10**7),
    st.fractions(1, 2000, max_denominator=10**6),
    st.integers(6, 65534),
)
@settings(max_examples=30, deadline=None)
def test_quotients_are_exact(f_number, time, focal, iso):
    values = {F_NUMBER: f_number, TIME: time, FOCAL: focal}
    own = {tag: (RATIONAL, [(v.numerator, v.denominator)]) for tag, v in values.items()}
    found = read({**own, ISO: (SHORT, [iso])})
    assert list(found.values()) == [iso, float(f_number), float(time), float(focal)]


@pytest.mark.parametrize(
    ("tag", "entry", "expected"),
    [
        (F_NUMBER, (RATIONAL, [(28, 0)]), "f_number_zero_denominator"),
        (F_NUMBER, (RATIONAL, [(0, 0)]), "f_number_zero_denominator"),
        (F_NUMBER, (RATIONAL, [(0, 10)]), "f_number_zero"),
        (F_NUMBER, (SIGNED, [(-28, 10)]), "f_number_out_of_range"),
        (F_NUMBER, (RATIONAL, [(28, 10), (40, 10)]), "f_number_not_a_number"),
        (F_NUMBER, (SHORT, [4]), 4.0),
        (F_NUMBER, (ASCII, b"F2.8"), 2.8),
        (TIME, (RATIONAL, [(1, 0)]), "exposure_time_s_zero_denominator"),
        (TIME, (SIGNED, [(-1, 60)]), "exposure_time_s_out_of_range"),
        (TIME, (RATIONAL, [(2**32 - 1, 1)]), "exposure_time_s_out_of_range"),
        (TIME, (RATIONAL, [(10, 600)]), 1 / 60),
        (FOCAL, (RATIONAL, [(35, 0)]), "focal_length_mm_zero_denominator"),
        (FOCAL, (RATIONAL, [(0, 1)]), "focal_length_mm_zero"),
        (ISO, (SHORT, [0]), "iso_zero"),
        (ISO, (SHORT, [65535]), "iso_saturated"),
        (ISO, (SHORT, [200, 0]), 200.0),
        (ISO, (SHORT, [50, 50]), 50.0),
        (ISO, (SHORT, [50, 100]), "iso_ambiguous"),
        (ISO, (LONG, [102400]), 102400.0),
    ],
)
def test_values_are_refused_for_the_reasons_of_records(tag, entry, expected):
    found = read({**GOOD, tag: entry})
    names = {ISO: "iso", F_NUMBER: "f_number", TIME: "exposure_time_s", FOCAL: "focal_length_mm"}
    assert (found if isinstance(found, str) else found[names[tag]]) == expected


@pytest.mark.parametrize(
    ("wide", "expected"),
    [
        ({0x8832: 102400}, 102400.0),
        ({0x8831: 102400, 0x8832: 102400, 0x8833: 0}, 102400.0),
        ({0x8831: 102400, 0x8833: 204800}, "iso_ambiguous"),
        ({0x8831: 0}, "iso_saturated"),
    ],
)
def test_a_full_iso_is_read_where_there_is_room(wide, expected):
    entries = {tag: (LONG, [value]) for tag, value in wide.items()}
    found = read({**GOOD, ISO: (SHORT, [65535]), **entries})
    assert (found if isinstance(found, str) else found["iso"]) == expected
    assert read({**GOOD, **entries})["iso"] == 200, "only where it is full"


def test_tags_in_the_first_directory_are_read_where_their_own_has_none():
    without = {tag: entry for tag, entry in GOOD.items() if tag != ISO}
    assert read(without, {ISO: (SHORT, [400])})["iso"] == 400
    assert read(GOOD, {ISO: (SHORT, [400])})["iso"] == 200


@pytest.mark.parametrize(
    ("tag", "apex", "form", "name", "expected"),
    [
        (F_NUMBER, AV, (RATIONAL, [(3, 1)]), "f_number", math.sqrt(8)),
        (TIME, TV, (SIGNED, [(6, 1)]), "exposure_time_s", 1 / 64),
        (TIME, TV, (SIGNED, [(-3, 1)]), "exposure_time_s", 8.0),
    ],
)
def test_apex_stands_in_for_what_is_absent(tag, apex, form, name, expected):
    absent = {key: entry for key, entry in GOOD.items() if key != tag}
    assert read({**absent, apex: form})[name] == pytest.approx(expected)
    kind, ((numerator, _),) = form
    assert read({**absent, apex: (kind, [(numerator, 0)])}) == f"{name}_missing"
    assert read({**absent, apex: (kind, [(2**31 - 1, 1)])}).startswith(name)


@pytest.mark.parametrize(
    ("apex", "exact", "name"),
    [(AV, 2 * math.log2(2.8), "f_number"), (TV, math.log2(60), "exposure_time_s")],
)
@pytest.mark.parametrize(("off", "refused"), [(0.32, False), (-0.32, False), (0.35, True)])
def test_a_value_that_disagrees_with_its_apex_form_is_refused(apex, exact, name, off, refused):
    found = read({**GOOD, apex: (SIGNED, [(round(1e6 * (exact + off)), 10**6)])})
    assert found == (f"{name}_ambiguous" if refused else pytest.approx(TAGS))


def test_an_apex_form_without_a_number_says_nothing():
    assert read({**GOOD, AV: (RATIONAL, [(0, 0)])}) == pytest.approx(TAGS)


def test_without_exif_or_with_broken_one():
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "JPEG")
    for data, reason in [
        (plain.getvalue(), "exif_missing"),
        (b"", "exif_missing"),
        (photograph(b"no directory"), "exif_broken"),
    ]:
        with pytest.raises(Rejection) as caught:
            embedded.read_exif(data, FOUR)
        assert caught.value.reason == reason


@given(st.binary(max_size=40), st.integers(0, 400))
@example(b"\xff" * 8, 4)
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_are_rejected_or_read_and_raise_nothing_else(noise, place):
    exif = tiff(GOOD, {ISO: (SHORT, [400])})
    damaged = exif[:place] + noise + exif[place + len(noise) :]
    for data in (photograph(damaged), photograph(exif)[: place + 20]):
        try:
            parse_tags(embedded.read_exif(data, FOUR), FOUR)
        except Rejection as rejection:
            assert rejection.reason.isascii()
