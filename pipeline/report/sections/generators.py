"""What the report says of each generator: rates with intervals, verdicts, curves and scores."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.report.document import Cell, Heading, LegendEntry, Panels, Table, Text
from pipeline.report.figures import detection as figures
from pipeline.report.figures.canvas import Drawings, Value, looks
from pipeline.report.results import Results
from pipeline.report.wording import cell, chosen, number, percent, sentence, span, unusual

RANKS = {
    "auc": "ROC AUC",
    "ap_generated": "AP, generated",
    "ap_photographic": "AP, photographic",
    "eer": "EER",
}
TEST_PHOTOGRAPHS = "photographs (test)"


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    missing = [
        Text(f"Not computed for {name}: {what}: {why}", "warning")
        for name, content in results.metrics.items()
        for what, why in content["not_computed"].items()
    ]
    notes = [
        Text(f"{name}: {sentence(said)}", "warning")
        for name, content in results.metrics.items()
        for said in content["cautions"]
    ]
    return [_table(results), *missing, *notes, _aucs(results, panels), *_verdicts(results, panels),
            Heading("Curves and scores"), _roc(results, panels), _histograms(results, panels)]  # fmt: skip


def bars(results: Results) -> list[figures.Bar]:
    """What the overview shows of each generator."""
    return [
        figures.Bar(
            name, value_of(content, results.headline, "detection_rate"), value_of(content, "auc")
        )
        for name, content in results.metrics.items()
    ]


def curves(results: Results) -> dict[str, figures.Roc]:
    """ROC curves by generator, with the points of the chosen rates."""
    return {
        name: figures.Roc(
            (curve["fpr"], curve["tpr"]),
            [_point(results.metrics[name]["values"][key]) for key in results.rates],
        )
        for name, curve in results.roc.items()
    }


def rates(results: Results) -> list[float]:
    """The chosen false alarm rates, the headline rate first."""
    headline = results.rates[results.headline]["chosen"]
    return [
        headline,
        *(rate["chosen"] for rate in results.rates.values() if rate["chosen"] != headline),
    ]


def value_of(metrics: Mapping[str, Any], *path: str) -> Value:
    """A number of metrics/generators/<g>.json with its interval."""
    return Value(*(_dig(metrics[part], path) for part in ("values", "low", "high")))


def ranged(value: Value, form: Callable[[float], str] = number, shade: float | None = None) -> Cell:
    """A number as a table's cell, with its interval below it."""
    return Cell(cell(value.value, form), span(value.low, value.high, form), value.value, shade)


