"""What the report says of the detector: sections of texts, tables and drawings, made from the results of the stages."""

from collections.abc import Mapping
from typing import Any

from pipeline import background, figures
from pipeline.document import Code, Document, LegendEntry, Panels, Picture, Section, Table, Text, Tile, Tiles
from pipeline.results import Results
from pipeline.wording import interval, number, percent, plural, verdict_of_rate, verdict_of_real_against_real


def document(results: Results, settings: Mapping[str, Any], provenance: Mapping[str, Any], root: str) -> Document:
    """The whole report. settings: all parameters by section. provenance: `revision` and `versions`. root: of the data."""
    panels = figures.Drawings()
    lead = (
        "Faces are called AI-generated where photographs hardly ever look like them. The detector has seen photographs only; "
        "the anomaly score is minus the log-likelihood of a face's features, so higher means more anomalous."
    )
    sections = [
        Section("results", "Results", _results(results, panels)),
        Section("decision", "Threshold and false alarms", _decision(results)),
        Section("scores", "Curves and scores", _scores(results, panels)),
        Section("faces", "Most and least anomalous faces", _faces(results)),
        Section("pretext", "Pretext task", background.pretext(results, panels)),
        Section("mixture", "Density of photographs", background.mixture(results)),
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


def bars(results: Results) -> list[figures.Bar]:
    """What the overview shows of each generator."""
    table = results.evaluation
    return [figures.Bar(name, table[name]["detection_rate"], table[name]["auc"]) for name in results.generators]


def curves(results: Results) -> dict[str, figures.Curve]:
    """ROC curves by generator."""
    return {name: (curve["fpr"], curve["tpr"]) for name, curve in results.roc.items()}


def _results(results: Results, panels: figures.Drawings) -> list[Any]:
    table, calibration = results.evaluation, results.calibration
    mean, test, rate = table["mean"], calibration["test"], calibration["chosen_false_alarm_rate"]
    worst = min(results.generators, key=lambda name: table[name]["auc"])
    over = f"mean of {plural(len(results.generators), 'generator')}"
    tiles = [
        Tile("ROC AUC", number(mean["auc"]), f"{over}; lowest: {worst}, {number(table[worst]['auc'])}"),
        Tile("AI-generated faces detected", percent(mean["detection_rate"]), f"{over}, at the threshold"),
        Tile("False alarms", percent(test["false_alarm_rate"]), f"chosen: {percent(rate)}"),
        Tile("Photographs against photographs", number(calibration["real_against_real_auc"]), "ROC AUC; 0.5 is no difference"),
    ]
    alt = "; ".join(f"{bar.name}: detected {percent(bar.detection_rate)}, AUC {number(bar.auc)}" for bar in bars(results))
    bar_chart = panels.draw(figures.detection(bars(results), rate), alt, width=4.5, height=0.8 + 0.26 * len(results.generators))
    caption = (
        "Share of each generator's faces that are detected. The dashed line is the chosen false alarm rate: a detector that "
        "knows nothing would reach it. At the right, the ROC AUC."
    )
    return [Tiles(tiles), Panels([bar_chart], [alt], caption), _summary(results)]


def _summary(results: Results) -> Table:
    rated = ("accuracy", "false_alarm_rate", "detection_rate")
    rows = []
    for name, content in results.evaluation.items():
        faces = f"{content['generated_faces']:,}" if "generated_faces" in content else ""
        ranks = [number(content[key]) for key in ("auc", "ap_generated", "ap_photographic")]
        rates = [percent(part[key]) for part in (content, content["paper_protocol"]) for key in rated]
        rows.append([name, faces, *ranks, *rates])
    photographs = next(iter(results.evaluation.values()))["photographic_faces"]
    return Table(
        head=["generator", "faces", "ROC AUC", "AP, generated", "AP, photographic",
              *["accuracy", "false alarms", "detected"] * 2],
        groups=[("", 2), ("without a threshold", 3), ("calibrated threshold", 3), ("paper_protocol", 3)],
        rows=rows,
        caption=f"Every generator against the same {photographs:,} photographs. AP is average precision with the named class "
        "as positive; it depends on how many faces there are of each, and so does accuracy. paper_protocol is the authors' "
        "threshold, from the very faces that the mixture was fitted on: for comparison with the paper only.",
        last_is_total=True,
    )  # fmt: skip


def _decision(results: Results) -> list[Any]:
    calibration = results.calibration
    test, paper, rate = calibration["test"], calibration["paper_protocol"], calibration["chosen_false_alarm_rate"]
    guarantee, low_high = calibration["guarantee_95"], test["clopper_pearson_95"]
    rows = [
        [name, number(part["threshold"], 2), percent(rate), percent(achieved["false_alarm_rate"]),
         f"{achieved['false_alarms']:,} of {test['test_faces']:,}"]
        for name, part, achieved in (
            (f"calibration photographs ({calibration['calibration_faces']:,})", calibration, test),
            ("fit photographs: paper_protocol", paper, paper),
        )
    ]  # fmt: skip
    verdict, good = verdict_of_rate(test, rate)
    real, alike = verdict_of_real_against_real(calibration)
    caption = (
        f"False alarms on test photographs, which neither the mixture nor the threshold has seen. With "
        f"{calibration['calibration_faces']:,} calibration photographs the true rate lies between "
        f"{interval(guarantee)} in 95 % of cases. The test photographs alone say: between {interval(low_high)} "
        "(Clopper-Pearson, 95 %)."
    )
    return [
        Text(verdict, "good" if good else "warning"),
        Table(["threshold from", "threshold", "chosen", "achieved", "false alarms"], rows, caption),
        Text(real, "good" if alike else "warning"),
    ]


def _scores(results: Results, panels: figures.Drawings) -> list[Any]:
    return [_roc(results, panels), _histograms(results, panels)]


def _roc(results: Results, panels: figures.Drawings) -> Panels:
    styles, rate = figures.looks(results.generators), results.calibration["chosen_false_alarm_rate"]
    auc = {name: number(results.evaluation[name]["auc"]) for name in results.generators}
    legend = [LegendEntry(f"{name} ({auc[name]})", look.colour, look.dashes != "-") for name, look in styles.items()]
    alts = [
        f"ROC curves, {scale} false alarm rates; AUC: " + ", ".join(f"{name} {value}" for name, value in auc.items())
        for scale in ("linear", "logarithmic")
    ]
    svgs = [panels.draw(figures.roc(curves(results), rate, logarithmic=log), alts[log], height=3.2) for log in (False, True)]
    caption = (
        "ROC curves, with the AUC. The closer to the upper left corner the better; the dashed line is the chosen false alarm "
        "rate. The second panel spreads the low rates, which matter where faces are many."
    )
    return Panels(svgs, alts, caption, legend)


def _histograms(results: Results, panels: figures.Drawings) -> Panels:
    styles = figures.looks(results.generators)
    threshold = results.calibration["threshold"]
    alts: list[str] = []
    svgs: list[str] = []
    for name in results.generators:
        found = percent(results.evaluation[name]["detection_rate"])
        alts.append(f"Scores of {name}: {found} of its faces lie above the threshold.")
        drawing = figures.scores(f"{name}: {found} detected", results.histograms[name], threshold, styles[name])
        svgs.append(panels.draw(drawing, alts[-1], width=3.4, height=2))
    caption = (
        "Anomaly scores of photographs (grey) and of each generator (colour). What lies to the right of the dashed line, the "
        "threshold, is called AI-generated. The first and the last bin also hold what lies beyond them."
    )
    return Panels(svgs, alts, caption)


def _faces(results: Results) -> list[Any]:
    text = (
        "The faces of each generator that the detector finds least (upper row) and most (lower row) like photographs. Look "
        "here for what it goes by: a trait of the generator, or something else, such as the background or the crop."
    )
    pictures = [
        Picture(png, f"Faces of {name}, the most anomalous in the upper row, the least in the lower.", name)
        for name, png in results.pictures.items()
    ]
    return [Text(text), *pictures]


def _provenance(settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[Any]:
    import yaml

    rows = [["code (last commit that touched it)", provenance["revision"]]]
    rows += [[name, version] for name, version in provenance["versions"].items()]
    caption = "The same revision, parameters, data and versions give the same numbers on the same kind of machine."
    dumped = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)
    return [Table(["what", "version"], rows, caption, text_columns=2), Text("Parameters:"), Code(dumped.rstrip())]
