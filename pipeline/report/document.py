"""A report as plain blocks, written once and rendered as Markdown and as one self-contained HTML
page.
"""

import base64
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

TEMPLATES = Path(__file__).parent / "templates"
QUALITY = 90  # of the pictures in the page, in which no trace is lost that an eye sees
Kind = Literal["plain", "good", "warning"]
MARKS = {  # the outlines of matplotlib's markers, around the middle of a legend's line
    "o": "M11 5a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "s": "M11.3 2.3h5.4v5.4h-5.4z",
    "^": "M14 1.6l3.4 6h-6.8z",
    "v": "M14 8.4l3.4-6h-6.8z",
    "D": "M14 1.4l3.6 3.6l-3.6 3.6l-3.6-3.6z",
    "P": "M12.8 1.8h2.4v2h2v2.4h-2v2h-2.4v-2h-2v-2.4h2z",
    "X": "M12 1.6l2 1.9l2-1.9l1.5 1.5l-1.9 1.9l1.9 1.9l-1.5 1.5l-2-1.9l-2 1.9l-1.5-1.5l1.9-1.9l-1.9-1.9z",
    "ring": "M11 5a3 3 0 1 0 6 0a3 3 0 1 0-6 0M12 5a2 2 0 1 1 4 0a2 2 0 1 1-4 0",
    "": "",
}


class Heading(NamedTuple):
    """A title within a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; `good` and `warning` are set apart."""

    text: str
    kind: Kind = "plain"


@dataclass(frozen=True)
class Findings:
    """Sentences that a reader must not miss, as a list."""

    items: Sequence[Text]


class Tile(NamedTuple):
    """One figure that a reader should take away."""

    label: str
    value: str
    remark: str
    kind: Kind = "plain"


@dataclass(frozen=True)
class Tiles:
    """A row of tiles."""

    tiles: Sequence[Tile]


class Cell(NamedTuple):
    """A cell with more than its text: a note below it (an interval), the number to sort by, a shade
    (0 to 1).
    """

    text: str
    note: str = ""
    value: float | None = None
    shade: float | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.note})" if self.note else self.text


@dataclass(frozen=True)
class Table:
    """Cells as shown; the first `text_columns` columns, or those of these numbers, are set to the
    left, the rest to the right.

    groups: titles above the columns with the number of columns each spans. last_is_total: set the
    last row apart. marked: rows that are warned of. sortable: a click on a title sorts. folded:
    only the caption's first sentence, until a click."""

    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str
    groups: Sequence[tuple[str, int]] = ()
    text_columns: int | Collection[int] = 1
    last_is_total: bool = False
    marked: frozenset[int] = frozenset()
    sortable: bool = False
    folded: bool = False

    @property
    def group_starts(self) -> set[int]:
        """Columns at which a titled group begins."""
        starts = [0, *accumulate(span for _, span in self.groups)]
        return {start for start, (title, _) in zip(starts, self.groups, strict=False) if title}

    @property
    def texts(self) -> set[int]:
        """Columns that are set to the left."""
        return set(
            range(self.text_columns) if isinstance(self.text_columns, int) else self.text_columns
        )

    @property
    def full_head(self) -> list[str]:
        """Column titles that stand without the groups."""
        titles = [
            f"{title}: " if title else "" for title, span in self.groups for _ in range(span)
        ] or [""] * len(self.head)
        return [title + name for title, name in zip(titles, self.head, strict=True)]

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows with every cell as a Cell."""
        return [
            [value if isinstance(value, Cell) else Cell(value) for value in row]
            for row in self.rows
        ]


class LegendEntry(NamedTuple):
    """A line's name and look: dash is SVG's stroke-dasharray, marker a key of MARKS."""

    label: str
    colour: str
    dash: str = ""
    marker: str = ""

    @property
    def mark(self) -> str:
        """The marker's outline."""
        return MARKS[self.marker]


@dataclass(frozen=True)
class Panels:
    """Small drawings (inline SVG, from figures/) side by side; `alt` says in words what each shows."""

    svgs: Sequence[str]
    alts: Sequence[str]
    caption: str
    legend: Sequence[LegendEntry] = ()

    @property
    def layout(self) -> str:
        """How wide the drawings are set."""
        return {1: "single", 2: "wide", 4: "wide"}.get(len(self.svgs), "")


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    png: bytes
    alt: str
    caption: str

    @property
    def uri(self) -> str:
        """The picture itself as a data URI: as WebP, a seventh of the size."""
        from PIL import Image

        with Image.open(io.BytesIO(self.png)) as picture, io.BytesIO() as smaller:
            picture.convert("RGB").save(smaller, format="WEBP", quality=QUALITY)
            return "data:image/webp;base64," + base64.b64encode(smaller.getvalue()).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")


@dataclass(frozen=True)
class Code:
    """Text as it stands, in a typewriter face."""

    text: str


Block = Heading | Text | Findings | Tiles | Table | Panels | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading with its blocks."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report. `banner` says plainly what the numbers do not mean, or is empty."""

    title: str
    lead: str
    banner: str
    sections: Sequence[Section] = field(default_factory=list)


def to_html(document: Document) -> str:
    """One page with everything inside: no script, no font and no picture comes from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["block"] = lambda block, name: type(block).__name__ == name
    page = environment.get_template("report.html").render(document=document)
    return (
        re.sub(r" (?=[%×])|(?<=[×σ±]) ", "\N{NO-BREAK SPACE}", page) + "\n"
    )  # a sign stays with its number


def to_markdown(document: Document) -> str:
    """The same texts and tables, without drawings and pictures, and without the headings of nothing
    else.
    """
    warned = [f"> **{document.banner}**"] if document.banner else []
    beside = "Curves, histograms and pictures are in `index.html` beside this file."
    parts = [f"# {document.title}", document.lead, *warned, beside]
    for section in document.sections:
        blocks = _without_empty(
            [block for block in section.blocks if not isinstance(block, Panels | Picture)]
        )
        if blocks:
            parts += [f"## {section.title}", *map(_markdown, blocks)]
    return "\n\n".join(parts) + "\n"


def _without_empty(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without headings that nothing follows."""
    empty = [isinstance(block, Heading) for block in blocks] + [True]
    return [block for i, block in enumerate(blocks) if not (empty[i] and empty[i + 1])]


def _markdown(block: Block) -> str:
    match block:
        case Heading(text=text):
            return f"### {text}"
        case Text(text=text, kind=kind):
            return text if kind == "plain" else f"> **{text}**"
        case Findings(items=items):
            return "\n".join(
                f"- {'**Warning:** ' if item.kind == 'warning' else ''}{item.text}"
                for item in items
            )
        case Tiles(tiles=tiles):
            return "\n".join(f"- {tile.label}: **{tile.value}** ({tile.remark})" for tile in tiles)
        case Table():
            return f"{_markdown_table(block)}\n\n{block.caption}"
        case Code(text=text):
            return f"```yaml\n{text}\n```"
        case _:
            raise TypeError(f"no Markdown for {type(block).__name__}")


def _markdown_table(table: Table) -> str:
    ruler = ["---" if i in table.texts else "---:" for i in range(len(table.head))]
    lines = [table.full_head, ruler, *([str(value) for value in row] for row in table.rows)]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )
