"""The results per generator as a table for the terminal; alone: python -m pipeline.report.summary
EVALUATION_JSON REPORT_FOLDER.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts

RATES_SHOWN = 3  # so many fit on a line: the highest ones, which rest on most photographs
Evaluation = Mapping[str, Mapping[str, Any]]


def show(evaluation: Evaluation, report: Path) -> None:
    """Print the table, and where the report lies."""
    print(text(evaluation))
    print(f"report: {report / 'index.html'}")


def text(evaluation: Evaluation) -> str:
    """One row per generator and their mean, then the worst, in 80 columns; from
    metrics/evaluation.json.
    """
    generators = {name: row for name, row in evaluation.items() if name not in ("mean", "worst")}
    mean, worst = evaluation["mean"], evaluation["worst"]
    rates = sorted((key for key in mean if key.startswith("at_")), key=_percent)[-RATES_SHOWN:]
    rows = [
        {
            "generator": name,
            "faces": row.get("generated_faces"),
            "AUC": row["auc"],
            "95 % interval": _interval(row),
            **{f"at {_percent(key):g} %": row[key]["detection_rate"] for key in rates},
        }
        for name, row in {**generators, "mean": mean}.items()
    ]
    alarms = ", ".join(
        f"{100 * mean[key]['false_alarm_rate']:.2f} % at {_percent(key):g} %" for key in rates
    )
    lines = [
        terminal.format_table(
            rows, "AI-generated faces as anomalies: AUC; share detected at each false alarm rate"
        ),
        f"false alarms on test photographs: {alarms}",
        f"worst: {worst['generator']}, AUC {worst['auc']:.3f} ({_interval(worst)})",
    ]
    if any(name.startswith("sim_") for name in generators):
        lines.append("simulated data: the numbers say nothing about real generators")
    return "\n".join(lines)


def _percent(key: str) -> float:
    """Of a rate's name, as `calibration.rate_key` gives it."""
    return float(key.removeprefix("at_").removesuffix("_percent").replace("_", "."))


def _interval(row: Mapping[str, Any]) -> str:
    return "none" if row["auc_low"] is None else f"{row['auc_low']:.3f} to {row['auc_high']:.3f}"


def main() -> None:
    """Print the results that the last run left."""
    if len(sys.argv) != 3:
        raise PipelineError(
            "usage: python -m pipeline.report.summary metrics/evaluation.json data/report"
        )
    evaluation, report = artifacts.read_json(sys.argv[1]), Path(sys.argv[2])
    if not isinstance(evaluation, dict) or not {"mean", "worst"} <= evaluation.keys():
        raise PipelineError(
            f"{sys.argv[1]}: no evaluation of this version (mean and worst are missing); run `dvc "
            "repro`"
        )
    show(evaluation, report)


if __name__ == "__main__":
    terminal.run(main)
