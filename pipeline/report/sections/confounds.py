"""What the report says of file formats: how the sets differ in them, what they give away, and
results without them.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.report.document import Cell, Heading, LegendEntry, Panels, Table, Text
from pipeline.report.figures import checks
from pipeline.report.figures.canvas import PALETTE, Drawings, Value
from pipeline.report.results import Results
from pipeline.report.sections.generators import ranged
from pipeline.report.wording import DASH, cell, listed, number, percent

STATES = ("as_found", "harmonised")


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    found = results.confounds
    warnings = [Text(warning, "warning") for warning in found["warnings"]]
    missing = [
        Text(f"Not computed: {what}: {why}", "warning")
        for what, why in found.get("not_computed", {}).items()
    ]
    text = (
        "Where the two classes come in different formats, sizes or qualities, a detector may know "
        "the format instead of the "
        "face. These are the files as they are; below, what a classifier learns from the files' "
        "metadata alone, and the "
        "results after every face went through the same resize and the same JPEG compression."
    )
    harmonised = found["harmonised"]
    counts = harmonised["faces"].values()
    faces = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
    alarms = {state: harmonised["false_alarm_rate"][state] for state in STATES}
    both = [
        str(ranged(Value(*(alarms[state][key] for key in ("value", "low", "high"))), percent))
        for state in STATES
    ]
    how = (
        f"Harmonised: {harmonised['side']} × {harmonised['side']} pixels by the "
        f"{harmonised['kernel']} kernel, JPEG quality "
        f"{harmonised['jpeg_quality']}. The mixture was fitted again on "
        f"{harmonised['fit_faces']:,} photographs, once as found "
        f"and once harmonised, and tested on {faces} faces of each set. False alarms on "
        f"photographs: {both[0]} as found, "
        f"{both[1]} harmonised."
    )
    fits = [Text(f"Fit, {warning}", "warning") for warning in harmonised["warnings"]]
    return [Text(text), *warnings, _files(_ordered(found["sets"], results.generators)), Heading("Results without format cues"),
            Text(how), *fits, *missing, _drawn(results, panels), _table(results)]  # fmt: skip


def _ordered(sets: Mapping[str, Any], generators: list[str]) -> dict[str, Any]:
    """Photographs first, then the generators in the order of params.yaml."""
    return {
        name: sets[name]
        for name in (*sorted(sets.keys() - set(generators)), *generators)
        if name in sets
    }


def _files(sets: Mapping[str, Mapping[str, Any]]) -> Table:
    rows: list[list[str | Cell]] = []
    for name, files in sets.items():
        quality = files["jpeg_quality"]
        rows.append([
            name, _counted(files["formats"]), _counted(files["sizes"]), _spread(files["width"]), _spread(files["height"]),
            _spread(quality), _counted(files["chroma_subsampling"]) or DASH,
            Cell(f"{files['faces']:,}", value=files["faces"]), Cell(f"{files['with_exif']:,}", value=files["with_exif"]),
            Cell(cell(files["bytes_per_pixel"], lambda value: number(value, 2)), value=files["bytes_per_pixel"]),
        ])  # fmt: skip
    return Table(
        ["face set", "formats", "sizes", "width", "height", "JPEG quality", "chroma subsampling", "faces", "with EXIF",
         "bytes per pixel"],
        rows,
        "The files of each face set; widths, heights and qualities as median and range. Look for a "
        "column in which the "
        "generators differ from the photographs.",
        text_columns=7,
        sortable=True,
    )  # fmt: skip


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} ({n:,})"
        for name, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _spread(values: Mapping[str, float] | None) -> str:
    if values is None or values["median"] is None:
        return DASH
    low, middle, high = (values[key] for key in ("min", "median", "max"))
    return f"{middle:g}" if low == high else f"{middle:g} ({low:g}{DASH}{high:g})"


def _pair(content: Mapping[str, Mapping[str, Any]], name: str = "value") -> tuple[Value, Value]:
    found, harmonised = (
        Value(content[state][name], content[state]["low"], content[state]["high"])
        for state in STATES
    )
    return found, harmonised


def _drawn(results: Results, panels: Drawings) -> Panels:
    found = results.confounds
    parts = {
        "detector: ROC AUC": {
            g: _pair(found["harmonised"]["generators"][g]["auc"]) for g in results.generators
        },
        "metadata alone: ROC AUC": {
            g: _pair(found["metadata_classifier"]["generators"][g], "auc")
            for g in results.generators
        },
    }
    svgs, alts = [], []
    for label, values in parts.items():
        said = [
            f"{g} {cell(a.value)} as found, {cell(b.value)} harmonised"
            for g, (a, b) in values.items()
        ]
        alts.append(f"{label}: " + "; ".join(said))
        drawing = checks.before_and_after(values, label)
        svgs.append(panels.draw(drawing, alts[-1], width=4.2, height=0.9 + 0.32 * len(values)))
    caption = (
        "Each generator as found (square) and harmonised (circle), with 95 % intervals; the dashed "
        "line is chance. First "
        "panel: the detector. A fall shows how much of its AUC rested on what harmonising removes: "
        "formats, but fine traces of "
        "the generator as well. Second panel: the classifier that sees metadata alone. Harmonised "
        "it is at chance by "
        "construction, a check that no trace of the format is left."
    )
    legend = [
        LegendEntry("as found", PALETTE[1], "", "s"),
        LegendEntry("harmonised", PALETTE[0], "", "o"),
    ]
    return Panels(svgs, alts, caption, legend)


def _table(results: Results) -> Table:
    found = results.confounds
    metadata, generators = found["metadata_classifier"], found["harmonised"]["generators"]
    rows: list[list[str | Cell]] = []
    for name in results.generators:
        size = found["bytes_per_pixel_auc"][name]
        rows.append([
            name,
            *(ranged(value) for value in _pair(generators[name]["auc"])),
            *(ranged(value, percent) for value in _pair(generators[name]["detection_rate"])),
            *(ranged(value) for value in _pair(metadata["generators"][name], "auc")),
            *(Cell(cell(size[state]), value=size[state]) for state in STATES),
        ])  # fmt: skip
    mean = found["harmonised"]["mean"]
    means = [cell(mean["auc"][state]) for state in STATES] + [
        cell(mean["detection_rate"][state], percent) for state in STATES
    ]
    rows.append(["mean", *means, "", "", "", ""])
    return Table(
        ["generator", *["as found", "harmonised"] * 4],
        rows,
        "Detected is at the headline rate. The metadata classifier sees "
        f"{listed([column.replace('_', ' ') for column in metadata['columns']])}. Bytes per pixel "
        "measure noise and detail as "
        "well as format, so they are shown apart. Below 0.5 the generator's files are the smaller "
        "ones: 0 tells the classes "
        "apart as well as 1.",
        groups=[
            ("", 1),
            ("ROC AUC", 2),
            ("detected", 2),
            ("metadata alone, AUC", 2),
            ("bytes per pixel alone, AUC", 2),
        ],
        last_is_total=True,
        sortable=True,
    )
