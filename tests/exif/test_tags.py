"""Tag parsers against a table of texts from real files, and exact fractions as oracle."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.common import names
from pipeline.exif import tags
from tests.exif_world import BOUNDS, BRIGHTNESS, EQUIVALENT, FOUR, wanted

GOOD = {
    "ISO Speed Ratings": "200",
    "Aperture Value": "F2.8",
    "Exposure Time": "1/60sec",
    "Focal Length": "50.0 mm",
}

GOOD_TAGS = {"iso": 200.0, "f_number": 2.8, "exposure_time_s": 1 / 60, "focal_length_mm": 50.0}

VALID = [  # tag, its number, the values that mean it
    ("iso", 200.0, ["200", "200, 200", "200 0", "0, 200", " 200 ", "200\0\0\0", "200/1", 200]),
    ("iso", 102400.0, ["102400", 102400.0]),
    ("f_number", 2.8, ["F2.8", "f/2.8", "F/2.8", "f 2.8", "\u01922.8", "2.8", "2,8", "F28/10"]),
    ("f_number", 2.8, ["F2.8\0garbage", 2.8]),
    ("f_number", 14.0, ["F14", 14]),
    ("exposure_time_s", 1 / 60, ["1/60sec", "1/60 sec", "1/60", "10/600", "1/60 Seconds"]),
    ("exposure_time_s", 0.5, ["0.5sec", "0,5 sec", "1/2 s", 0.5]),
    ("exposure_time_s", 2.0, ["2sec", "2", 2]),
    ("exposure_time_s", 0.006, ["3/500 sec", "6e-3 sec"]),
    ("exposure_time_s", 0.022, ["11/500sec"]),
    ("exposure_time_s", 0.021, ["21/1000 s"]),
    ("focal_length_mm", 50.0, ["50.0 mm", "50mm", "500/10", "50.", 50]),
    ("focal_length_mm", 50.5, ["50,5 mm"]),
]
REFUSED = [  # tag, reason, values
    ("iso", "saturated", ["65535", 65535, "65535, 0"]),
    ("iso", "ambiguous", ["50, 100", "1,600"]),
    ("focal_length_mm", "ambiguous", ["1,200 mm", "+1,200"]),
    ("exposure_time_s", "ambiguous", ["1,500"]),
    ("iso", "zero", ["0 0", 0]),
    ("iso", "out_of_range", ["5", "-200", "500000"]),
    ("iso", "not_a_number", ["\u0662\u0660\u0660", "200, Unknown", "0x40"]),
    ("f_number", "empty", ["F", "f/"]),
    ("f_number", "zero_denominator", ["F1/0"]),
    ("f_number", "zero", ["F0"]),
    ("f_number", "out_of_range", ["F29532", "F0.64"]),
    ("f_number", "not_finite", ["Finf"]),
    ("exposure_time_s", "zero_denominator", ["1/0", "0/0"]),
    ("exposure_time_s", "zero", ["0/60sec"]),
    ("exposure_time_s", "not_a_number", ["1/1/60", "__import__('os')"]),
    ("exposure_time_s", "not_finite", ["1e999"]),
    ("exposure_time_s", "out_of_range", ["61sec", "1/100000"]),
    ("exposure_time_s", "empty", ["sec"]),
    ("focal_length_mm", "zero", ["0.0 mm"]),
    ("focal_length_mm", "not_a_number", ["18-55 mm"]),
    ("focal_length_mm", "out_of_range", ["2001 mm", "0.9 mm"]),
]
REFUSED_FOR_EVERY_TAG = [
    # The last within a second, though it is long
    ("not_a_number", ["Unknown", "undef", "." * 1000, "1" + " " * 300_000 + "x"]),
    ("not_finite", ["NaN", "inf", "-Infinity", math.nan, math.inf, 10**400]),
    ("empty", ["", "   ", "\0\0"]),
    ("missing", [None]),
    ("wrong_type", [True, [200], {"value": 200}, b"200"]),
    ("zero", ["0", "0.0"]),
    ("zero_denominator", ["1/0"]),
]


def parse(tag, value):
    """The number of a tag beside three good ones, or the reason why it is refused."""
    try:
        return tags.parse_tags({**GOOD, tags.KNOWN[tag][0]: value}, FOUR)[0][tag]
    except tags.Rejection as rejection:
        return rejection.reason


@pytest.mark.parametrize(("tag", "number", "values"), VALID)
def test_every_spelling_of_a_setting_is_the_same_number(tag, number, values):
    """1/60, 10/600 and 1/60sec must tie: the authors' parser made 60, 0.0167 and 60 of them."""
    assert [parse(tag, value) for value in values] == [number] * len(values)


@pytest.mark.parametrize(
    ("tag", "reason", "values"),
    REFUSED + [(tag, *row) for tag, row in itertools.product(names.TAGS, REFUSED_FOR_EVERY_TAG)],
)
def test_what_is_no_plausible_number_is_refused_with_its_reason(tag, reason, values):
    assert [parse(tag, value) for value in values] == [f"{tag}_{reason}"] * len(values)
    assert reason in tags.REASONS


def test_the_first_bad_tag_gives_the_reason_and_good_ones_come_in_order():
    assert list(tags.parse_tags(GOOD, FOUR)[0].items()) == list(GOOD_TAGS.items())
    with pytest.raises(tags.Rejection, match=r"^iso_missing$"):
        tags.parse_tags({}, FOUR)
    with pytest.raises(tags.Rejection, match=r"^f_number_empty$"):
        tags.parse_tags({**GOOD, "Aperture Value": "F", "Focal Length": "0"}, FOUR)


