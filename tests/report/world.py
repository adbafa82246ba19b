"""Results for the tests of the report: what the stages wrote of a miniature run (results/), with
pictures drawn here; and a page read back.
"""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.base import params
from pipeline.common.contact_sheet import contact_sheet
from pipeline.report import page
from pipeline.report.results import Results, read

RESULTS = Path(__file__).parent / "results"
GENERATORS, PERTURBATIONS = ["sim_latent", "sim_rolloff"], ["jpeg_75", "blur_1"]
REVIEW, FLAG = "at_10_percent", "at_5_percent"
COMMAND = [
    "--data", "data", "--metrics", "metrics", "--root", "data/sample",
    "--figure", "metrics/overview.png", "--output", "data/report",
]  # fmt: skip


def write(folder: Path) -> None:
    """Everything that the stage reads, below a folder."""
    shutil.copytree(RESULTS, folder, dirs_exist_ok=True)
    grey = [[np.full((24, 24, 3), 60 * i, np.uint8)] * 3 for i in range(3)]
    sheets = ["data/manipulated/examples.png", "metrics/sample.png"]
    for name in GENERATORS:
        sheets += [f"data/evaluation/faces/{name}.png", f"data/explanations/{name}.png"]
    for sheet in sheets:
        (folder / sheet).parent.mkdir(exist_ok=True)
        contact_sheet(grey, None, folder / sheet)
    text = (Path(params.__file__).parents[2] / "params.yaml").read_text()
    for name, values in {"generators": GENERATORS, "perturbations": PERTURBATIONS}.items():
        text = re.sub(rf"(?ms)^{name}:.*?(?=^\w|\Z)", f"{name}: [{', '.join(values)}]\n", text)
    (folder / "params.yaml").write_text(text)


def made(folder: Path) -> Results:
    """The results, written and read."""
    write(folder)
    return read(folder / "data", folder / "metrics", GENERATORS, PERTURBATIONS)


def html(results: Results, root: str = "data/sample") -> str:
    """The page."""
    return page.html(results, {"seed": 7}, {"code": "abc123", "numpy": "2.0"}, root)


class Table(NamedTuple):
    """A table of the page: texts of its cells, with notes in brackets, by the first cell."""

    caption: str
    head: list[str]
    rows: dict[str, list[str]]
    marked: list[str]  # first cells of the rows that are set apart


class Reader(HTMLParser):
    """Tables, and texts by the class of their element, in the order of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.said: dict[str, list[str]] = {}
        self.images: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._row: list[str] = []
        self.feed(text.replace("\N{NO-BREAK SPACE}", " "))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin what the element holds."""
        kind = str(dict(attrs).get("class"))
        if tag == "table":
            self.tables.append(Table("", [], {}, []))
        elif tag == "img":
            self.images.append(str(dict(attrs)["alt"]))
        elif tag in ("td", "th"):
            self._row.append("")
        elif tag in ("p", "li", "h2", "h3", "dd"):
            self.said.setdefault(kind if kind != "None" else tag, []).append("")
        if tag not in ("meta", "link", "img", "wbr", "path"):
            self._open.append((tag, kind))

    def handle_endtag(self, tag: str) -> None:
        """End a row of a table."""
        _, kind = self._open.pop() if self._open else ("", "")
        if tag == "tr" and self._row:
            cells, self._row = self._row, []
            if ("thead", "None") in self._open:
                self.tables[-1] = self.tables[-1]._replace(head=cells)
            else:
                self.tables[-1].rows[cells[0]] = cells[1:]
                self.tables[-1].marked.extend(cells[:1] if kind == "marked" else [])

    def handle_data(self, data: str) -> None:
        """Add a text to the innermost of what is collected."""
        for tag, kind in reversed(self._open):
            if tag in ("td", "th"):
                self._row[-1] += f" ({data})" if self._open[-1][0] == "small" else data
            elif tag == "caption":
                self.tables[-1] = self.tables[-1]._replace(
                    caption=self.tables[-1].caption + data.strip()
                )
            elif tag in ("p", "li", "h2", "h3", "dd"):
                self.said[kind if kind != "None" else tag][-1] += data
            else:
                continue
            return

    def table(self, caption: str) -> Table:
        """The one table with these words in its caption."""
        (found,) = [table for table in self.tables if caption in table.caption]
        return found
