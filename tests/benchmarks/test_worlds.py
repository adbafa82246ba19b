"""The table of worlds against figures counted by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import world_figures, worlds, worlds_table
from benchmarks.world_figures import Figure
from pipeline.base.errors import PipelineError
from pipeline.common.artifacts import read_json, write_json

RESULTS = Path(__file__).parents[1] / "report/results"
GENERATORS = [f"g{i}" for i in range(8)]
AUCS = [0.9, 0.8, 0.7, 0.6, 0.9, 0.9, 0.5, 0.3]
ALL, FIRST = "All 8 generators", "The first 6, without g6 and g7"
ALARMS = "False alarms at the threshold for 5%"


def row(auc: float | None, detected: float, width: float = 0.1) -> dict[str, Any]:
    """A row of table.json, intervals as wide as asked on each side."""
    rate = {
        "detection_rate": detected,
        "detection_rate_low": detected - width,
        "detection_rate_high": detected + width,
    }
    ends = {"auc_low": auc - width, "auc_high": auc + width} if auc is not None else {}
    return {"auc": auc, **ends, "at_5_percent": rate}


def control(name: str, aucs: list[float]) -> dict[str, Any]:
    own = dict(zip(GENERATORS, aucs, strict=True))
    return {"name": name, "auc": 0.55, "low": 0.5, "high": 0.6, "generators": own}


def write_run(folder: Path, seed: int = 1) -> Path:
    """What the figures are read from: AUC rises by 0.01 with each seed."""
    more = 0.01 * (seed - 1)
    rows = {name: row(a + more, a / 2) for name, a in zip(GENERATORS, AUCS, strict=True)}
    rows["mean"] = row(0.7 + more, 0.35, 0.02)
    rows["worst"] = row(0.3 + more, 0.0, 0.05) | {"generator": "g7"}
    estimates = {
        name: {"auc": {"perturbed": {"value": a - 0.1, "low": a - 0.2, "high": a}}}
        for name, a in zip(GENERATORS, AUCS, strict=True)
    }
    alarm = {"perturbed": {"false_alarm_rate": 0.06, "low": 0.03, "high": 0.11}}
    perturbed = {"generators": estimates, "photographs": {"at_5_percent": alarm}}
    names = ["file_size_as_found", "random_weights", "shuffled_exif", "exif_heads"]
    write_all(
        folder,
        {
            "data/evaluation/table.json": rows,
            "data/audit/controls.json": {
                "detector": control("", AUCS),
                "controls": [control(name, [0.5] * 6 + [0.8, 0.9]) for name in names],
            },
            "data/audit/robustness.json": {name: perturbed for name in ("jpeg_75", "noise_2")},
            "data/calibration/calibration.json": {
                "rates": {
                    "at_5_percent": {
                        "false_alarm_rate": 0.04,
                        "exact_95": {"low": 0.02, "high": 0.07},
                    }
                }
            },
            "metrics/pretext.json": {"ranking_accuracy": {"mean": 0.8}, "manipulation_auc": 0.7},
        },
    )
    (folder / "params.yaml").write_text(f"generators: {GENERATORS}\n", encoding="utf-8")
    return folder


def write_all(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(folder / name, content)


# --- figures of a run


def test_over_all_generators_stored_intervals_count_and_over_some_the_mean_of_their_ends(tmp_path):
    found = world_figures.read(write_run(tmp_path))
    every, first = found[ALL], found[FIRST]
    assert every["AUC, mean"][:3] == pytest.approx((0.7, 0.68, 0.72))
    assert first["AUC, mean"][:3] == pytest.approx((0.8, 0.7, 0.9))
    assert every["AUC, worst"][:3] == pytest.approx((0.3, 0.25, 0.35))
    assert first["AUC, worst"][:3] == pytest.approx((0.6, 0.5, 0.7))
    detected = "detected at 5 % false alarms, mean"
    assert every[detected][:3] == pytest.approx((0.35, 0.33, 0.37))
    assert first[detected][:3] == pytest.approx((0.4, 0.3, 0.5)) and first[detected].unit == "%"
    for title in world_figures.CONTROLS:
        assert every[title] == Figure(0.55, 0.5, 0.6) and first[title] == Figure(0.5)
    assert first[world_figures.DETECTOR].value == pytest.approx(0.8)
    assert every["AUC, mean, jpeg_75"][:3] == pytest.approx((0.6, 0.5, 0.7))
    assert first["AUC, mean, jpeg_75"][:3] == pytest.approx((0.7, 0.6, 0.8))
    assert [figure.value for figure in found["AUC of each generator"].values()] == AUCS
    assert list(found[ALARMS].values()) == [
        Figure(0.04, 0.02, 0.07, "%"), *[Figure(0.06, 0.03, 0.11, "%")] * 2
    ]  # fmt: skip
    assert list(found[ALARMS]) == ["as they are", "jpeg_75", "noise_2"]
    assert found["Pretext task"] == {
        "ranking accuracy, mean": Figure(0.8),
        "manipulation AUC": Figure(0.7),
    }


def test_what_the_stages_write_can_be_read(tmp_path):
    shutil.copytree(RESULTS, tmp_path, dirs_exist_ok=True)
    shutil.copy(RESULTS / "data/pretext.json", tmp_path / "metrics/pretext.json")
    (tmp_path / "params.yaml").write_text("generators: [sim_latent, sim_rolloff]\n")
    found = world_figures.read(tmp_path)
    table = read_json(RESULTS / "data/evaluation/table.json")
    assert list(found)[:2] == ["All 2 generators", "AUC of each generator"]
    assert found["All 2 generators"]["AUC, mean"].low == table["mean"]["auc_low"]


def test_a_run_without_the_five_percent_threshold_is_refused(tmp_path):
    write_run(tmp_path)
    rows = read_json(tmp_path / "data/evaluation/table.json")
    del rows["mean"]["at_5_percent"]
    write_json(tmp_path / "data/evaluation/table.json", rows)
    with pytest.raises(PipelineError, match=r"params.yaml: calibration.false_alarm_rates .* 0.05"):
        world_figures.read(tmp_path)


def test_a_mean_of_what_is_missing_is_missing():
    whole, without_ends = Figure(0.2, 0.1, 0.4, "%"), Figure(0.4, None, 0.6, "%")
    assert world_figures.mean([whole, without_ends])[1:] == (None, 0.5, "%")
    assert world_figures.mean([whole, Figure(None)]).value is None


# --- the table


def test_the_table_has_the_mean_over_worlds_and_each_with_its_interval(tmp_path):
    found = {s: world_figures.read(write_run(tmp_path / str(s), s)) for s in (1, 2, 3)}
    summary = json.loads(json.dumps(worlds_table.summary(found)))
    mean = summary[ALL]["AUC, mean"]
    assert mean["mean"] == pytest.approx(0.71) and list(mean["worlds"]) == ["1", "2", "3"]
    assert mean["worlds"]["3"] == pytest.approx({"value": 0.72, "low": 0.70, "high": 0.74})
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in worlds_table.markdown(summary).splitlines()
    ]
    assert lines[0] == [ALL, "mean", "world 1", "world 2", "world 3"]
    assert lines[2] == [
        "AUC, mean",
        "0.710",
        "0.700 (0.680–0.720)",
        "0.710 (0.690–0.730)",
        "0.720 (0.700–0.740)",
    ]
    assert ["noise_2", "6.0 %", *["6.0 % (3.0–11.0)"] * 3] in lines


def test_a_cell_without_a_value_or_an_interval():
    assert worlds_table.cell(Figure(None)) == "–"
    assert worlds_table.cell(Figure(0.12345)) == "0.123"
    assert worlds_table.cell(Figure(0.5, None, 0.6)) == "0.500"


def test_worlds_with_other_figures_are_not_put_side_by_side(tmp_path):
    first, second = (world_figures.read(write_run(tmp_path / str(s), s)) for s in (1, 2))
    del second["AUC of each generator"]["g3"]
    with pytest.raises(PipelineError, match="worlds 1 and 2 have other figures"):
        worlds_table.summary({1: first, 2: second})


# --- running


def test_the_command_runs_each_world_once_and_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    def run(name, changes, *goals):
        assert goals == ("evaluate", "audit") and name == f"world-{changes['seed']}"
        return name

    def fetch(revision, paths, folder):
        write_run(folder, int(revision.removeprefix("world-")))
        written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert written == set(paths), "what the figures are read from is fetched"

    monkeypatch.setattr(worlds.experiments, "check", list)
    monkeypatch.setattr(worlds.experiments, "run", run)
    monkeypatch.setattr(worlds.experiments, "fetch", fetch)
    worlds.main(["--seeds", "2", "3", "2", "--output", str(tmp_path / "out")])
    text, printed = (tmp_path / "out.md").read_text(), capsys.readouterr().out
    assert text.startswith("# Simulated worlds") and "| AUC, mean | 0.715 |" in text
    assert text.partition("\n| ")[2] and text.partition("\n| ")[2] in printed
    written = read_json(tmp_path / "out.json")
    assert list(written["figures"][ALL]["AUC, mean"]["worlds"]) == ["2", "3"]
    assert written["commit"] == worlds.experiments.origin()