@pytest.mark.parametrize("tag", names.TAGS)
def test_bounds_include_their_ends(tag):
    for end, beyond in zip(BOUNDS[tag], (0, math.inf), strict=True):
        assert parse(tag, repr(end)) == end
        assert parse(tag, repr(math.nextafter(end, beyond))) == f"{tag}_out_of_range"


@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(["", "sec", " sec", " s", "\0"])
)
def test_quotients_agree_with_exact_fractions(numerator, denominator, unit):
    assert tags.parse_exposure_time(f"{numerator}/{denominator}{unit}") == float(
        Fraction(numerator, denominator)
    )


@given(st.floats(1e-6, 1e6))
def test_numbers_survive_printing(value):
    for parser, text in [
        (tags.parse_f_number, f"F{value!r}"),
        (tags.parse_exposure_time, f"{value!r}sec"),
        (tags.parse_focal_length, f"{value!r} mm"),
        (tags.parse_focal_length, repr(value).replace(".", ",")),
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
    result = parse(tag, value)
    if isinstance(result, str):
        assert result.removeprefix(f"{tag}_") in tags.REASONS
    else:
        assert BOUNDS[tag][0] <= result <= BOUNDS[tag][1]


ISO = FOUR.tags[0]


def test_histogram_bins_are_the_steps_of_the_dial():
    edges, counts = tags.histogram(np.array([100.0, 125.0, 160.0, 200.0, 200.0, 400.0]), ISO)
    centres = np.sqrt(edges[:-1] * edges[1:])
    assert counts.tolist() == [1, 1, 1, 2, 0, 0, 1]
    assert centres[0] == pytest.approx(100, rel=0.03) and centres[3] == pytest.approx(200, rel=0.03)


@given(st.lists(st.floats(1e-6, 1e6), max_size=50), st.integers(1, 120))
def test_histogram_counts_every_value_within_its_edges(values, maximum_bins):
    array = np.array(values)
    edges, counts = tags.histogram(array, ISO, maximum_bins=maximum_bins)
    assert len(edges) == len(counts) + 1 and len(counts) <= maximum_bins
    assert counts.sum() == len(values)
    if values:
        assert (np.diff(edges) > 0).all()
        assert edges[0] <= array.min() * (1 + 1e-12) and array.max() <= edges[-1] * (1 + 1e-12)


def test_bins_of_a_linear_scale_are_thirds_of_a_stop():
    altitude = {**BRIGHTNESS, "range": [-100.0, 9000.0], "stops": 0.01}
    (tag,) = wanted({"altitude": altitude}).tags
    edges, counts = tags.histogram(np.array([-33.0, 0.0, math.nan, 10.0, 100.0]), tag)
    assert counts.tolist() == [1, 2, 0, 0, 1]
    assert edges.tolist() == pytest.approx([-50, -50 / 3, 50 / 3, 50, 250 / 3, 350 / 3])


@pytest.mark.parametrize(
    ("described", "value", "expected"),
    [
        (BRIGHTNESS, "3.5 EV", 3.5),
        (BRIGHTNESS, "-3/2", -1.5),
        (BRIGHTNESS, "0", 0.0),
        (BRIGHTNESS, "1/0 EV", "tag_zero_denominator"),
        (BRIGHTNESS, "3.5 stops", "tag_not_a_number"),
        (BRIGHTNESS, "-11 EV", "tag_out_of_range"),
        (BRIGHTNESS, None, "tag_missing"),
        (EQUIVALENT, "52mm", 52.0),
        (EQUIVALENT, 52, 52.0),
        (EQUIVALENT, "0 mm", "tag_zero"),
        (EQUIVALENT, "52 cm", "tag_not_a_number"),
    ],
)
def test_a_further_tag_is_read_as_it_is_described(described, value, expected):
    exif, one = {described["name"]: value}, wanted({"tag": described})
    if isinstance(expected, float):
        assert tags.parse_tags(exif, one)[0] == {"tag": expected}
    else:
        with pytest.raises(tags.Rejection, match=f"^{expected}$"):
            tags.parse_tags(exif, one)


@pytest.mark.parametrize("present", list(itertools.product([True, False], repeat=3)))
def test_any_keeps_what_has_one_tag_and_says_what_the_others_lack(present):
    given = {"f_number": BOUNDS["f_number"], "brightness": BRIGHTNESS, "iso": BOUNDS["iso"]}
    values = {"Aperture Value": "F4", "BrightnessValue": "2", "ISO Speed Ratings": "100"}
    there = dict(zip(given, present, strict=True))
    exif = {key: v for (key, v), has in zip(values.items(), present, strict=True) if has}
    if not any(present):
        with pytest.raises(tags.Rejection, match=r"^f_number_missing$"):
            tags.parse_tags(exif, wanted(given, "any"))
        return
    found, lacking = tags.parse_tags(exif, wanted(given, "any"))
    assert {name: not math.isnan(value) for name, value in found.items()} == there
    assert [why.reason for why in lacking] == [
        f"{n}_missing" for n, has in there.items() if not has
    ]
    if all(present):
        assert found == tags.parse_tags(exif, wanted(given))[0] != {}
    else:
        with pytest.raises(tags.Rejection):
            tags.parse_tags(exif, wanted(given))


@pytest.mark.parametrize(
    ("exif", "cause"),
    [
        ({"ISO Speed Ratings": "x" * 80}, "ISO Speed Ratings = '" + "x" * 59),
        ({"ISOSpeedRatings": "200"}, "no ISO Speed Ratings, but ISOSpeedRatings"),
        ({}, "no ISO Speed Ratings"),
    ],
)
def test_the_cause_shows_the_value_or_a_key_that_reads_like_it(exif, cause):
    with pytest.raises(tags.Rejection) as caught:
        tags.parse_tags(exif, FOUR)
    assert caught.value.cause == cause
