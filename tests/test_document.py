"""The two renderings of a report."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pipeline.report.document import (
    Cell,
    Code,
    Document,
    Findings,
    Heading,
    LegendEntry,
    Panels,
    Picture,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    to_html,
    to_markdown,
)

from pipeline.common.artifacts import encode_png
from pipeline.report.figures import canvas

PNG = encode_png(np.zeros((5, 7, 3), np.uint8))
HOSTILE = '<script>alert(1)</script> & "quotes"'
VOID = {"meta", "img", "link", "br", "hr", "input", "wbr"}


class Checker(HTMLParser):
    """Notes all elements, and whether each end tag closes the element that is open."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def document(*blocks, banner="simulated"):
    return Document("Title", "Lead.", banner, [Section("one", "First section", blocks)])


EVERY_BLOCK = (
    Heading("Within"),
    Text("plain"),
    Text("bad news", "warning"),
    Findings([Text("in order", "good"), Text("not in order", "warning")]),
    Tiles([Tile("AUC", "0.9", "mean")]),
    Table(
        ["who", "n"],
        [["y", Cell("7", "6–8", 7.25, 0.5)]],
        "intervals",
        marked=frozenset({0}),
        sortable=True,
    ),
    Table(
        ["name", "a", "b"],
        [["x", "1", "2"], ["mean", "3", "4"]],
        "caption",
        [("", 1), ("group", 2)],
        last_is_total=True,
    ),
    Panels(
        ["<svg></svg>", "<svg></svg>"],
        ["left", "right"],
        "curves",
        [LegendEntry("sim_a", "#123456", "5 2", "^")],
    ),
    Picture(PNG, "what it shows", "sheet"),
    Code("seed: 1"),
)


def test_every_block_in_html():
    page = Checker(to_html(document(*EVERY_BLOCK)))
    tags = [tag for tag, _ in page.found]
    assert page.found[0][0] == "html" and to_html(document()).startswith("<!doctype html>")
    assert {"h1", "h2", "nav", "table", "svg", "img", "pre", "figcaption", "caption"} <= set(tags)
    image = next(attributes for tag, attributes in page.found if tag == "img")
    assert image["src"].startswith("data:image/webp;base64,") and (
        image["width"],
        image["height"],
    ) == ("7", "5")
    assert image["alt"] == "what it shows"
    assert all(
        text in page.text
        for text in ("plain", "bad news", "0.9", "caption", "sim_a", "seed: 1", "simulated")
    )
    assert ("tr", {"class": "total"}) in page.found and (
        "th",
        {"colspan": "2", "class": "start", "scope": "colgroup"},
    ) in page.found


def test_cells_carry_what_they_are_sorted_by_and_how_dark_they_are():
    found = Checker(to_html(document(*EVERY_BLOCK))).found
    cell = next(
        attributes for tag, attributes in found if tag == "td" and "data-value" in attributes
    )
    assert cell == {"class": " shaded", "data-value": "7.25", "style": "--shade-of-cell: 22%"}
    assert ("table", {"class": "sortable"}) in found and ("tr", {"class": "marked"}) in found
    path = next(attributes for tag, attributes in found if tag == "path")
    assert path["stroke"] == "#123456" and path["stroke-dasharray"] == "5 2"


def test_the_page_asks_nothing_of_a_network():
    page = to_html(document(*EVERY_BLOCK))
    links = [
        value
        for _, attributes in Checker(page).found
        for key, value in attributes.items()
        if key in ("src", "href")
    ]
    assert links and all(link.startswith(("data:", "#")) for link in links)
    assert (
        not re.search(r"<script [^>]*src|@import|url\((?!#)|https?:|fetch|import\(", page)
        and page.count("<script") == 1
    )


def test_markup_in_results_stays_text():
    page = to_html(
        document(
            *(
                Text(HOSTILE),
                Heading(HOSTILE),
                Findings([Text(HOSTILE)]),
                Table([HOSTILE], [[HOSTILE]], HOSTILE),
            ),
            *(Picture(PNG, HOSTILE, HOSTILE), Code(HOSTILE)),
        )
    )
    assert (
        page.count("<script") == 1 and Checker(page).text.count("alert(1)") == 8
    )  # two captions, and one of each other


