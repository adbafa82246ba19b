"""What a person sees at the end: faces and verdicts by folder, what went wrong, and whether the
false alarm rate can be trusted there.
"""

import os
import textwrap
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import terminal
from pipeline.calibration.rates import Size, guarantee
from pipeline.calibration.thresholds import VERDICTS
from pipeline.detect.detector import UNJUDGED
from pipeline.detect.domain import chance
from pipeline.detect.model import Model

FOLDERS_SHOWN = 12
NAME = terminal.WIDTH - 46  # characters beside the numbers
FEWEST_TO_COMPARE = 20  # faces of a folder: with fewer the test finds hardly anything
UNLIKELY = 1e-3  # the chance below which a folder is said to differ
ALL = "all"


@dataclass(slots=True)
class Folder:
    """What is known of the faces of a folder: eight bytes each."""

    verdicts: Counter[str] = field(default_factory=Counter)
    scores: "array[float]" = field(default_factory=lambda: array("d"))  # of judged faces

    def line(self, name: str) -> dict[str, Any]:
        """A row of the table."""
        columns = (*VERDICTS, UNJUDGED, "unreadable")
        if len(name) > NAME:  # folders of one place differ at their ends
            name = f"…{name[1 - NAME :]}"
        return {"folder": name, **{column: self.verdicts[column] for column in columns}}


class Summary:
    """Counts rows as they come."""

    def __init__(self, framing: str) -> None:
        """framing: of the faces, as `crops` names it."""
        self.framing = framing
        self.folders: dict[str, Folder] = {}
        self.errors: Counter[str] = Counter()
        self.unjudged: Counter[str] = Counter()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows."""
        for row in rows:
            folder = self.folders.setdefault(os.path.dirname(row["path"]) or ".", Folder())
            if row["error"]:
                folder.verdicts["unreadable"] += 1
                self.errors[row["error"].partition(" (")[0]] += 1
                continue
            folder.verdicts[row["verdict"]] += 1
            if row["verdict"] == UNJUDGED:
                self.unjudged[row["reason"].partition("; ")[0]] += 1
            else:
                folder.scores.append(row["anomaly_score"])

    def text(self, model: Model, passed_over: Mapping[str, int]) -> str:
        """The table and the sentences below it, in 80 columns."""
        lines = self.sentences(model, passed_over)
        wrapped = [textwrap.fill(line, terminal.WIDTH, subsequent_indent="  ") for line in lines]
        return "\n".join([self._table(), *wrapped])

    def sentences(self, model: Model, passed_over: Mapping[str, int]) -> list[str]:
        """What could not be judged, what verdicts mean, and where they cannot be trusted; the
        latter begin with "caution".
        """
        counts = [
            _counted(what, found)
            for what, found in (
                ("unreadable", self.errors),
                (UNJUDGED, self.unjudged),
                ("passed over", passed_over),
            )
            if found
        ]
        return [*counts, *self._rates(model), *self._cautions(model)]

    def _table(self) -> str:
        order = sorted(self.folders.items(), key=lambda item: -item[1].verdicts["flag"])
        rows = [folder.line(name) for name, folder in order[:FOLDERS_SHOWN]]
        if len(order) > 1:
            total = Folder(sum((folder.verdicts for folder in self.folders.values()), Counter()))
            more = len(order) - FOLDERS_SHOWN
            rows.append(total.line(f"{ALL} ({more} more folders)" if more > 0 else ALL))
        return terminal.format_table(rows)

    def _rates(self, model: Model) -> list[str]:
        """What the verdicts mean."""
        n, rates = model.calibration_faces, model.rates
        law = guarantee(Size(n, n), rates.flag)
        judged = sum(len(folder.scores) for folder in self.folders.values())
        lines = [
            f"flag: p <= {rates.flag:g}, review: p <= {rates.review:g}. Of photographs like the "
            f"{n:,} calibration photographs {terminal.percent(law['low'])} to "
            f"{terminal.percent(law['high'])} are flagged (95 %, each of another "
            f"person): of {judged:,} such about {judged * law['mean']:.3g}. A "
            "p-value is no probability of being AI-generated."
        ]
        if self.framing and model.framing is None:
            lines.append(
                "caution: the model's own calibration does not say how its faces were framed, so "
                "that its rates may not hold for faces that --crop auto finds: calibrate on such "
                "(--calibrate)"
            )
        if model.sizes is None:
            lines.append(
                "caution: the calibration file has no sizes of its photographs, so that faces of "
                "other sizes are judged like any: run calibrate again"
            )
        return lines

    def _cautions(self, model: Model) -> list[str]:
        """Folders whose faces are not like the calibration photographs."""
        lines, review = [], model.rates.review
        for name, folder in self.folders.items():
            if (m := len(folder.scores)) < FEWEST_TO_COMPARE:
                continue
            if chance(folder.scores, model.decisions.scores) >= UNLIKELY:
                continue
            share = sum(folder.verdicts[verdict] for verdict in VERDICTS[1:]) / m
            lines.append(
                f"caution, {name}: its {m:,} faces are more unusual than photographs like the "
                f"calibration's ({terminal.percent(share)} have p <= {review:g}). Either some are "
                "AI-generated, or these are other photographs (camera, size, compression), and "
                "then the false alarm rate does not hold for them. Look at some; if they are "
                "photographs, calibrate on such ones (--calibrate)"
            )
        hidden = len(lines) - FOLDERS_SHOWN
        return lines[:FOLDERS_SHOWN] + ([f"caution: {hidden} more such folders"] * (hidden > 0))


def _counted(what: str, found: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} x {reason}" for reason, count in Counter(found).most_common())
    return f"{what}: {counts}"
