"""The tag parsers against a table of strings from real files, and exact rational arithmetic as
oracle.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.common import names
from pipeline.exif import tags as exif

BOUNDS = {
    "iso": (6.0, 409600.0),
    "f_number": (0.7, 64.0),
    "exposure_time_s": (1 / 32000, 60.0),
    "focal_length_mm": (1.0, 2000.0),
}
GOOD = {
    "ISO Speed Ratings": "200",
    "Aperture Value": "F2.8",
    "Exposure Time": "1/60sec",
    "Focal Length": "50.0 mm",
}

GOOD_TAGS = {"iso": 200.0, "f_number": 2.8, "exposure_time_s": 1 / 60, "focal_length_mm": 50.0}

VALID = [
    ("iso", "200", 200.0),
    ("iso", "200, 200", 200.0),
    ("iso", "200 0", 200.0),
    ("iso", "0, 125", 125.0),
    ("iso", " 64 ", 64.0),
    ("iso", "200\0\0\0", 200.0),
    ("iso", "400/1", 400.0),
    ("iso", 800, 800.0),
    ("iso", 800.0, 800.0),
    ("iso", "102400", 102400.0),
    ("f_number", "F2.8", 2.8),
    ("f_number", "f/2.8", 2.8),
    ("f_number", "F/2.8", 2.8),
    ("f_number", "f 2.8", 2.8),
    ("f_number", "\u01922.8", 2.8),
    ("f_number", "2.8", 2.8),
    ("f_number", "2,8", 2.8),
    ("f_number", "F28/10", 2.8),
    ("f_number", "F2.8\0garbage", 2.8),
    ("f_number", 2.8, 2.8),
    ("f_number", "F14", 14.0),
    ("exposure_time_s", "1/60sec", 1 / 60),
    ("exposure_time_s", "1/60 sec", 1 / 60),
    ("exposure_time_s", "1/60", 1 / 60),
    ("exposure_time_s", "10/600", 1 / 60),
    ("exposure_time_s", "0.5sec", 0.5),
    ("exposure_time_s", "0,5 sec", 0.5),
    ("exposure_time_s", "2sec", 2.0),
    ("exposure_time_s", "2", 2.0),
    ("exposure_time_s", "3/500 sec", 0.006),
    ("exposure_time_s", "11/500sec", 0.022),
    ("exposure_time_s", "21/1000 s", 0.021),
    ("exposure_time_s", "1/60 Seconds", 1 / 60),
    ("exposure_time_s", "1e-3 sec", 0.001),
    ("exposure_time_s", 0.01, 0.01),
    ("exposure_time_s", 30, 30.0),
    ("focal_length_mm", "50.0 mm", 50.0),
    ("focal_length_mm", "50mm", 50.0),
    ("focal_length_mm", "50,5 mm", 50.5),
    ("focal_length_mm", "500/10", 50.0),
    ("focal_length_mm", "5.", 5.0),
    ("focal_length_mm", 4.2, 4.2),
]

REFUSED = [
    ("iso", "65535", "saturated"),
    ("iso", 65535, "saturated"),
    ("iso", "65535, 0", "saturated"),
    ("iso", "50, 100", "ambiguous"),
    ("iso", "1,600", "ambiguous"),
    ("iso", "0", "zero"),
    ("iso", "0 0", "zero"),
    ("iso", 0, "zero"),
    ("iso", "5", "out_of_range"),
    ("iso", "-200", "out_of_range"),
    ("iso", "500000", "out_of_range"),
    ("iso", "\u0662\u0660\u0660", "not_a_number"),
    ("iso", "200, Unknown", "not_a_number"),
    ("iso", "0x40", "not_a_number"),
    ("f_number", "F", "empty"),
    ("f_number", "f/", "empty"),
    ("f_number", "F1/0", "zero_denominator"),
    ("f_number", "F0", "zero"),
    ("f_number", "F29532", "out_of_range"),
    ("f_number", "F0.64", "out_of_range"),
    ("f_number", "Finf", "not_finite"),
    ("exposure_time_s", "1/0", "zero_denominator"),
    ("exposure_time_s", "0/0", "zero_denominator"),
    ("exposure_time_s", "0/60sec", "zero"),
    ("exposure_time_s", "1/1/60", "not_a_number"),
    ("exposure_time_s", "1e999", "not_finite"),
    ("exposure_time_s", "61sec", "out_of_range"),
    ("exposure_time_s", "1/100000", "out_of_range"),
    ("exposure_time_s", "__import__('os')", "not_a_number"),
    ("exposure_time_s", "sec", "empty"),
    ("focal_length_mm", "0.0 mm", "zero"),
    ("focal_length_mm", "18-55 mm", "not_a_number"),
    ("focal_length_mm", "2001 mm", "out_of_range"),
    ("focal_length_mm", "0.9 mm", "out_of_range"),
]
FOR_EVERY_TAG = [
    ("Unknown", "not_a_number"),
    ("undef", "not_a_number"),
    ("NaN", "not_finite"),
    ("inf", "not_finite"),
    ("-Infinity", "not_finite"),
    (math.nan, "not_finite"),
    (math.inf, "not_finite"),
    (10**400, "not_finite"),
    ("", "empty"),
    ("   ", "empty"),
    ("\0\0", "empty"),
    (None, "missing"),
    (True, "wrong_type"),
    ([200], "wrong_type"),
    ({"value": 200}, "wrong_type"),
    (b"200", "wrong_type"),
    ("0", "zero"),
    ("0.0", "zero"),
    ("1/0", "zero_denominator"),
    ("." * 1000, "not_a_number"),
]


def parse(tag, value):
    return exif.parse_tags({**GOOD, exif.KEYS[tag]: value}, BOUNDS)


@pytest.mark.parametrize(("tag", "value", "expected"), VALID)
def test_valid(tag, value, expected):
    tags, reason = parse(tag, value)
    assert reason is None
    assert tags is not None and list(tags) == list(names.TAGS)
    assert tags[tag] == expected


@pytest.mark.parametrize(
    ("tag", "value", "what"),
    REFUSED
    + [(tag, value, what) for tag, (value, what) in itertools.product(names.TAGS, FOR_EVERY_TAG)],
)
def test_refused(tag, value, what):
    assert parse(tag, value) == (None, f"{tag}_{what}")
    assert what in exif.WHATS


def test_what_equals_a_remembered_value_is_not_taken_for_it():
    """1 == 1.0 == True; and one tag's text may be another's."""
    outcomes = [parse("exposure_time_s", value)[1] for value in ("1", 1, True, 1.0, "1")]
    assert outcomes == [None, None, "exposure_time_s_wrong_type", None, None]
    assert [parse(tag, "50.0 mm")[1] for tag in ("focal_length_mm", "iso")] == [
        None,
        "iso_not_a_number",
    ]


def test_remembering_changes_no_outcome_and_keeps_no_long_text():
    for tag, value, _ in VALID + REFUSED:
        assert parse(tag, value) == parse(tag, value)
    before = exif._remember.cache_info().currsize
    assert parse("iso", " " * exif.LONGEST_REMEMBERED + "200") == (GOOD_TAGS, None)
    assert exif._remember.cache_info().currsize == before


@pytest.mark.parametrize("tag", names.TAGS)
def test_missing_key(tag):
    record = {key: value for key, value in GOOD.items() if key != exif.KEYS[tag]}
    assert exif.parse_tags(record, BOUNDS) == (None, f"{tag}_missing")


def test_reasons_come_in_the_order_of_the_tags():
    assert exif.parse_tags({}, BOUNDS) == (None, "iso_missing")
    assert exif.parse_tags({**GOOD, "Aperture Value": "F", "Focal Length": "0"}, BOUNDS) == (
        None,
        "f_number_empty",
    )


@pytest.mark.parametrize("tag", names.TAGS)
def test_bounds_include_their_ends(tag):
    for end in BOUNDS[tag]:
        tags, _ = parse(tag, repr(end))
        assert tags is not None and tags[tag] == end
        outside = math.nextafter(end, 0 if end == BOUNDS[tag][0] else math.inf)
        assert parse(tag, repr(outside)) == (None, f"{tag}_out_of_range")


def test_the_same_setting_is_the_same_number():
    """1/60, 10/600 and 1/60sec must tie: the authors' parser made 60, 0.0167 and 60 of them."""
    spellings = ["1/60", "10/600", "1/60sec", "1/60 sec", "0.5/30 s"]
    assert {exif.parse_exposure_time(text) for text in spellings} == {1 / 60}


