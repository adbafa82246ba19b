"""What the report says of the controls: detectors that should not work, or only in part."""

from collections.abc import Mapping
from typing import Any

from pipeline.audit.questions import TRIVIAL, judged
from pipeline.report.document import Cell, Panels, Table, Text
from pipeline.report.figures import checks
from pipeline.report.figures.canvas import Drawings, Value
from pipeline.report.results import Results
from pipeline.report.sections.generators import ranged
from pipeline.report.wording import cell, sentence

THIS = "this detector"


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    found = results.controls
    every = {
        THIS: found["detector"],
        **{control["title"]: control for control in found["controls"]},
    }
    values = {title: Value(row["auc"], row["low"], row["high"]) for title, row in every.items()}
    mine = found["detector"]["auc"]
    kinds = {
        THIS: "mine",
        **{control["title"]: judged(control, mine) for control in found["controls"]},
    }
    drawn = {title: (value, kinds[title]) for title, value in values.items()}
    alt = "ROC AUC: " + "; ".join(f"{name} {cell(value.value)}" for name, value in values.items())
    drawing = panels.draw(checks.controls(drawn), alt, width=4.4, height=0.9 + 0.27 * len(values))
    caption = (
        "The detector (diamond) and the controls with their 95 % intervals; the dashed line is "
        "chance, a cross came out "
        "higher than it should. Look for the distance between the detector and the controls. All "
        "rest on a part of the faces, "
        "which is why the detector's AUC is not quite that of the summary."
    )
    left = dict.fromkeys(pair for row in every.values() for pair in row["left_out"].items())
    notes = [
        Text(f"Left out: {name}: {reason}. The means are over the others.", "warning")
        for name, reason in left
    ]
    return [
        Panels([drawing], [alt], caption),
        *notes,
        _table(found, values, kinds),
        *_by_generator(results.generators, every),
    ]


def _table(
    found: Mapping[str, Any], values: Mapping[str, Value], kinds: Mapping[str, str]
) -> Table:
    mine = found["detector"]
    committed = (
        f"the pipeline's own mixture: AUC {cell(mine['committed']['auc'])} on the same faces"
    )
    detail = Cell(sentence(mine["detail"]), committed)
    rows: list[list[str | Cell]] = [[THIS, ranged(values[THIS]), _faces(mine), "", "", detail, ""]]
    for control in found["controls"]:
        title, expected = control["title"], Cell(control["expected"], control["rule"])
        texts = [sentence(control["detail"]) if control["detail"] else "", control["if_high"]]
        rows.append([title, ranged(values[title]), _faces(control), expected, kinds[title], *texts])
    return Table(
        [
            "control",
            "ROC AUC",
            "faces",
            "expected",
            "judged",
            "how it was made",
            "what a high value would mean",
        ],
        rows,
        "Controls, with 95 % intervals, beside the detector fitted again on the same photographs. "
        "A detector is trusted only "
        "as far as what should fail does fail; rows that are set apart came out higher than they "
        "should. A control that may "
        "work, such as a head alone, tells what carries the detector.",
        text_columns=(0, 3, 4, 5, 6),
        marked=frozenset(i for i, row in enumerate(rows) if row[4] in ("suspicious", TRIVIAL)),
    )


def _faces(row: Mapping[str, Any]) -> Cell:
    return Cell(f"{row['faces']:,}", value=row["faces"])


def _by_generator(names: list[str], every: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    shown = {title: row["generators"] for title, row in every.items() if row["generators"]}
    if not shown:
        return []
    rows: list[list[str | Cell]] = [
        [name, *(Cell(cell(aucs.get(name)), value=aucs.get(name)) for aucs in shown.values())]
        for name in names
    ]
    caption = "ROC AUC per generator: where a control is as high as the detector, that shortcut would explain what is detected."
    return [Table(["generator", *shown], rows, caption, sortable=True)]