def test_every_block_in_markdown():
    text = to_markdown(document(*EVERY_BLOCK))
    there = "Curves, histograms and pictures are in `index.html` beside this file."
    start = f"# Title\n\nLead.\n\n> **simulated**\n\n{there}\n\n## First section\n\n### Within\n\nplain\n"
    assert text.startswith(start)
    assert (
        "| name | group: a | group: b |\n| --- | ---: | ---: |\n| x | 1 | 2 |\n| mean | 3 | 4 |\n\ncaption"
        in text
    )
    assert "> **bad news**" in text and "- in order\n- **Warning:** not in order\n" in text
    assert "| who | n |\n| --- | ---: |\n| y | 7 (6–8) |" in text
    assert (
        "- AUC: **0.9** (mean)" in text and "left" not in text and "```yaml\nseed: 1\n```" in text
    )


@pytest.mark.parametrize(
    ("blocks", "shown"),
    [((Picture(PNG, "", ""),), []), ((Heading("h"), Picture(PNG, "", "")), []),
     ((Heading("g"), Heading("h"), Text("a")), ["h"]),
     ((Text("a"), Heading("h"), Code("b"), Heading("i")), ["h"])],
)  # fmt: skip
def test_markdown_leaves_out_headings_of_nothing(blocks, shown):
    text = to_markdown(document(*blocks))
    assert ("## First section" in text) == bool(shown) and re.findall(
        "^### (.*)$", text, re.MULTILINE
    ) == shown


def test_pictures_are_smaller_in_the_page_and_look_the_same():
    shades = np.add.outer(np.arange(64), np.arange(96))[..., None] + np.array([20, 40, 60])
    noisy = (
        (shades + np.random.default_rng(1).normal(0, 6, shades.shape)).clip(0, 255).astype(np.uint8)
    )
    picture = Picture(encode_png(noisy), "", "")
    data = base64.b64decode(picture.uri.removeprefix("data:image/webp;base64,"))
    shown = np.asarray(Image.open(io.BytesIO(data)), dtype=float)
    assert (
        shown.shape == noisy.shape
        and np.abs(shown - noisy).mean() < 6
        and len(data) < len(picture.png) / 3
    )
    assert picture.uri == picture.uri and picture.size == (96, 64)


def test_a_folded_table_shows_the_first_sentence_of_its_caption_and_markdown_all_of_it():
    table = Table(["a"], [["x"]], "All mixtures. Nothing is chosen.", folded=True)
    found = Checker(to_html(document(table)))
    assert ("details", {"class": "fold"}) in found.found and "All mixtures\n" in found.text
    assert ("details", {"class": "fold"}) not in Checker(to_html(document(*EVERY_BLOCK))).found
    assert "All mixtures. Nothing is chosen." in to_markdown(document(table))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("5 % of", "5\xa0% of"),
        ("crop × 0.9", "crop\xa0×\xa00.9"),
        ("σ 2", "σ\xa02"),
        ("a b", "a b"),
    ],
)
def test_a_sign_stays_with_its_number(text, kept):
    assert f"<p>{kept}</p>" in to_html(document(Text(text)))


def test_names_may_break_at_underscores_in_tiles_alone():
    html = to_html(document(Tiles([Tile("AUC", "1", "<b> sim_a")]), Text("sim_a")))
    assert "&lt;b&gt; sim_<wbr>a" in html and "<p>sim_a</p>" in html


def test_no_banner_without_a_reason():
    assert "banner" not in re.sub(
        r"<style>.*</style>", "", to_html(document(banner="")), flags=re.DOTALL
    )
    assert ">" not in to_markdown(document(banner=""))


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2),
        min_size=1,
        max_size=4,
    )
)
def test_markdown_tables_keep_their_columns_whatever_the_cells(rows):
    body = (
        to_markdown(document(Table(["a", "b"], rows, "c"))).split("---: |\n")[1].split("\n\nc\n")[0]
    )
    lines = body.split("\n")
    assert len(lines) == len(rows)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)


@pytest.mark.parametrize("groups", [(), [("", 2)]])
def test_a_head_without_groups(groups):
    table = Table(["a", "b"], [["1", "2"]], "c", groups)
    assert table.full_head == ["a", "b"] and table.group_starts == set()


def test_columns_of_text_are_the_first_ones_or_the_named():
    assert Table(["a", "b", "c"], [], "", text_columns=2).texts == {0, 1}
    assert Table(["a", "b", "c"], [], "", text_columns=(0, 2)).texts == {0, 2}


@pytest.mark.parametrize("count", range(1, 9))
def test_every_marker_of_a_look_can_stand_in_a_legend(count):
    looks = canvas.looks([str(i) for i in range(count)]).values()
    assert all(LegendEntry("", look.colour, look.dash, look.marker).mark for look in looks)
