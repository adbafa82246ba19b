"""The grid's arithmetic against SciPy, its table and plot, and what is refused before it runs."""

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import experiments, grid, grid_plot
from pipeline.base import params
from pipeline.base.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
SEEDS = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(SEEDS.flatmap(lambda a: st.tuples(st.just(a), st.lists(
    st.floats(0, 1), min_size=len(a), max_size=len(a)))))  # fmt: skip
def test_intervals_are_those_of_the_paired_t_test(both):
    a, b = map(np.array, both)
    recipe, other = grid.summary({"recipe": a.tolist(), "other": b.tolist()})
    assert recipe.difference is None and other.difference is not None
    for mine, values in ((other.over_seeds, b), (other.difference, b - a)):
        if np.std(values) < 1e-9:  # where SciPy has none
            expected = (values.mean(), values.mean())
        else:
            expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert mine.mean == pytest.approx(values.mean(), abs=1e-12)
        assert (mine.low, mine.high) == pytest.approx(tuple(expected), abs=1e-7)


def test_pairing_by_seed_takes_out_what_seeds_share():
    alone, paired = grid.summary({"recipe": [0.6, 0.7, 0.9], "more": [0.61, 0.71, 0.91]})[1][2:]
    assert paired is not None and paired.low is not None and paired.high is not None
    assert paired.low == pytest.approx(0.01) == paired.high
    assert alone.low is not None and alone.low < 0.6


def test_the_table_and_the_plot_show_every_row(tmp_path):
    rows = grid.summary({"recipe": [0.6, 0.7, 0.8], "heads": [0.65, 0.75, 0.85]})
    lines = grid.markdown(rows, "mean.auc", [1, 2, 3]).splitlines()
    assert lines[0] == "|  | mean.auc | difference to the first row | seed 1 | seed 2 | seed 3 |"
    assert lines[2] == "| recipe | 0.700 (0.452 to 0.948) |  | 0.600 | 0.700 | 0.800 |"
    assert lines[3].split(" | ")[2] == "+0.050 (+0.050 to +0.050)"
    grid_plot.draw(tmp_path / "grid.png", rows, "mean.auc")
    assert matplotlib.image.imread(tmp_path / "grid.png").shape[1] == 1600


def test_one_seed_has_no_interval(tmp_path):
    rows = grid.summary({"recipe": [0.6], "heads": [0.65]})
    assert "| heads | 0.650 | +0.050 | 0.650 |" in grid.markdown(rows, "mean.auc", [1])
    grid_plot.draw(tmp_path / "grid.png", rows, "mean.auc")


def test_a_measure_that_the_metrics_lack_is_refused(monkeypatch):
    metrics = json.dumps({"mean": {"auc": 0.7, "auc_low": None}}).encode()
    monkeypatch.setattr(experiments, "read", lambda *_: metrics)
    assert grid.measured("f" * 40, "mean.auc") == 0.7
    for wrong in ("mean", "mean.auc_low", "mean.auc.value", "other.auc"):
        with pytest.raises(PipelineError, match=f"has no number '{wrong}'"):
            grid.measured("f" * 40, wrong)


def test_every_row_runs_with_every_seed_and_the_same_values_are_compared(
    tmp_path, monkeypatch, capsys
):
    ran = {}

    def run(name, changes, *targets):
        assert targets == ("evaluate",)
        ran[name] = dict(changes)
        return name

    metrics = {"a-b-seed-2": 0.6, "a-b-seed-5": 0.8, "c-seed-2": 0.7, "c-seed-5": 0.9}
    read = lambda name, _: json.dumps({"mean": {"auc": metrics[name]}}).encode()  # noqa: E731
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(experiments, "run", run)
    monkeypatch.setattr(experiments, "read", read)
    (tmp_path / "rows.yaml").write_text("A, b: {}\nc: {gmm.input: heads}\n", encoding="utf-8")
    grid.main(["--grid", str(tmp_path / "rows.yaml"), "--seeds", "2", "5", "2",
               "--output", str(tmp_path / "out")])  # fmt: skip
    assert ran["c-seed-5"] == {"gmm.input": "heads", "seed": 5} and set(ran) == set(metrics)
    text = (tmp_path / "out.md").read_text()
    assert text in capsys.readouterr().out and "+0.100 (+0.100 to +0.100)" in text
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_the_grid_in_the_repository_is_valid(monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = params.read_yaml("benchmarks/grid.yaml")
    experiments.check(rows.values())
    first = next(iter(rows.values()))
    assert all(first.items() <= row.items() for row in rows.values()), "more than one change"
    weights = params.load_all().pretext.loss_weights
    changed = rows["manipulation only"].keys() - first.keys()
    manipulation = {key.rpartition(".")[2] for key in changed}
    assert manipulation == set(weights) - {"manipulation"}


def test_wrong_parameters_and_data_that_a_copy_would_lack_are_refused_at_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    for wrong, said in (
        ({"gmm.componets": 2}, "gmm.componets: unknown key"),
        ({"gmm.components": 2}, "gmm.shrinkage ledoit_wolf is of one full covariance"),
        ({"data.root": "data/own"}, r"data.root = data/own is not in git.*absolute path /"),
    ):
        with pytest.raises(PipelineError, match=said):
            experiments.check([{}, wrong])
    experiments.check([{"data.root": "/data/own"}])
