"""Results for the tests of the report: what the stages wrote of a miniature run (results/), with
pictures drawn here; and a page read back.
"""

import re
import shutil
from html import unescape
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
    "--params", "params.yaml", "--figure", "metrics/overview.png", "--output", "data/report",
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


class Reader:
    """Tables, and texts by the class of their element or else its name, in the page's order."""

    def __init__(self, page: str) -> None:
        self.tables = [_table(part) for part in re.findall(r"(?s)<table.*?</table>", page)]
        self.images = re.findall(r'<img [^>]*alt="([^"]*)"', page)
        self.said: dict[str, list[str]] = {}
        texts = r'(?s)<(p|li|h2|h3|dd)\b(?: [^>]*?class="([^"]*)")?[^>]*>(.*?)</\1>'
        for tag, kind, text in re.findall(texts, page.partition("<main>")[0] + _main(page)):
            self.said.setdefault(kind or tag, []).append(_plain(text))

    def table(self, caption: str) -> Table:
        """The one table with these words in its caption."""
        (found,) = [table for table in self.tables if caption in table.caption]
        return found


def _main(page: str) -> str:
    return re.sub(r"(?s)<table.*?</table>|<svg.*?</svg>", "", page.partition("<main>")[2])


def _plain(part: str) -> str:
    """The text of a part, notes in brackets."""
    noted = re.sub(r"<small>(.*?)</small>", r" (\1)", part)
    return unescape(re.sub(r"<[^>]+>", "", noted)).replace("\N{NO-BREAK SPACE}", " ").strip()


def _table(part: str) -> Table:
    caption = _plain(part.partition("<caption>")[2].partition("</caption>")[0])
    head, *rows = [
        (kind, [_plain(cell) for cell in re.findall(r"(?s)<t[hd]\b.*?</t[hd]>", row)])
        for kind, row in re.findall(r'(?s)<tr(?: class="(\w+)")?>(.*?)</tr>', part)
        if 'scope="colgroup"' not in row
    ]
    marked = [cells[0] for kind, cells in rows if kind == "marked"]
    return Table(caption, head[1], {cells[0]: cells[1:] for _, cells in rows}, marked)
