"""The card shows figures of this model alone, and says which it leaves out."""

import hashlib
import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.detect import model
from pipeline.export import measurements, model_card
from pipeline.export.model_card import Facts

PRETEXT = {"manipulation_auc": 0.678, "ranking_accuracy": {"mean": 0.793}, "train_loss": 0.8}
EVALUATION: dict[str, Any] = {
    "false_alarm_rate_at_5_percent": 0.0396,
    "mean": {"auc": 0.864, "auc_high": None, "auc_low": None, "detection_rate_at_5_percent": 0.64},
    "sim_b": {"auc": 0.999, "detection_rate_at_5_percent": 0.99},
    "sim_a": {"auc": 0.5, "detection_rate_at_5_percent": None},
    "worst": {"auc": 0.5},
}


@pytest.fixture
def run(world, tmp_path):
    """metrics/ and the dvc.lock of a run that wrote the world's model."""
    metrics, lock = tmp_path / "metrics", dict[str, dict]()
    metrics.mkdir()
    for name, content in (("pretext", PRETEXT), ("evaluation", EVALUATION)):
        (metrics / f"{name}.json").write_text(json.dumps(content))
    for ties in measurements.TIED_BY.values():
        for stage, files in ties.items():
            outs = lock.setdefault(stage, {"outs": []})["outs"]
            for file in files:
                path = (world if file.startswith("models") else tmp_path) / file
                outs.append({"path": file, "md5": hashlib.md5(path.read_bytes()).hexdigest()})
    (tmp_path / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": lock}))
    return tmp_path


def card(world, run, *, recalibrated=False):
    measured = measurements.read(world / "models", run / "metrics", run / "dvc.lock")
    licence = model_card.licence(None, measured)
    facts = Facts(model.read(world / "models"), measured, licence, recalibrated)
    return model_card.text(facts, "detector.onnx")


def head(text):
    return YAML(typ="safe").load(text.split("---\n")[1])


def test_head_is_that_of_a_simulated_sample_with_an_auc_for_each_generator(world, run):
    said = head(card(world, run))
    assert said["license"] == "apache-2.0" and said["library_name"] == "onnx"
    found = {
        result["dataset"]["name"]: result["metrics"][0]["value"]
        for result in said["model-index"][0]["results"]
    }
    assert found == {"sim_a": 0.5, "sim_b": 0.999}


def test_results_are_the_figures_of_metrics_and_what_lacks_is_said(world, run):
    text = card(world, run)
    results = text.partition("## Results")[2].partition("## Limits")[0]
    assert "| sim_a | 0.500 |  |" in results and "| mean | 0.864 | 0.640 |" in results
    assert "4 % at 5 %" in results and "right 0.793, AUC of manipulations 0.678" in results
    assert "interval of the mean AUC is left out" in results
    allowed = {"0.500", "0.999", "0.990", "0.864", "0.640", "0.793", "0.678"}
    assert set(re.findall(r"\d\.\d+", results)) == allowed
    assert "nothing about real generators" in text
    assert "this file has others" in card(world, run, recalibrated=True)


def test_a_mean_with_an_interval_shows_it(world, run):
    mean = EVALUATION["mean"] | {"auc_low": 0.8512, "auc_high": 0.8777}
    measured = measurements.Measurements({"evaluation": EVALUATION | {"mean": mean}}, {})
    text = model_card.text(Facts(model.read(world / "models"), measured, "x", False), "d.onnx")
    assert "mean AUC: 0.851 to 0.878" in text


@pytest.mark.parametrize("change", ["metrics", "model", "no lock", "no stages", "no file"])
def test_figures_that_may_be_of_another_model_are_left_out(world, run, change):
    if change == "metrics":
        (run / "metrics/evaluation.json").write_text(json.dumps(EVALUATION | {"worst": {}}))
    elif change == "model":
        text = (run / "dvc.lock").read_text()
        digest = hashlib.md5((world / "models/gmm.npz").read_bytes()).hexdigest()
        (run / "dvc.lock").write_text(text.replace(digest, "0" * 32))
    elif change == "no lock":
        (run / "dvc.lock").unlink()
    elif change == "no stages":
        (run / "dvc.lock").write_text("schema: '2.0'\nstages:\n")
    else:
        (run / "metrics/evaluation.json").unlink()
    text = card(world, run)
    assert "0.864" not in text and "Figures of the evaluation are left out" in text
    assert head(text)["license"] == "other" and head(text)["license_name"] == "not said"
    assert ("0.793" in text) == (change not in ("no lock", "no stages"))
