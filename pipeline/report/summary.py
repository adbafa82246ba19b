"""Print the results of the last run, a row per generator: python -m pipeline.report.summary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base import command_line, terminal
from pipeline.base.terminal import fixed
from pipeline.common.artifacts import read_json
from pipeline.report.results import SIMULATED

RATES_SHOWN = 3  # so many fit on a line: the highest ones, which rest on most photographs
Table = Mapping[str, Mapping[str, Any]]  # of data/evaluation/table.json


def show(table: Table, report: Path) -> None:
    """Print the table, and where the report lies."""
    print(text(table))
    print(f"report: {report / 'index.html'}")


def text(table: Table) -> str:
    """A row per generator and their mean, then the worst, in 80 columns."""
    mean, worst = table["mean"], table["worst"]
    generators = [name for name in table if name not in ("mean", "worst")]
    rates = sorted((key for key in mean if key.startswith("at_")), key=_percent)[-RATES_SHOWN:]
    rows = [
        {
            "generator": name,
            "faces": table[name].get("generated_faces"),
            "AUC": table[name]["auc"],
            "95 % interval": _interval(table[name]),
            **{f"at {_percent(key):g} %": table[name][key]["detection_rate"] for key in rates},
        }
        for name in [*generators, "mean"]
    ]
    title = "AI-generated faces as anomalies: AUC; share detected at each false alarm rate"
    alarms = [
        f"{fixed(100 * mean[key]['false_alarm_rate'], 2)} % at {_percent(key):g} %" for key in rates
    ]
    lines = [
        terminal.format_table(rows, title),
        f"false alarms on test photographs: {', '.join(alarms)}",
        f"worst: {worst['generator']}, AUC {fixed(worst['auc'], 3)} ({_interval(worst)})",
    ]
    if any(name.startswith(SIMULATED) for name in generators):
        lines.append("simulated data: the numbers say nothing about real generators")
    return "\n".join(lines)


def _percent(key: str) -> float:
    """Of a rate's key, such as at_0_1_percent."""
    return float(key.removeprefix("at_").removesuffix("_percent").replace("_", "."))


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["auc_low"], row["auc_high"]
    return "none" if low is None else f"{fixed(low, 3)} to {fixed(high, 3)}"


def main(argv: list[str] | None = None) -> None:
    """Print the results of the last run."""
    command_line.parser(__doc__).parse_args(argv)
    show(read_json("data/evaluation/table.json"), Path("data/report"))


if __name__ == "__main__":
    terminal.run(main)
