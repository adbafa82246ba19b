"""Drawings: well-formed, the same bytes twice, and the ranges that they show."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from pipeline import figures

BARS = [figures.Bar("sim_a", 0.9, 0.97), figures.Bar("sim_b", 0.04, 0.5)]
CURVES = {"sim_a": ([0.0, 0.0, 0.1, 1.0], [0.0, 0.6, 0.9, 1.0]), "sim_b": ([0.0, 1.0], [0.0, 1.0])}
HISTOGRAM = {"low": [0.0, 1.0], "high": [1.0, 2.0], "photographic": [0.7, 0.3], "generated": [0.1, 0.9]}
DRAWINGS = {
    "detection": figures.detection(BARS, 0.05),
    "roc": figures.roc(CURVES, 0.05, logarithmic=False),
    "logarithmic roc": figures.roc(CURVES, 0.05, logarithmic=True),
    "scores": figures.scores("sim_a", HISTOGRAM, 0.8, figures.looks(["sim_a"])["sim_a"]),
    "one bin": figures.tag("ISO", [100], [125], [3]),
    "exposure time": figures.tag("s", [1 / 8000, 1 / 4000, 1], [1 / 4000, 1, 30], [3, 0, 2]),
    "one epoch": figures.learning({"training": ([1.0], [0.4])}, "loss", share=False),
    "below chance": figures.learning({"AUC": ([1.0, 2.0], [0.3, float("nan")])}, "AUC", share=True),
}


def axes_of(draw):
    figure = Figure(layout="constrained")
    draw(figure.add_subplot())
    return figure.axes[0]


@pytest.mark.parametrize("name", DRAWINGS)
def test_panels_are_well_formed_the_same_twice_and_follow_the_page(name):
    svg = figures.panel(DRAWINGS[name], 'less < and "more"', number=1)
    root = ElementTree.fromstring(svg)
    assert svg == figures.panel(DRAWINGS[name], 'less < and "more"', number=1)
    assert root.get("role") == "img" and root.get("aria-label") == 'less < and "more"'
    assert "width" not in root.attrib and root.get("viewBox")
    assert "var(--ink)" in svg and not any(colour in svg for colour in figures.THEME)
    assert not re.search(r"<metadata|<!--|<\?xml|<script|20\d\d-\d\d-\d\d", svg)
    assert set(re.findall(r'https?://[^"]+', svg)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_panels_of_a_page_share_no_id_and_refer_to_their_own():
    drawings = figures.Drawings()
    svgs = [drawings.draw(DRAWINGS["roc"], "a") for _ in range(2)]
    first, second = ({*re.findall(r'\bid="([^"]+)"', svg)} for svg in svgs)
    assert first and not first & second
    for svg, ids in zip(svgs, (first, second), strict=True):
        assert {*re.findall(r'href="#([^"]+)"', svg), *re.findall(r"url\(#([^)]+)\)", svg)} <= ids


@pytest.mark.parametrize("count", [1, 6, 9, 10, 20])
def test_looks_are_distinct(count):
    styles = figures.looks([str(i) for i in range(count)])
    assert len({str(look) for look in styles.values()}) == count
    assert len({look.colour for look in styles.values()}) == min(count, 10)


def test_overview_is_1600_pixels_wide_without_a_trace_of_its_making(tmp_path):
    for name in ("a.png", "b.png"):
        figures.overview(tmp_path / name, BARS, CURVES, 0.05, "Title")
    picture = Image.open(tmp_path / "a.png")
    assert picture.width == 1600 and "Software" not in picture.info
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_roc_marks_the_chosen_rate_and_starts_a_logarithmic_curve_at_its_left_edge():
    axes = axes_of(DRAWINGS["logarithmic roc"])
    lines = [line.get_xdata() for line in axes.lines]
    assert list(lines[-1]) == [0.05, 0.05]
    assert list(lines[1]) == [1e-3, 0.1, 1.0] and list(axes.lines[1].get_ydata()) == [0.6, 0.9, 1.0]
    assert list(axes_of(DRAWINGS["roc"]).lines[1].get_xdata()) == CURVES["sim_a"][0]


@pytest.mark.parametrize(("threshold", "drawn"), [(0.8, 0.8), (-9, 0), (99, 2)])
def test_the_threshold_is_drawn_at_the_edge_when_it_is_outside(threshold, drawn):
    axes = axes_of(figures.scores("a", HISTOGRAM, threshold, figures.looks(["a"])["a"]))
    assert axes.lines[0].get_xdata()[0] == drawn


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-5, 1e4), st.floats(1.01, 1e5))
def test_ticks_of_a_tag_are_few_and_inside(low, ratio):
    ticks = figures._round_values(low, low * ratio)
    assert len(ticks) <= 5 and all(low <= tick <= low * ratio for tick in ticks)


@pytest.mark.parametrize(("value", "text"), [(0.001, "1/1000"), (0.02, "1/50"), (0.5, "0.5"), (2.0, "2"), (5000.0, "5000")])
def test_ticks_read_as_on_a_camera(value, text):
    assert figures._short(value) == text
