"""The results per generator as a table for the terminal; alone: python -m pipeline.summary EVALUATION_JSON REPORT_FOLDER."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import artifacts, console
from pipeline.errors import PipelineError

COLUMNS = {
    "AUC": "auc",
    "AP": "ap_generated",
    "accuracy": "accuracy",
    "false alarms": "false_alarm_rate",
    "detected": "detection_rate",
}


def show(evaluation: Mapping[str, Mapping[str, Any]], report: Path) -> None:
    """Print one row per generator and their mean, and where the report lies."""
    rows = [
        {"generator": name, "faces": content.get("generated_faces"), **{title: content[key] for title, key in COLUMNS.items()}}
        for name, content in evaluation.items()
    ]
    console.table(rows, "AI-generated faces as anomalies (AP: AI-generated is positive)")
    if any(name.startswith("sim_") for name in evaluation):
        print("simulated data: the numbers say nothing about real generators")
    print(f"report: {report / 'index.html'}")


def main() -> None:
    """Print the results that the last run left."""
    if len(sys.argv) != 3:
        raise PipelineError("usage: python -m pipeline.summary metrics/evaluation.json data/report")
    evaluation = artifacts.read_json(sys.argv[1])
    names = sorted(evaluation, key=lambda name: (name == "mean", name))
    show({name: evaluation[name] for name in names}, Path(sys.argv[2]))


if __name__ == "__main__":
    console.run(main)