def _dig(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = None if tree is None else tree.get(key)
    return tree


def _point(rate: Mapping[str, float]) -> tuple[float, float]:
    return rate["false_alarm_rate"], rate["detection_rate"]


def _table(results: Results) -> Table:
    rows: list[list[str | Cell]] = []
    for name, content in results.metrics.items():
        faces = content["generated_faces"]
        rows.append(
            [
                name,
                Cell(f"{faces:,}", value=faces),
                *_cells(results, lambda *path, of=content: value_of(of, *path)),
            ]
        )
    rows.append(
        ["mean", "", *_cells(results, lambda *path: _of_mean(results.evaluation["mean"], path))]
    )
    first = next(iter(results.metrics.values()))
    headline = chosen(results.rates[results.headline]["chosen"])
    return Table(
        head=["generator", "faces", *RANKS.values(), *(chosen(rate["chosen"]) for rate in results.rates.values()),
              "accuracy", "balanced accuracy", "accuracy", "false alarms", "detected"],
        groups=[("", 2), ("without a threshold", len(RANKS)), ("detected at false alarms of", len(results.rates)),
                (f"at {headline} false alarms", 2), ("paper_protocol", 3)],
        rows=rows,
        caption=f"Every generator against the same {first['photographic_faces']:,} photographs of "
        f"{first['photographic_groups']:,} persons or groups. Below each number its 95 % interval, "
        "from a bootstrap that draws "
        "whole persons or groups (of the mean: for ROC AUC and detection alone). AP is average "
        "precision with the named class "
        "as positive; it depends on how many faces there are of each, and so does accuracy. EER is "
        "the error rate where both "
        "kinds of error are equal. paper_protocol is the authors' threshold, from the very faces "
        "that the mixture was fitted "
        "on, for comparison with the paper only. A click on a column's title sorts by it.",
        last_is_total=True,
        sortable=True,
    )  # fmt: skip


def _cells(results: Results, value: Callable[..., Value]) -> list[Cell]:
    ranks = [ranged(value(key), percent if key == "eer" else number) for key in RANKS]
    found = [value(key, "detection_rate") for key in results.rates]
    detected = [ranged(rate, percent, rate.value) for rate in found]
    headline = [
        ranged(value(results.headline, measure), percent)
        for measure in ("accuracy", "balanced_accuracy")
    ]
    measures = ("accuracy", "false_alarm_rate", "detection_rate")
    return [
        *ranks,
        *detected,
        *headline,
        *(ranged(value("paper_protocol", measure), percent) for measure in measures),
    ]


def _of_mean(mean: Mapping[str, Any], path: tuple[str, ...]) -> Value:
    *above, last = path
    tree = _dig(mean, tuple(above)) or {}
    return Value(tree.get(last), tree.get(f"{last}_low"), tree.get(f"{last}_high"))


def _aucs(results: Results, panels: Drawings) -> Panels:
    rows = bars(results)
    alt = "ROC AUC: " + "; ".join(f"{bar.name} {cell(bar.auc.value)}" for bar in rows)
    drawing = panels.draw(figures.aucs(rows), alt, width=4.2, height=0.9 + 0.27 * len(rows))
    caption = (
        "ROC AUC with its 95 % interval; the dashed line is chance. Look for intervals that touch "
        "it, and for generators whose "
        "intervals do not overlap."
    )
    return Panels([drawing], [alt], caption)


def _verdicts(results: Results, panels: Drawings) -> list[Any]:
    review, flag = results.rates[results.headline], results.rates[results.calibration["flag"]]
    often, seldom = chosen(review["chosen"]), chosen(flag["chosen"])
    text = (
        f"Each face gets a p-value and one of three verdicts. Flag: no more than about {seldom} of "
        "photographs look this "
        f"unusual. Review: no more than about {often} do, but more than {seldom}. Pass: all "
        f"others. So about {seldom} of "
        f"photographs are flagged as well, and {often} are not passed. A p-value of "
        f"{percent(0.021)} reads: {unusual(0.021)}. "
        "It is not the chance that the face is AI-generated, which also depends on how many "
        "generated faces are around."
    )
    alarms, flagged = review["false_alarms"], flag["false_alarms"]
    test = results.calibration["test_faces"]
    counts = {
        TEST_PHOTOGRAPHS: {"pass": test - alarms, "review": alarms - flagged, "flag": flagged}
    }
    counts |= {name: content["verdicts"] for name, content in results.metrics.items()}
    rows: list[list[str | Cell]] = [
        [name, *(_share(content, verdict) for verdict in figures.VERDICT_COLOURS)]
        for name, content in counts.items()
    ]
    alt = "Verdicts: " + "; ".join(
        f"{name} {', '.join(f'{v} {n:,}' for v, n in c.items())}" for name, c in counts.items()
    )
    drawing = panels.draw(figures.verdicts(counts), alt, width=4.2, height=0.9 + 0.27 * len(counts))
    legend = [
        LegendEntry(verdict, colour, "", "s") for verdict, colour in figures.VERDICT_COLOURS.items()
    ]
    caption = "Verdicts by face set. The first row is what the same verdicts do to photographs; compare each generator with it."
    return [
        Heading("Verdicts"),
        Text(text),
        Panels([drawing], [alt], caption, legend),
        Table(
            ["faces of", *figures.VERDICT_COLOURS],
            rows,
            "Faces by verdict",
            sortable=True,
            folded=True,
        ),
    ]


def _share(counts: Mapping[str, int], verdict: str) -> Cell:
    total = sum(counts.values())
    return Cell(
        f"{counts[verdict]:,}", percent(counts[verdict] / total) if total else "", counts[verdict]
    )


def _roc(results: Results, panels: Drawings) -> Panels:
    styles = looks(results.generators)
    auc = {name: cell(results.metrics[name]["values"]["auc"]) for name in results.generators}
    legend = [
        LegendEntry(f"{name} ({auc[name]})", look.colour, look.dash, look.marker)
        for name, look in styles.items()
    ]
    alts = [
        f"ROC curves, {scale} false alarm rates; AUC: "
        + ", ".join(f"{name} {value}" for name, value in auc.items())
        for scale in ("linear", "logarithmic")
    ]
    drawings = [
        figures.roc(curves(results), rates(results), logarithmic=log) for log in (False, True)
    ]
    svgs = [
        panels.draw(drawing, alt, height=3.2) for drawing, alt in zip(drawings, alts, strict=True)
    ]
    caption = (
        "ROC curves, with the AUC. The closer to the upper left corner the better; the dashed "
        "lines are the chosen false alarm "
        "rates, and a mark on a curve is what its threshold really does. The second panel spreads "
        "the low rates, which "
        "matter where faces are many."
    )
    return Panels(svgs, alts, caption, legend)


def _histograms(results: Results, panels: Drawings) -> Panels:
    styles = looks(results.generators)
    review = results.rates[results.headline]["threshold"]
    thresholds = [
        review,
        *(rate["threshold"] for rate in results.rates.values() if rate["threshold"] != review),
    ]
    alts: list[str] = []
    svgs: list[str] = []
    for name, content in results.metrics.items():
        found = cell(content["values"][results.headline]["detection_rate"], percent)
        alts.append(
            f"Scores of {name}: {found} of its faces lie above the threshold of the headline rate."
        )
        drawing = figures.scores(
            f"{name}: {found} detected", results.histograms[name], thresholds, styles[name]
        )
        svgs.append(panels.draw(drawing, alts[-1], width=3.4, height=2))
    caption = (
        "Anomaly scores of photographs (grey) and of each generator (colour). What lies to the "
        "right of the thick dashed line, "
        "the threshold of the headline rate, is called AI-generated; thin lines are the other "
        "rates. Look for how much of the "
        "colour lies over the grey. The first and the last bin also hold what lies beyond them."
    )
    return Panels(svgs, alts, caption)
