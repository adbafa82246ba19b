"""The benchmarks' own arithmetic against numbers counted by hand; every module measures."""

import subprocess

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command_line
from benchmarks import harness
from pipeline.base.params import load


def ways_from(rates, calls):
    """Ways that return the given rates one after the other and note their turns."""
    streams = {name: iter(values) for name, values in rates.items()}

    def way(name):
        def once():
            calls.append(name)
            return next(streams[name])

        return once

    return {name: way(name) for name in rates}


def test_the_median_of_the_turns_after_a_warm_up_counts():
    rates = {"ours": [1e9, 5.0, 1.0, 3.0], "baseline": [1e9, 2.0, 2.0, 8.0]}
    assert harness.interleaved(ways_from(rates, []), rounds=3) == {"ours": 3.0, "baseline": 2.0}


def test_the_ways_take_turns_and_every_second_round_is_reversed():
    calls: list[str] = []
    rates = {"a": [1.0] * 4, "b": [1.0] * 4, "c": [1.0] * 4}
    harness.interleaved(ways_from(rates, calls), rounds=3)
    assert "".join(calls) == "abcabccbaabc"


def test_a_row_has_both_ratios_where_there_are_rates():
    row = harness.row("s", "faces/s", ours=6.0, baseline=2.0, ceiling=8.0)
    assert (row["to_baseline"], row["to_ceiling"]) == (3.0, 0.75)
    assert harness.row("s", "u", ours=6.0, baseline=None, ceiling=8.0)["to_baseline"] is None
    with pytest.raises(ValueError, match="must be positive"):
        harness.row("s", "u", ours=0.0, baseline=1.0, ceiling=1.0)


def test_the_table_is_markdown_with_a_cell_for_every_column():
    rows = [harness.row("a", "faces/s", ours=12345.678, baseline=None, ceiling=0.5, note="n")]
    cells = [cell.strip() for cell in harness.table(rows).splitlines()[2].strip("|").split("|")]
    assert cells == ["a", "12,346", "–", "0.5", "faces/s", "–", "24,691", "–", "n"]


def test_a_failing_module_is_named_and_the_others_still_run(monkeypatch, capsys):
    def run(module, quick):
        if module == "extract_features":
            raise subprocess.CalledProcessError(1, "python")
        return [harness.row(module, "u", ours=2.0, baseline=1.0, ceiling=4.0)]

    monkeypatch.setattr(command_line, "run", run)
    assert command_line.main(["--quick"]) == 1
    shown = capsys.readouterr()
    assert "benchmarks.extract_features failed" in shown.err and "fit_gmm" in shown.out


@pytest.mark.slow
@pytest.mark.parametrize("module", command_line.MODULES)
def test_every_module_measures_something_at_tiny_sizes(module):
    rows = command_line.run(module, quick=True)  # row() has refused what is not positive
    assert rows and all(set(row) == set(harness.COLUMNS) for row in rows)


def test_the_baseline_of_training_sees_the_same_faces(tmp_path):
    from benchmarks.train_pretext import Pictures, face_set, store
    from pipeline.encoder.preprocessing import crop_resize
    from pipeline.pretext.faces import PHOTOGRAPH

    settings = load("pretext").pretext
    faces = face_set(store(tmp_path), settings, 4)
    batch = faces.load(np.array([1]), np.array([PHOTOGRAPH]))
    size, pictures = settings.input_size, Pictures(tmp_path, settings, 4)
    box = torch.tensor([pictures.box])  # in whole pixels, as the recipe has it
    ours = crop_resize(batch.pixels, box, size)[0]
    inner = (slice(None), slice(2, -2), slice(2, -2))  # at its edges ours looks beyond the crop
    assert torch.allclose(pictures[1][0][inner], ours[inner], atol=1.2)
