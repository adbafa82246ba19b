"""The report: its sections in order, the summary that comes first, and the provenance that comes last."""

from collections.abc import Mapping
from typing import Any

from pipeline.document import Code, Document, Findings, Heading, Panels, Section, Table, Text, Tile, Tiles
from pipeline.figures import detection
from pipeline.figures.canvas import Drawings
from pipeline.results import Results
from pipeline.sections import background, calibration, confounds, controls, feature_space, generators, robustness, worries
from pipeline.wording import cell, chosen, percent, plural, span


def document(results: Results, settings: Mapping[str, Any], provenance: Mapping[str, Any], root: str) -> Document:
    """The whole report. settings: all parameters by section. provenance: `revision` and `versions`. root: of the data."""
    panels = Drawings()
    lead = (
        "Faces are called AI-generated where photographs hardly ever look like them. The detector has seen photographs only; "
        "the anomaly score is minus the log-likelihood of a face's features, so higher means more anomalous."
    )
    sections = [
        Section("summary", "Summary", _summary(results, panels)),
        Section("generators", "Per generator", generators.section(results, panels)),
        Section("controls", "Controls", controls.section(results, panels)),
        Section("robustness", "Robustness", robustness.section(results, panels)),
        Section("confounds", "Formats and resolution", confounds.section(results, panels)),
        Section("features", "Feature space and pictures", feature_space.section(results, panels)),
        Section("calibration", "Calibration", calibration.section(results, panels)),
        Section("pretext", "Pretext task", background.pretext(results, panels)),
        Section("data", "Data", background.data(results, panels)),
        Section("provenance", "Provenance", _provenance(settings, provenance)),
    ]
    return Document("AI-generated faces as anomalies", lead, banner(results, root), sections)


def banner(results: Results, root: str) -> str:
    """What the reader must know first about the data: that it is simulated, or nothing."""
    simulated = results.simulated
    if not simulated:
        return ""
    which = "All generators are" if len(simulated) == len(results.generators) else f"{', '.join(simulated)} are"
    return (
        f"Simulated data ({root}). {which} simulated, and so are the photographs: these numbers show that the pipeline works "
        "as it should. They say nothing about real cameras, real faces or real generators."
    )


def _summary(results: Results, panels: Drawings) -> list[Any]:
    worried = worries.all_of(results)
    count = sum(item.kind == "warning" for item in worried)
    said = "What to worry about" if count else "What to worry about: nothing was found"
    return [_tiles(results), Heading(said), Findings(worried), _overview(results, panels)]


def _tiles(results: Results) -> Tiles:
    mean, worst = results.evaluation["mean"], results.evaluation["worst"]
    rate = results.rates[results.headline]
    detected, over = mean[results.headline], f"mean of {plural(len(results.generators), 'generator')}"
    exact = span(rate["exact_95"]["low"], rate["exact_95"]["high"], percent)
    holds = rate["verdict"] == "holds"
    test = results.calibration["test_faces"]
    return Tiles([
        Tile("ROC AUC", cell(mean["auc"]), f"{_interval(span(mean['auc_low'], mean['auc_high']))}; {over}"),
        Tile("Worst generator", cell(worst["auc"]),
             f"{_interval(span(worst['auc_low'], worst['auc_high']))}; ROC AUC of {worst['generator']}"),
        Tile(f"Detected at {chosen(rate['chosen'])} false alarms", cell(detected["detection_rate"], percent),
             f"{_interval(span(detected['detection_rate_low'], detected['detection_rate_high'], percent))}; {over}"),
        Tile("False alarms", percent(rate["false_alarm_rate"]),
             f"{_interval(exact)}; {rate['false_alarms']:,} of {test:,} test photographs. Chosen {chosen(rate['chosen'])}: "
             f"{rate['verdict']}", "good" if holds else "warning"),
    ])  # fmt: skip


def _interval(text: str) -> str:
    return f"95 % interval {text}" if text else "no interval"


def _overview(results: Results, panels: Drawings) -> Panels:
    rows, rate = generators.bars(results), results.rates[results.headline]["chosen"]
    said = [f"{row.name}: detected {cell(row.detection_rate.value, percent)}, AUC {cell(row.auc.value)}" for row in rows]
    alt = "; ".join(said)
    drawing = panels.draw(detection.detection(rows, rate), alt, width=4.2, height=0.8 + 0.26 * len(rows))
    caption = (
        f"Share of each generator's faces that are detected at {chosen(rate)} false alarms, with 95 % intervals. The dashed "
        "line is that rate: a detector that knows nothing would reach it. At the right, the share and the ROC AUC."
    )
    return Panels([drawing], [alt], caption)


def _provenance(settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[Any]:
    import yaml

    rows = [["code (last commit that touched it)", provenance["revision"]]]
    rows += [[name, version] for name, version in provenance["versions"].items()]
    caption = "The same revision, parameters, data and versions give the same numbers on the same kind of machine."
    dumped = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)
    return [Table(["what", "version"], rows, caption, text_columns=2), Text("Parameters:"), Code(dumped.rstrip())]
