"""What the report says of the promises made about photographs: achieved false alarms, and how many
photographs they need.
"""

from typing import Any

from pipeline.report.document import Cell, LegendEntry, Panels, Table, Text
from pipeline.report.figures import checks
from pipeline.report.figures.canvas import PALETTE, Drawings
from pipeline.report.results import Columns, Results
from pipeline.report.wording import (
    chosen,
    held,
    number,
    outcome,
    percent,
    span,
    verdict_of_real_against_real,
)

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10000)


def section(results: Results, panels: Drawings) -> list[Any]:
    """All blocks."""
    real, alike = verdict_of_real_against_real(results.calibration)
    sentences = [
        Text(held(rate), "good" if rate["verdict"] == "holds" else "warning")
        for rate in results.rates.values()
    ]
    return [
        *sentences,
        _table(results),
        Text(real, "good" if alike else "warning"),
        *_sizes(results, panels),
    ]


def _table(results: Results) -> Table:
    found = results.calibration
    words = {found["flag"]: "flag", found["review"]: "review"}
    rows: list[list[str | Cell]] = []
    for key, rate in results.rates.items():
        exact, promised = rate["exact_95"], rate["guarantee_95"]
        rows.append([
            words.get(key, ""), outcome(rate), chosen(rate["chosen"]), number(rate["threshold"], 2),
            Cell(percent(rate["false_alarm_rate"]), span(exact["low"], exact["high"], percent)),
            f"{rate['false_alarms']:,} of {found['test_faces']:,}",
            span(promised["low"], promised["high"], percent), f"{rate['photographs_needed']:,}",
        ])  # fmt: skip
    paper = found["paper_protocol"]
    rows.append(["paper_protocol", "", "", number(paper["threshold"], 2), percent(paper["false_alarm_rate"]),
                 f"{paper['false_alarms']:,} of {found['test_faces']:,}", "", ""])  # fmt: skip
    people = found.get("calibration_people")
    return Table(
        [
            "verdict above it",
            "the choice",
            "chosen",
            "threshold",
            "achieved",
            "false alarms",
            "expected",
            "photographs needed",
        ],
        rows,
        "False alarms on test photographs, which neither the mixture nor the thresholds have "
        "seen. Achieved: with its exact "
        "95 % interval (Clopper-Pearson). Expected: where the true rate lies in 95 % of cases for "
        "a threshold from "
        f"{found['calibration_faces']:,} calibration photographs"
        + (f" of {people:,} persons" if people else "")
        + ". "
        "Photographs needed: so many bring that range within half of the chosen rate to either "
        "side. paper_protocol is the "
        "authors' threshold, from the photographs that the mixture was fitted on.",
        text_columns=2,
    )


def _sizes(results: Results, panels: Drawings) -> list[Any]:
    here, parts = results.calibration["calibration_faces"], _by_rate(results.calibration_sizes)
    svgs, alts = [], []
    for rate, curve in parts.items():
        ends = [f"{curve['faces'][i]:,.0f} photographs {_range(curve, i)}" for i in (0, -1)]
        alts.append(f"Chosen {chosen(rate)}: the true rate lies with {ends[0]}, with {ends[1]}.")
        svgs.append(panels.draw(checks.calibration_sizes(curve, rate, here), alts[-1], height=2.8))
    caption = (
        "How many own photographs to bring. The band is where the true false alarm rate lies in "
        "95 % of cases with so many "
        "calibration photographs; the dashed orange lines hold 95 % of the rates on the test "
        "photographs with thresholds "
        f"from random subsets of the {here:,} photographs at hand (grey line), the solid one is "
        "their mean. Steps of the band "
        "come from thresholds being scores of whole photographs. Look where the band becomes "
        "narrow enough for your use."
    )
    legend = [LegendEntry("expected, 95 %", PALETTE[0], "", "s"), LegendEntry("measured, mean", PALETTE[1], "", "o"),
              LegendEntry("measured, 95 %", PALETTE[1], "5 2"), LegendEntry("photographs at hand", "#8d98a5")]  # fmt: skip
    return [Panels(svgs, alts, caption, legend), _to_bring(parts, here)]


def _to_bring(parts: dict[float, Columns], here: int) -> Table:
    sizes = sorted(
        {
            size
            for curve in parts.values()
            for size in curve["faces"]
            if size in SIZES or size == here
        }
    )
    rows = []
    for size in sizes:
        cells = [
            _range(c, c["faces"].index(size)) if size in c["faces"] else "too few"
            for c in parts.values()
        ]
        rows.append([f"{size:,.0f}" + (" (at hand)" if size == here else ""), *cells])
    head = ["photographs to bring", *(f"chosen {chosen(rate)}" for rate in parts)]
    return Table(head, rows, "Where the true false alarm rate lies in 95 % of cases.")


def _by_rate(sizes: Columns) -> dict[float, Columns]:
    parts: dict[float, Columns] = {}
    for i, rate in enumerate(sizes["rate"]):
        part = parts.setdefault(rate, {name: [] for name in sizes})
        for name, column in sizes.items():
            part[name].append(column[i])
    return parts


def _range(curve: Columns, i: int) -> str:
    return span(curve["guarantee_low"][i], curve["guarantee_high"][i], percent)