@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(["", "sec", " sec", " s", "\0"])
)
def test_quotients_agree_with_exact_fractions(numerator, denominator, unit):
    assert exif.parse_exposure_time(f"{numerator}/{denominator}{unit}") == float(
        Fraction(numerator, denominator)
    )


@given(st.floats(1e-6, 1e6))
def test_numbers_survive_printing(value):
    for parser, text in [
        (exif.parse_f_number, f"F{value!r}"),
        (exif.parse_exposure_time, f"{value!r}sec"),
        (exif.parse_focal_length, f"{value!r} mm"),
        (exif.parse_focal_length, repr(value).replace(".", ",")),
    ]:
        assert parser(text) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(names.TAGS), JSON | st.text("0123456789./,-+eEfFinaNsecm \0", max_size=12))
@example("iso", "0.,0")
@example("iso", ",")
def test_any_json_value_gives_a_plausible_number_or_a_known_reason(tag, value):
    tags, reason = parse(tag, value)
    if tags is None:
        assert reason is not None and reason.removeprefix(f"{tag}_") in exif.WHATS
    else:
        assert BOUNDS[tag][0] <= tags[tag] <= BOUNDS[tag][1]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=12))
def test_tie_rate_agrees_with_counting_pairs(values):
    pairs = list(itertools.combinations(values, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
    assert exif.tie_rate(np.array(values)) == pytest.approx(expected)


def test_histogram_bins_are_the_steps_of_the_dial():
    edges, counts = exif.histogram(np.array([100.0, 125.0, 160.0, 200.0, 200.0, 400.0]))
    centres = np.sqrt(edges[:-1] * edges[1:])
    assert counts.tolist() == [1, 1, 1, 2, 0, 0, 1]
    assert centres[0] == pytest.approx(100, rel=0.03) and centres[3] == pytest.approx(200, rel=0.03)


@given(st.lists(st.floats(1e-6, 1e6), max_size=50), st.integers(1, 120))
def test_histogram_counts_every_value_within_its_edges(values, maximum_bins):
    array = np.array(values)
    edges, counts = exif.histogram(array, maximum_bins=maximum_bins)
    assert len(edges) == len(counts) + 1 and len(counts) <= maximum_bins
    assert counts.sum() == len(values)
    if values:
        assert (np.diff(edges) > 0).all()
        assert edges[0] <= array.min() * (1 + 1e-12) and array.max() <= edges[-1] * (1 + 1e-12)
