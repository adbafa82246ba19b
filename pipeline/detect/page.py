"""A page to go through faces by hand, the most anomalous first: one HTML file, made from
templates/page.html in the looks of the report.

Rows are gathered as they come, and of very many the most anomalous are kept. Their pictures are
read once more when the page is written, one after the other: neither many nor large ones take
memory, and a resumed run gives the same page."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.base import terminal
from pipeline.base.atomic import SUFFIX as PARTIAL
from pipeline.base.atomic import atomic
from pipeline.calibration.thresholds import VERDICTS
from pipeline.common.names import BOX_COLUMNS
from pipeline.detect.cards import card
from pipeline.detect.computing import computing, in_order
from pipeline.detect.detector import UNJUDGED
from pipeline.detect.errors import Unusable
from pipeline.detect.explaining import Explainer
from pipeline.detect.rows import COLUMNS, Row
from pipeline.detect.sources import shown
from pipeline.report.page import TEMPLATES as REPORT

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".html"
MOST_FACES = 2000  # on a page: 6 to 12 MB
ORDER = (*reversed(VERDICTS), UNJUDGED)  # order of the filter's buttons


class Page:
    """The page of a detector's faces; the first `explained` of those that do not pass are explained
    on it.
    """

    def __init__(self, path: Path, explainer: Explainer, explained: int) -> None:
        self.path, self.explainer, self.explained = path, explainer, explained
        self.counts: Counter[str] = Counter()  # of verdicts, of all faces
        self.rows: list[Row] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Take in rows."""
        for row in rows:
            self.counts[row["verdict"]] += 1
            self.rows.append({name: row.get(name) for name in COLUMNS})
        if len(self.rows) > 2 * MOST_FACES:
            self._cut()

    def write(self, files: Iterable[str], sentences: Sequence[str]) -> str:
        """Write the page; returns what to tell about it. files: the paths that were scored;
        sentences: the summary's.
        """
        self._cut()
        on_page = {row["path"] for row in self.rows}
        named = ((shown(path), path) for path in files)
        content = self._content({n: path for n, path in named if n in on_page}, sentences)
        with atomic(self.path) as temporary:
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(_template().generate(content))
            size = temporary.stat().st_size
        faces, total = len(self.rows), self.counts.total()
        which = f"the {faces:,} most anomalous of {total:,}" if faces < total else f"{faces:,}"
        return f"{self.path}: {which} faces, {content['explained']} explained, {size / 1e6:.1f} MB"

    def _cut(self) -> None:
        self.rows.sort(key=_place)
        del self.rows[MOST_FACES:]

    def _content(self, files: Mapping[str, str], sentences: Sequence[str]) -> dict[str, Any]:
        on_page = Counter(row["verdict"] for row in self.rows)
        unpassed = sum(self.counts[verdict] for verdict in VERDICTS[1:])
        cards = self._cards(files)
        first = list(islice(cards, min(unpassed, self.explained)))  # all that can have a map
        return {
            "cards": chain(first, cards),
            "counts": {verdict: on_page[verdict] for verdict in ORDER},
            "faces": len(self.rows),
            "total": self.counts.total(),
            "unpassed": unpassed,
            "explained": sum(each["why"] is not None for each in first),
            "photographs": len(self.explainer.paths),
            "sentences": sentences,
            "key": _key(self.rows),
            "stem": shown(self.path.stem),
        }

    def _cards(self, files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """What the template shows of each face, in order."""

        def see(place: tuple[int, Row]) -> dict[str, Any]:
            number, row = place
            explain = number < self.explained and row["verdict"] in VERDICTS[1:]
            path = files.get(row["path"], row["path"])
            return card(row, path, self.explainer if explain else None)

        with computing():
            seen = in_order(see, enumerate(self.rows))
            yield from terminal.progress(seen, total=len(self.rows), what="page")


def check_name(path: Path, *, replace: bool) -> None:
    """Unusable unless it ends in .html, is not there yet or a file to be replaced, and can be
    written as `atomic` does.
    """
    if path.suffix.lower() != SUFFIX:
        raise Unusable(f"--page {path}: needs a name that ends in {SUFFIX}")
    if path.is_dir():
        raise Unusable(f"--page {path}: a folder; choose another --page")
    if path.exists() and not replace:
        raise Unusable(
            f"{path} is there already: make it anew (--out and --resume), remove it, or choose "
            "another --page"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        TemporaryDirectory(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent).cleanup()
    except OSError as error:
        raise Unusable(f"--page {path}: cannot be written there: {error.strerror}") from None


def _place(row: Row) -> tuple[bool, float, float]:
    """Where a row stands: by p-value, equal ones by score; then those without, unreadable last."""
    p, score = row["p_value"], row["anomaly_score"]
    return p is None, p or 0.0, float("inf") if score is None else -score


def _key(rows: Sequence[Row]) -> str:
    """Under which the browser keeps decisions: the same for the same faces only."""
    names = ("path", *BOX_COLUMNS, "anomaly_score", "detector")
    text = json.dumps([[row[name] for name in names] for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, REPORT]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"script": script, "script_sha256": digest}
    environment.filters["number"] = "{:,}".format
    return environment.get_template("page.html")
