"""A report as plain blocks, written once and rendered as Markdown and as one self-contained HTML page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Text:
    """A paragraph; `good` and `warning` are set apart."""

    text: str
    kind: Literal["plain", "good", "warning"] = "plain"


class Tile(NamedTuple):
    """One figure that a reader should take away."""

    label: str
    value: str
    remark: str


@dataclass(frozen=True)
class Tiles:
    """A row of tiles."""

    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Table:
    """Cells are texts, as shown; the first `text_columns` columns are set to the left, the rest to the right.

    groups: titles above the columns with the number of columns each spans. last_is_total: set the last row apart.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    groups: Sequence[tuple[str, int]] = ()
    text_columns: int = 1
    last_is_total: bool = False

    @property
    def group_starts(self) -> set[int]:
        """Columns at which a titled group begins."""
        starts = [0, *accumulate(span for _, span in self.groups)]
        return {start for start, (title, _) in zip(starts, self.groups, strict=False) if title}

    @property
    def full_head(self) -> list[str]:
        """Column titles that stand without the groups."""
        titles = [title for title, span in self.groups for _ in range(span)] or [""] * len(self.head)
        return [f"{title}: {name}" if title else name for title, name in zip(titles, self.head, strict=True)]


class LegendEntry(NamedTuple):
    """A line's name and look."""

    label: str
    colour: str
    dashed: bool


@dataclass(frozen=True)
class Panels:
    """Small drawings (inline SVG, from figures.py) side by side; `alt` says in words what each shows."""

    svgs: Sequence[str]
    alts: Sequence[str]
    caption: str
    legend: Sequence[LegendEntry] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    png: bytes
    alt: str
    caption: str

    @property
    def uri(self) -> str:
        """The picture itself as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")


@dataclass(frozen=True)
class Code:
    """Text as it stands, in a typewriter face."""

    text: str


Block = Text | Tiles | Table | Panels | Picture | Code


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
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["block"] = lambda block, name: type(block).__name__ == name
    return environment.get_template("report.html").render(document=document) + "\n"


def to_markdown(document: Document) -> str:
    """The same texts and tables, without drawings and pictures, and without the sections that are nothing else."""
    parts = [f"# {document.title}", document.lead]
    if document.banner:
        parts.append(f"> **{document.banner}**")
    parts.append("Curves, histograms and pictures are in `index.html` beside this file.")
    for section in document.sections:
        shown = [block for block in section.blocks if not isinstance(block, Panels | Picture)]
        if len(shown) == len(section.blocks) or not all(isinstance(block, Text) for block in shown):
            parts += [f"## {section.title}", *map(_markdown, shown)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Text(text=text, kind=kind):
            return text if kind == "plain" else f"> **{text}**"
        case Tiles(tiles=tiles):
            return "\n".join(f"- {tile.label}: **{tile.value}** ({tile.remark})" for tile in tiles)
        case Table():
            return f"{_markdown_table(block)}\n\n{block.caption}"
        case Code(text=text):
            return f"```yaml\n{text}\n```"
        case _:
            raise TypeError(f"no Markdown for {type(block).__name__}")


def _markdown_table(table: Table) -> str:
    ruler = ["---" if i < table.text_columns else "---:" for i in range(len(table.head))]
    lines = [table.full_head, ruler, *table.rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines)
