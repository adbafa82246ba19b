"""A triage page as its reader finds it: what stands in each card."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass
class Card:
    data: dict[str, str]  # data-* attributes
    pictures: list[Image.Image] = field(default_factory=list)  # the thumbnail first
    marked: str = ""  # style of the box
    text: str = ""


class Reader(HTMLParser):
    """Cards, all tags, and the text outside cards."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.cards: list[Card] = []
        self.tags: list[str] = []
        self.outside, self._inside = "", False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "li" and given.get("class", "").startswith("face "):
            data = {k.removeprefix("data-"): v for k, v in attrs if k.startswith("data-")}
            self.cards.append(Card(data))
            self._inside = True
        elif tag == "img":
            kind, _, content = given["src"].partition(",")
            assert kind == "data:image/jpeg;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(content)))
            assert picture.size == (int(given["width"]), int(given["height"]))
            self.cards[-1].pictures.append(picture)
        elif tag == "i":
            self.cards[-1].marked = given["style"]

    def handle_endtag(self, tag):
        self._inside &= tag != "li"

    def handle_data(self, data):
        if self._inside:
            self.cards[-1].text += data
        else:
            self.outside += data


def difference(picture: Image.Image, pixels: np.ndarray) -> float:
    """Mean difference of a picture from pixels (height, width, 3), grey levels."""
    return float(np.abs(np.asarray(picture.convert("RGB"), float) - pixels).mean())
