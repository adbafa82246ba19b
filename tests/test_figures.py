"""Drawings: well-formed, the same bytes twice, and the values, intervals and ranges that they show."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from pipeline.report.figures import background, canvas, checks, detection
from pipeline.report.figures.canvas import Value

BARS = [
    detection.Bar("sim_a", Value(0.9, 0.8, 0.95), Value(0.97, 0.9, 1)),
    detection.Bar("sim_b", Value(0.04, 0, 0.1), Value(0.5)),
    detection.Bar("unknown", Value(0.0), Value(None)),
]
CURVES = {
    "sim_a": detection.Roc(([0.0, 0.0, 0.1, 1.0], [0.0, 0.6, 0.9, 1.0]), [(0.0, 0.6), (0.1, 0.9)]),
    "sim_b": detection.Roc(([0.0, 1.0], [0.0, 1.0])),
}
HISTOGRAM = {
    "low": [0.0, 1.0],
    "high": [1.0, 2.0],
    "photographic": [0.7, 0.3],
    "generated": [0.1, 0.9],
}
LOOKS = canvas.looks(["sim_a", "sim_b"])
NAN = float("nan")
SIZES = {"faces": [100.0, 480.0, 5000.0], "guarantee_low": [0.02, 0.03, 0.04], "guarantee_high": [0.1, 0.07, 0.06],
         "measured_low": [0.02, 0.05, NAN], "measured_mean": [0.05, 0.05, NAN], "measured_high": [0.09, 0.05, NAN]}  # fmt: skip
STEPS = {"sim_a": [Value(0.9, 0.8, 1), Value(0.5, 0.4, 0.6)], "sim_b": [Value(0.1), Value(None)]}
MIXTURES = [
    {
        "components": k,
        "covariance_type": kind,
        "held_out_log_likelihood": value,
        "held_out_standard_error": error,
    }
    for k, kind, value, error in (
        (2, "full", -3.0, 0.1),
        (1, "full", -4.0, None),
        (1, "diag", None, None),
    )
]
CONTROLS = {
    "mine": (Value(0.8, 0.7, 0.9), "mine"),
    "b": (Value(0.2), "in order"),
    "c": (Value(None), "suspicious"),
}
DRAWINGS = {
    "detection": detection.detection(BARS, 0.05),
    "aucs": detection.aucs(BARS),
    "roc": detection.roc(CURVES, [0.05, 0.01], logarithmic=False),
    "logarithmic roc": detection.roc(CURVES, [0.05, 0.01], logarithmic=True),
    "scores": detection.scores("sim_a", HISTOGRAM, [0.8, 1.5], LOOKS["sim_a"]),
    "verdicts": detection.verdicts(
        {"a": {"pass": 1, "review": 2, "flag": 30}, "none": {"pass": 0, "review": 0, "flag": 0}}
    ),
    "one bin": background.tag("ISO", [100], [125], [3]),
    "exposure time": background.tag("s", [1 / 8000, 1 / 4000, 1], [1 / 4000, 1, 30], [3, 0, 2]),
    "one epoch": background.learning({"training": ([1.0], [0.4])}, "loss", share=False),
    "below chance": background.learning({"AUC": ([1.0, 2.0], [0.3, NAN])}, "AUC", share=True),
    "mixtures": background.mixtures(MIXTURES, "6 principal components"),
    "sizes": checks.calibration_sizes(SIZES, 0.05, 480),
    "controls": checks.controls(CONTROLS),
    "before and after": checks.before_and_after(
        {"a": (Value(0.9, 0.8, 1), Value(0.7)), "b": (Value(None), Value(0.5))}, "AUC"
    ),
    "bands": checks.over_strength(["clean", "40"], STEPS, LOOKS, "JPEG", joined=True),
    "points": checks.over_strength(["clean", "40"], STEPS, LOOKS, "JPEG", joined=False),
    "scatter": checks.scatter(([0.0, 1.0], [0.0, 1.0]), ([2.0], [3.0]), LOOKS["sim_a"], "sim_a"),
}


def axes_of(draw):
    figure = Figure(layout="constrained")
    draw(figure.add_subplot())
    return figure.axes[0]


@pytest.mark.parametrize("name", DRAWINGS)
def test_panels_are_well_formed_the_same_twice_and_follow_the_page(name):
    svg = canvas.panel(DRAWINGS[name], 'less < and "more"', number=1)
    root = ElementTree.fromstring(svg)
    assert svg == canvas.panel(DRAWINGS[name], 'less < and "more"', number=1)
    assert root.get("role") == "img" and root.get("aria-label") == 'less < and "more"'
    assert "width" not in root.attrib and root.get("viewBox")
    assert "var(--muted)" in svg and not any(colour in svg for colour in canvas.THEME)
    assert not re.search(r"<metadata|<!--|<\?xml|<script|20\d\d-\d\d-\d\d", svg)
    assert set(re.findall(r'https?://[^"]+', svg)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_panels_of_a_page_share_no_id_and_refer_to_their_own():
    drawings = canvas.Drawings()
    svgs = [drawings.draw(DRAWINGS["roc"], "a") for _ in range(2)]
    first, second = ({*re.findall(r'\bid="([^"]+)"', svg)} for svg in svgs)
    assert first and not first & second
    for svg, ids in zip(svgs, (first, second), strict=True):
        assert {*re.findall(r'href="#([^"]+)"', svg), *re.findall(r"url\(#([^)]+)\)", svg)} <= ids


@pytest.mark.parametrize("count", [1, 6, 9, 10, 20])
def test_looks_are_distinct_even_without_colour(count):
    styles = canvas.looks([str(i) for i in range(count)])
    assert len({str(look) for look in styles.values()}) == count
    assert len({look.colour for look in styles.values()}) == min(count, 10)
    assert len({(look.dash, look.marker) for look in styles.values()}) == count


def test_overview_is_1600_pixels_wide_without_a_trace_of_its_making(tmp_path):
    for name in ("a.png", "b.png"):
        detection.overview(tmp_path / name, BARS, CURVES, [0.05, 0.01], "Title")
    picture = Image.open(tmp_path / "a.png")
    assert picture.width == 1600 and "Software" not in picture.info
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def whiskers(axes):
    """(low, high) of each drawn interval along x."""
    lines = (segment for container in axes.containers if hasattr(container, "has_xerr") for bars in container.lines[2]
             for segment in bars.get_segments())  # fmt: skip
    return [(pytest.approx(line[0][0]), pytest.approx(line[1][0])) for line in lines]


def test_bars_and_points_carry_their_intervals_and_nothing_where_there_is_none():
    axes = axes_of(DRAWINGS["detection"])
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.04, 0.0] and whiskers(axes) == [
        (0.8, 0.95),
        (0, 0.1),
    ]
    texts = [text.get_text() for text in axes.texts]
    assert {"90 %", "0.970", "0.500", "–"} <= set(texts) and 0.05 in [
        line.get_xdata()[0] for line in axes.lines
    ]
    axes = axes_of(DRAWINGS["aucs"])
    assert whiskers(axes) == [(0.9, 1.0)] and [
        label.get_text() for label in axes.get_yticklabels()
    ] == [
        "sim_a",
        "sim_b",
        "unknown",
    ]


def test_an_interval_that_does_not_hold_its_value_is_drawn_from_the_value_on():
    assert (
        Value(0.5, 0.6, 0.7).whiskers == [[0.0], [pytest.approx(0.2)]]
        and Value(0.5, None, 0.7).whiskers is None
    )


def test_roc_marks_chosen_rates_and_their_points_and_starts_a_logarithmic_curve_at_its_left_edge():
    axes = axes_of(DRAWINGS["logarithmic roc"])
    lines = {tuple(line.get_xdata()): line for line in axes.lines}
    assert (0.05, 0.05) in lines and (0.01, 0.01) in lines
    assert list(lines[(1e-3, 0.1, 1.0)].get_ydata()) == [0.6, 0.9, 1.0]
    assert (
        list(lines[(1e-3, 0.1)].get_ydata()) == [0.6, 0.9]
        and lines[(1e-3, 0.1)].get_linestyle() == "None"
    )
    assert list(axes_of(DRAWINGS["roc"]).lines[1].get_xdata()) == CURVES["sim_a"].curve[0]


@pytest.mark.parametrize(("threshold", "drawn"), [(0.8, 0.8), (-9, 0), (99, 2)])
def test_the_threshold_is_drawn_at_the_edge_when_it_is_outside(threshold, drawn):
    axes = axes_of(detection.scores("a", HISTOGRAM, [threshold], LOOKS["sim_a"]))
    assert axes.lines[0].get_xdata()[0] == drawn


def test_verdicts_fill_each_row():
    axes = axes_of(DRAWINGS["verdicts"])
    assert [bar.get_width() for bar in axes.patches[:3]] == pytest.approx([1 / 33, 2 / 33, 30 / 33])
    assert sum(bar.get_width() for bar in axes.patches[3:]) == 0 and [
        text.get_text() for text in axes.texts
    ] == ["91 %"]


def test_calibration_sizes_measure_only_as_far_as_there_are_photographs():
    axes = axes_of(DRAWINGS["sizes"])
    xs = [list(line.get_xdata()) for line in axes.lines]
    assert xs[:3] == [[100, 480]] * 3 and [480, 480] in xs
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "100",
        "200",
        "500",
        "1,000",
        "2,000",
        "5,000",
    ]


def test_steps_without_a_value_are_left_out_and_one_name_alone_gets_its_own_scale():
    axes = axes_of(DRAWINGS["bands"])
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 1], [0]] and len(
        axes.collections
    ) == 1
    assert axes.get_ylim()[1] == 1.02
    alone = axes_of(
        checks.over_strength(["clean"], {"sim_a": [Value(0.3, 0.2, 0.4)]}, LOOKS, "", joined=True)
    )
    assert alone.get_ylim()[1] == pytest.approx(0.44)


def test_a_chosen_rate_is_a_line_across_the_steps():
    axes = axes_of(checks.over_strength(["clean"], STEPS, LOOKS, "", joined=True, rate=0.05))
    assert list(axes.lines[-1].get_ydata()) == [0.05, 0.05]


def test_photographs_are_rings_that_generated_faces_do_not_hide():
    photographs, generated = axes_of(DRAWINGS["scatter"]).lines
    assert list(photographs.get_xdata()) == [0, 1] and photographs.get_markerfacecolor() == "none"
    assert list(generated.get_ydata()) == [3] and generated.get_color() == LOOKS["sim_a"].colour


def test_mixtures_that_could_not_be_fitted_are_left_out():
    axes = axes_of(DRAWINGS["mixtures"])
    joined = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in joined] == [
        [-4, -3]
    ]  # in the order of their components


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-5, 1e4), st.floats(1.01, 1e5))
def test_ticks_of_a_tag_are_few_and_inside(low, ratio):
    ticks = background._round_values(low, low * ratio)
    assert len(ticks) <= 5 and all(low <= tick <= low * ratio for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "1/1000"), (0.02, "1/50"), (0.5, "0.5"), (2.0, "2"), (5000.0, "5000")],
)
def test_ticks_read_as_on_a_camera(value, text):
    assert background._short(value) == text
