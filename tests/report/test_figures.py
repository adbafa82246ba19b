"""The figures: what is drawn of given results, and panels that fit into a page."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from pipeline.report.figures import canvas, checks, detection
from pipeline.report.wording import Value
from tests.report.world import FLAG, REVIEW

PANELS = (
    detection.overview, detection.roc, detection.scores, checks.sizes, checks.robustness,
    checks.formats, checks.feature_map, checks.learning,
)  # fmt: skip


class Axes(canvas.Canvas):
    """Keeps the axes of each panel instead of writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list = []
        self.alts: list[str] = []

    def panel(self, draw, alt, width=4.2, height=2.7):
        with mpl.rc_context(fname=canvas.STYLE):
            self.drawn.append(Figure(figsize=(width, height)).add_subplot())
            draw(self.drawn[-1])
        self.alts.append(alt)
        return ""


def drawn(panels, results):
    axes = Axes()
    panels(results, axes)
    return axes


def ends(axes):
    """(low, high) of each drawn interval along x."""
    bars = (container.lines[2] for container in axes.containers if hasattr(container, "has_xerr"))
    lines = (
        segment for collections in bars for each in collections for segment in each.get_segments()
    )
    return [(pytest.approx(line[0][0]), pytest.approx(line[1][0])) for line in lines]


# --- panels


@pytest.mark.parametrize("panels", PANELS)
def test_panels_are_well_formed_and_follow_the_page(once, panels):
    svgs = panels(once, canvas.Canvas())
    assert svgs
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img" and root.get("aria-label") and root.get("viewBox")
        assert "width" not in root.attrib
        assert "var(--muted)" in svg and not any(colour in svg for colour in canvas.THEME)
        assert not re.search(r"<metadata|<!--|<\?xml|<script|20\d\d-\d\d-\d\d", svg)
        ids = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {
            pair for name in ids for pair in ((name, ""), ("", name))
        }


@given(st.integers(1, 20))
def test_looks_are_distinct_even_without_colour(count):
    styles = canvas.looks([str(i) for i in range(count)]).values()
    assert len({look.colour for look in styles}) == min(count, 10)
    assert len({(look.dash, look.marker) for look in styles}) == count


def test_an_interval_that_does_not_hold_its_value_is_drawn_from_the_value_on():
    axes = Figure().add_subplot()
    canvas.interval(axes, 0, Value(0.5, 0.6, 0.7))
    canvas.interval(axes, 1, Value(0.5, None, 0.7))
    canvas.interval(axes, 2, Value(None, 0.1, 0.7))
    assert ends(axes) == [(0.5, 0.7)] and len(axes.containers) == 2


# --- detection


def test_the_readmes_picture_is_1600_pixels_wide_without_a_trace_of_its_making(once, tmp_path):
    for name in ("a.png", "b.png"):
        detection.readme(tmp_path / name, once, "Title")
    picture = Image.open(tmp_path / "a.png")
    assert picture.width == 1600 and "Software" not in picture.info
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_bars_carry_their_intervals_and_a_dash_where_there_is_none(results):
    part = results.generators["sim_latent"]
    part["low"][REVIEW]["detection_rate"] = part["values"]["auc"] = None
    (axes,) = drawn(detection.overview, results).drawn
    rates = [p["values"][REVIEW]["detection_rate"] for p in results.generators.values()]
    assert [bar.get_width() for bar in axes.patches] == rates
    other = results.generators["sim_rolloff"]
    low, high = (other[end][REVIEW]["detection_rate"] for end in ("low", "high"))
    assert ends(axes) == [(low, high)]
    assert [text.get_text() for text in axes.texts] == ["33 %", "–", "25 %", "0.350", "AUC"]
    assert axes.lines[-1].get_xdata()[0] == 0.1


def test_roc_curves_mark_rates_and_a_logarithmic_one_starts_at_its_left_edge(results):
    curve = results.roc[results.roc["generator"] == "sim_latent"]
    linear, logarithmic = drawn(detection.roc, results).drawn
    assert list(linear.lines[1].get_xdata()) == curve["fpr"].tolist()
    below = curve[curve["fpr"] <= 1e-3]
    first = logarithmic.lines[1]
    assert first.get_xdata()[0] == 1e-3 and first.get_ydata()[0] == below["tpr"].iloc[-1]
    assert len(first.get_xdata()) == len(curve) - len(below) + 1
    values = results.generators["sim_latent"]["values"]
    points = {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in linear.lines
        if len(line.get_xdata()) == 1
    }
    for key in (FLAG, REVIEW):
        assert (values[key]["false_alarm_rate"], values[key]["detection_rate"]) in points
    assert {line.get_xdata()[0] for line in linear.lines[-2:]} == {0.05, 0.1}


# --- checks


def test_kinds_with_several_strengths_are_curves_from_mild_to_severe_and_others_points(results):
    jpeg = results.robustness["jpeg_75"]
    results.robustness["jpeg_40"] = {**jpeg, "strength": 40.0}
    results.robustness["jpeg_95"] = {**jpeg, "strength": 95.0}
    jpeg["generators"]["sim_latent"][REVIEW]["perturbed"]["detection_rate"] = None
    seen = drawn(checks.robustness, results)
    curves, points = seen.drawn
    assert [label.get_text() for label in curves.get_xticklabels()] == ["clean", "95", "75", "40"]
    assert [label.get_text() for label in points.get_xticklabels()] == ["clean", "blur\n1"]
    latent, _, photographs, rate = curves.lines
    assert list(latent.get_xdata()) == [0] and latent.get_linestyle() == "-"
    assert list(photographs.get_xdata()) == [0, 1, 2, 3] and rate.get_ydata()[0] == 0.1
    assert all(line.get_linestyle() == "None" for line in points.lines[:3])
    assert "sim_latent 16.7 %, –, –, –" in seen.alts[0]


@pytest.mark.parametrize(
    ("kind", "strengths"),
    [("jpeg", [95, 40]), ("blur", [0.5, 2]), ("resize", [1.1, 0.75, 2]), ("crop", [0.9, 0.5])],
)
def test_strengths_come_from_mild_to_severe(kind, strengths):
    contents = [{"kind": kind, "strength": strength} for strength in reversed(strengths)]
    ordered = sorted(contents, key=checks.severity)
    assert [content["strength"] for content in ordered] == strengths


def test_formats_join_both_states_unless_one_is_missing(results):
    found = results.confounds["harmonised"]["generators"]
    found["sim_latent"]["auc"]["harmonised"] = {"value": None, "low": None, "high": None}
    detector, metadata = drawn(checks.formats, results).drawn
    before, after = (found["sim_rolloff"]["auc"][s] for s in ("as_found", "harmonised"))
    joined = [
        line
        for line in detector.lines
        if len(line.get_xdata()) == 2 and line.get_color() == canvas.MUTED
    ]
    assert [list(line.get_xdata()) for line in joined] == [[before["value"], after["value"]]]
    assert (before["low"], before["high"]) in ends(detector) and ends(metadata) == []


def test_learning_curves_name_each_measure_and_begin_at_chance_or_below(once):
    losses, measures = drawn(checks.learning, once).drawn
    assert losses.get_ylim()[0] == 0 and measures.get_ylim()[0] <= 0.3
    texts = [text.get_text() for text in measures.figure.legends[0].get_texts()]
    assert texts == ["iso", "f number", "exposure time", "focal length", "manipulation (AUC)"]
