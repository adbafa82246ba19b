"""The results in the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.report import summary


def rates(detected):
    return {"detection_rate": detected, "false_alarm_rate": 0.0512}


NUMBERS: dict[str, Any] = {"auc": 0.75, "auc_low": 0.7, "auc_high": 0.8}
NUMBERS |= {"at_5_percent": rates(0.41), "at_0_1_percent": rates(0.12)}
LONG = "sim_vector_quantised_with_a_long_name"
TABLE: dict[str, dict[str, Any]] = {
    "mean": NUMBERS,
    "worst": {"generator": "ddpm", "auc": 0.7512, "auc_low": 0.7, "auc_high": 0.8},
    LONG: {**NUMBERS, "generated_faces": 12},
    "ddpm": {**NUMBERS, "generated_faces": 7, "auc_low": None, "auc_high": None},
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The summary of what lies in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(summary.__file__).parents[2])}
    command = [sys.executable, "-m", "pipeline.report.summary", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_prints_each_generator_the_mean_the_worst_and_where_the_report_lies(tmp_path):
    (tmp_path / "data/evaluation").mkdir(parents=True)
    (tmp_path / "data/evaluation/table.json").write_text(json.dumps(TABLE))
    done = run(tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80
    assert lines[1].endswith("at 0.1 %  at 5 %")
    names = [line.split()[0][:20] for line in lines[3:6]]
    assert names == ["sim_vector_quantised", "ddpm", "mean"]
    assert lines[3].split()[-5:] == ["0.700", "to", "0.800", "0.120", "0.410"]
    assert "none" in lines[4]
    assert lines[6] == "false alarms on test photographs: 5.12 % at 0.1 %, 5.12 % at 5 %"
    assert lines[7] == "worst: ddpm, AUC 0.751 (0.700 to 0.800)"
    assert "simulated data" in lines[-2] and lines[-1] == "report: data/report/index.html"


def test_many_rates_and_long_names_fit_the_terminal():
    many = {f"at_{percent}_percent": rates(0.5) for percent in (1, 2, 5, 10, 20)}
    text = summary.text({name: {**row, **many} for name, row in TABLE.items()})
    assert max(map(len, text.splitlines())) <= 80
    assert "simulated" not in summary.text({k: row for k, row in TABLE.items() if k != LONG})
    assert all(f"at {percent} %" in text for percent in (5, 10, 20)) and "at 2 %" not in text


def test_without_results_it_says_what_to_do(tmp_path):
    assert run(tmp_path, "--help").stdout.startswith(
        "usage: python -m pipeline.report.summary [-h]"
    )
    done = run(tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "run `dvc repro`" in done.stderr
