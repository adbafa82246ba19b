"""What the report says of the controls: detectors that should not work, or only in part."""

from typing import Any

from pipeline.document import Cell, Panels, Table
from pipeline.figures import checks
from pipeline.figures.canvas import Drawings, Value
from pipeline.results import Results
from pipeline.sections.generators import ranged
from pipeline.wording import cell

THIS = "this detector"


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    found = results.controls
    mine = Value(*(found["detector"][key] for key in ("auc", "low", "high")))
    values = {THIS: (mine, "mine")}
    rows: list[list[str | Cell]] = [[THIS, ranged(mine), "", "", "", "mean over the generators, on the controls' faces", ""]]
    for control in found["controls"]:
        value = Value(control["auc"], control["low"], control["high"])
        judged = "suspicious" if control["suspicious"] else "in order" if control["auc"] is not None else "not computed"
        values[control["title"]] = (value, judged)
        faces = Cell(f"{control['faces']:,}", value=control["faces"])
        texts = (control["detail"], control["if_high"])
        rows.append([control["title"], ranged(value), faces, control["expected"], judged, *texts])
    table = Table(
        ["control", "ROC AUC", "faces", "expected", "judged", "what it is", "what a high value would mean"],
        rows,
        "Controls, with 95 % intervals. A detector is trusted only as far as what should fail does fail; rows that are set "
        "apart came out higher than they should.",
        text_columns=(0, 3, 4, 5, 6),
        marked=frozenset(i for i, row in enumerate(rows) if row[4] == "suspicious"),
    )
    alt = "ROC AUC: " + "; ".join(f"{name} {cell(value.value)}" for name, (value, _) in values.items())
    drawing = panels.draw(checks.controls(values), alt, width=4.4, height=0.9 + 0.27 * len(values))
    caption = (
        "The detector (diamond) and the controls with their 95 % intervals; the dashed line is chance, a cross is suspicious. "
        "Look for the distance between the detector and the controls."
    )
    return [Panels([drawing], [alt], caption), table, *_by_generator(results)]


def _by_generator(results: Results) -> list[Table]:
    shown = [control for control in results.controls["controls"] if control["generators"]]
    if not shown:
        return []
    rows: list[list[str | Cell]] = []
    for name in results.generators:
        aucs = [control["generators"].get(name) for control in shown]
        rows.append([name, *(Cell(cell(auc), value=auc) for auc in aucs)])
    caption = "ROC AUC of the controls per generator: which of them a shortcut would explain."
    return [Table(["generator", *(control["title"] for control in shown)], rows, caption, sortable=True)]
