import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import summary

NUMBERS = {"auc": 0.75, "ap_generated": 0.5, "accuracy": 0.6, "false_alarm_rate": 0.05, "detection_rate": 0.4}
EVALUATION = {"mean": NUMBERS, "sim_b": {**NUMBERS, "generated_faces": 12}, "ddpm": {**NUMBERS, "generated_faces": 7}}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipeline.summary", *arguments], capture_output=True, text=True, check=False)


def test_prints_the_mean_last_and_where_the_report_lies(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    done = run(str(tmp_path / "evaluation.json"), "data/report")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[3:6]] == ["ddpm", "sim_b", "mean"]
    assert lines[-1] == "report: data/report/index.html"
    assert "simulated data" in lines[-2]


def test_says_simulated_only_where_it_is(capsys):
    summary.show({"ddpm": EVALUATION["ddpm"], "mean": NUMBERS}, Path("r"))
    assert "simulated" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("absent.json", "r")])
def test_errors_say_what_to_do(arguments):
    done = run(*arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "usage: python -m pipeline.summary" in done.stderr or "run `dvc repro`" in done.stderr
