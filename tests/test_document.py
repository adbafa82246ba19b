"""The two renderings of a report."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import encode_png
from pipeline.document import (
    Code,
    Document,
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

PNG = encode_png(np.zeros((5, 7, 3), np.uint8))
HOSTILE = '<script>alert(1)</script> & "quotes"'
VOID = {"meta", "img", "link", "br", "hr", "input"}


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
    Text("plain"),
    Text("bad news", "warning"),
    Tiles([Tile("AUC", "0.9", "mean")]),
    Table(["name", "a", "b"], [["x", "1", "2"], ["mean", "3", "4"]], "caption", [("", 1), ("group", 2)], last_is_total=True),
    Panels(["<svg></svg>", "<svg></svg>"], ["left", "right"], "curves", [LegendEntry("sim_a", "#123456", True)]),
    Picture(PNG, "what it shows", "sheet"),
    Code("seed: 1"),
)


def test_every_block_in_html():
    page = Checker(to_html(document(*EVERY_BLOCK)))
    tags = [tag for tag, _ in page.found]
    assert {"h1", "h2", "nav", "table", "svg", "img", "pre", "figcaption", "caption"} <= set(tags)
    image = next(attributes for tag, attributes in page.found if tag == "img")
    assert image["src"].startswith("data:image/png;base64,") and (image["width"], image["height"]) == ("7", "5")
    assert image["alt"] == "what it shows"
    assert all(text in page.text for text in ("plain", "bad news", "0.9", "caption", "sim_a", "seed: 1", "simulated"))
    assert ("tr", {"class": "total"}) in page.found and (
        "th",
        {"colspan": "2", "class": "start", "scope": "colgroup"},
    ) in page.found


def test_the_page_asks_nothing_of_a_network_and_runs_nothing():
    page = to_html(document(*EVERY_BLOCK))
    links = [value for _, attributes in Checker(page).found for key, value in attributes.items() if key in ("src", "href")]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"<script|<link|@import|url\((?!#)|https?:", page)


def test_markup_in_results_stays_text():
    page = to_html(
        document(Text(HOSTILE), Table([HOSTILE], [[HOSTILE]], HOSTILE), Picture(PNG, HOSTILE, HOSTILE), Code(HOSTILE))
    )
    assert "<script" not in page and Checker(page).text.count("alert(1)") == 6  # text, head, cell, two captions, code


def test_every_block_in_markdown():
    text = to_markdown(document(*EVERY_BLOCK))
    there = "Curves, histograms and pictures are in `index.html` beside this file."
    start = f"# Title\n\nLead.\n\n> **simulated**\n\n{there}\n\n## First section\n\nplain\n\n> **bad news**\n"
    assert text.startswith(start)
    assert "| name | group: a | group: b |\n| --- | ---: | ---: |\n| x | 1 | 2 |\n| mean | 3 | 4 |\n\ncaption" in text
    assert "- AUC: **0.9** (mean)" in text and "left" not in text and "```yaml\nseed: 1\n```" in text


@pytest.mark.parametrize(
    ("blocks", "shown"),
    [((Text("a"), Picture(PNG, "", "")), False), ((Text("a"),), True), ((Text("a"), Picture(PNG, "", ""), Code("b")), True)],
)
def test_markdown_leaves_out_sections_of_pictures(blocks, shown):
    assert ("## First section" in to_markdown(document(*blocks))) == shown


def test_no_banner_without_a_reason():
    assert "banner" not in re.sub(r"<style>.*</style>", "", to_html(document(banner="")), flags=re.DOTALL)
    assert ">" not in to_markdown(document(banner=""))


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), min_size=1, max_size=4))
def test_markdown_tables_keep_their_columns_whatever_the_cells(rows):
    body = to_markdown(document(Table(["a", "b"], rows, "c"))).split("---: |\n")[1].split("\n\nc\n")[0]
    lines = body.split("\n")
    assert len(lines) == len(rows)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)


@pytest.mark.parametrize("groups", [(), [("", 2)]])
def test_a_head_without_groups(groups):
    table = Table(["a", "b"], [["1", "2"]], "c", groups)
    assert table.full_head == ["a", "b"] and table.group_starts == set()
