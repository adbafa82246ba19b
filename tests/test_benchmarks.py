"""The benchmarks' own arithmetic against numbers counted by hand, and that every module measures
something.
"""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command_line
from benchmarks import harness, synthetic
from pipeline.base.params import load
from pipeline.common.layout import Layout
from pipeline.common.pictures import read_picture

# ---------------------------------------------------------------- harness


def ways_from(rates, calls):
    """Ways that return the given rates one after the other and note their turns."""
    streams = {name: iter(values) for name, values in rates.items()}

    def way(name):
        def once():
            calls.append(name)
            return next(streams[name])

        return once

    return {name: way(name) for name in rates}


def test_interleaved_gives_the_median_of_the_turns_after_a_warm_up():
    rates = {"ours": [1e9, 5.0, 1.0, 3.0], "baseline": [1e9, 2.0, 2.0, 8.0]}
    assert harness.interleaved(ways_from(rates, []), rounds=3) == {"ours": 3.0, "baseline": 2.0}


def test_the_ways_take_turns_and_every_second_round_is_reversed():
    calls: list[str] = []
    harness.interleaved(
        ways_from({"a": [1.0] * 4, "b": [1.0] * 4, "c": [1.0] * 4}, calls), rounds=3
    )
    assert "".join(calls) == "abcabccbaabc"


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="0 rounds"):
        harness.interleaved({"ours": lambda: 1.0}, rounds=0)


def test_a_row_has_the_issues_columns_and_both_ratios():
    row = harness.row(
        "train_pretext",
        "faces/s",
        ours=6.0,
        baseline=2.0,
        ceiling=8.0,
        peak_memory_mb=12.5,
        note="n",
    )
    assert row == {
        "stage": "train_pretext",
        "ours": 6.0,
        "baseline": 2.0,
        "ceiling": 8.0,
        "unit": "faces/s",
        "to_baseline": 3.0,
        "to_ceiling": 0.75,
        "peak_memory_mb": 12.5,
        "note": "n",
    }


def test_a_row_without_a_baseline_has_no_ratio_to_it():
    row = harness.row("s", "u", ours=6.0, baseline=None, ceiling=8.0)
    assert (row["to_baseline"], row["to_ceiling"], row["peak_memory_mb"]) == (None, 0.75, None)


@pytest.mark.parametrize(
    "rates", [(0.0, 1.0, 1.0), (1.0, -2.0, 1.0), (1.0, 1.0, 0.0), (1.0, float("nan"), 1.0)]
)
def test_a_rate_that_cannot_be_is_refused(rates):
    with pytest.raises(ValueError, match="must be positive"):
        harness.row("s", "u", **dict(zip(("ours", "baseline", "ceiling"), rates, strict=True)))


def test_peak_memory_sees_an_allocation_of_a_child():
    code = "b = bytearray(300_000_000); b[::4096] = bytes(len(b[::4096]))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert harness.peak_memory_mb() > 300


def test_the_table_is_markdown_with_a_cell_for_every_column():
    rows = [harness.row("a", "faces/s", ours=12345.678, baseline=None, ceiling=0.5, note="n")]
    lines = harness.table(rows).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        *("a", "12,346", "–", "0.5", "faces/s", "–", "24,691", "–", "n")
    ]
    assert len({line.count("|") for line in lines}) == 1


# ---------------------------------------------------------------- the command


def row(stage, ours=2.0, note=""):
    return harness.row(stage, "u", ours=ours, baseline=1.0, ceiling=4.0, note=note)


def test_a_failing_module_is_named_and_the_others_still_run():
    def measure(module, quick):
        if module == "b":
            raise subprocess.CalledProcessError(1, "python")
        return [row(module)]

    rows, failed = command_line.run_all(["a", "b", "c"], True, measure)
    assert ([one["stage"] for one in rows], failed) == (["a", "c"], ["b"])


def test_a_module_that_fails_makes_the_exit_status_one(monkeypatch, tmp_path, capsys):
    def measure_all(modules, quick):
        return [row("a")], ["shards"]

    monkeypatch.setattr(command_line, "run_all", measure_all)
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "results.json")
    assert command_line.main(["--quick"]) == 1
    assert "benchmarks.shards failed" in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()  # quick sizes mean nothing


def test_results_are_written_in_the_issues_format(monkeypatch, tmp_path):
    def measure_all(modules, quick):
        return [row("a"), row("b")], []

    monkeypatch.setattr(command_line, "run_all", measure_all)
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "results.json")
    assert command_line.main([]) == 0
    content = json.loads((tmp_path / "results.json").read_text())
    assert set(content) == {"machine", "stages"}
    assert content["stages"]["b"] == {k: v for k, v in row("b").items() if k != "stage"}


def test_a_new_measurement_replaces_its_own_stages_only():
    before = command_line.results([row("a", 2.0), row("b", 2.0)], {})
    after = command_line.results([row("b", 3.0)], before)
    assert {name: stage["ours"] for name, stage in after["stages"].items()} == {"a": 2.0, "b": 3.0}


def test_figures_of_another_machine_are_not_kept():
    before = {**command_line.results([row("a")], {}), "machine": {"cpu": "another"}}
    assert list(command_line.results([row("b")], before)["stages"]) == ["b"]


def test_two_rows_of_one_stage_are_both_kept():
    stages = command_line.results([row("a", 2.0, "one process"), row("a", 3.0, "all cores")], {})[
        "stages"
    ]
    assert {name: stage["ours"] for name, stage in stages.items()} == {
        "a": 2.0,
        "a, all cores": 3.0,
    }


def test_the_machine_is_described_and_not_named():
    machine = command_line.machine()
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert os.uname().nodename not in json.dumps(machine)


def test_the_processors_name_is_read_where_there_is_one(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n"
    )
    assert command_line.cpu_model(tmp_path / "cpuinfo") == "Some CPU @ 3 GHz"
    assert command_line.cpu_model(tmp_path / "missing")


def test_an_unknown_module_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["trian_pretext"])
    assert "no such module: trian_pretext" in capsys.readouterr().err


def test_the_recorded_results_are_well_formed():
    content = json.loads(command_line.RESULTS.read_text(encoding="utf-8"))
    for name, stage in content["stages"].items():
        expected = harness.row(
            name, stage["unit"], **{k: stage[k] for k in ("ours", "baseline", "ceiling")}
        )
        for ratio in ("to_baseline", "to_ceiling"):
            assert stage[ratio] == pytest.approx(expected[ratio])


@pytest.mark.slow
@pytest.mark.parametrize("module", command_line.MODULES)
def test_every_module_measures_something_at_tiny_sizes(module):
    rows = command_line.run(module, quick=True)  # row() has refused what is not positive
    assert rows
    assert all(set(one) == set(harness.COLUMNS) for one in rows)


# ---------------------------------------------------------------- training's ways


def test_the_first_faces_of_a_set_repeat_where_it_has_fewer():
    from benchmarks.train_pretext import first
    from pipeline.pretext.batches import FaceSet

    rows, four = np.arange(3), np.zeros((3, 4), np.float32)
    none: Any = ()  # the stores stay as they are
    faces = FaceSet(none, none, rows.astype(np.uint64), rows, four, four, rows[:, None], rows)
    assert first(faces, 5).rows.tolist() == [0, 1, 2, 0, 1]
    assert len(first(faces, 0)) == 0


def test_the_baselines_picture_is_the_face_at_the_encoders_size(tmp_path):
    from benchmarks.train_pretext import Pictures
    from pipeline.encoder.crop import crop_resize
    from pipeline.encoder.network import normalise

    synthetic.pretext(tmp_path, 4)
    settings = load("pretext").pretext
    pictures = Pictures(Layout(tmp_path), settings, 4)
    picture, tags, label = pictures[1]
    whole = torch.from_numpy(read_picture(pictures.paths[1]))[None]
    ours = normalise(crop_resize(whole, np.array([pictures.box]), settings.input_size))[0]
    inner = (slice(None), slice(2, -2), slice(2, -2))  # at its edges ours looks beyond the crop
    assert torch.allclose(picture[inner], ours[inner], atol=0.02)
    assert (tags.shape, float(label)) == ((4,), 1.0)
