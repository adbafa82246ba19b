"""The stage end to end on small feature files."""

import csv
import json
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.density import fitting as density
from pipeline.stages import select_mixture

PARAMS = """
seed: 3
data: {root: data, person_pattern: '^([^_]+)_'}
gmm: {components: %d, covariance_type: full, standardise: true, pca_components: 4, regularisation: 1e-6,
      maximum_iterations: 100, tolerance: 1e-3, starts: 1, device: cpu}
selection: {components: %s, covariance_types: [full, diag], pca_components: %s, folds: 3}
"""
HEADER = "components,covariance_type,pca_components,parameters,n_over_k_d,bic,held_out_log_likelihood,held_out_standard_error"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(1).normal(size=(300, 12)).astype(np.float32)
    names = np.array([f"data/{i // 2:04d}_{i % 2}.png" for i in range(300)])
    heads, digests = (
        np.zeros((300, 5), dtype=np.float32),
        np.array([f"{i:064x}" for i in range(300)]),
    )
    artifacts.write_npz("fit.npz", names=names, features=x, heads=heads, source_sha256=digests)

    def run(current=2, components="[1, 2]", pca="[4, 8]"):
        (tmp_path / "params.yaml").write_text(PARAMS % (current, components, pca))
        select_mixture.main(
            ["--fit", "fit.npz", "--table", "selection.csv", "--metrics", "selection.json"]
        )
        with open("selection.csv") as file:
            return list(csv.DictReader(file)), json.loads((tmp_path / "selection.json").read_text())

    return run


def test_table_and_metrics(run, tmp_path, capsys):
    table, metrics = run()
    assert (tmp_path / "selection.csv").read_text().splitlines()[0] == HEADER
    assert len(table) == 8 and all(value for row in table for value in row.values())
    assert (metrics["faces"], metrics["people"], metrics["folds"], metrics["not_fitted"]) == (
        300,
        150,
        3,
        [],
    )
    assert (metrics["current"]["components"], metrics["current"]["covariance_type"]) == (2, "full")
    peers = [row for row in table if row["pca_components"] == "4"]
    leader = max(peers, key=lambda row: float(row["held_out_log_likelihood"]))
    for name, value in metrics["best"].items():
        assert leader[name] == (f"{value:.9g}" if isinstance(value, float) else str(value))
    current = metrics["current"]
    gap = metrics["best"]["held_out_log_likelihood"] - current["held_out_log_likelihood"]
    assert (
        current["difference"] == pytest.approx(gap, abs=1e-9)
        and 0 < gap < current["difference_standard_error"] < 0.03
    )
    assert (
        f"{gap:.3f} nats" in metrics["advice"][1]
        and "within one standard error of this difference" in metrics["advice"][1]
    )
    assert [len(sentence) > 20 for sentence in metrics["advice"]] == [True] * 3
    shown = capsys.readouterr().out
    assert (
        metrics["advice"][0] in " ".join(shown.split()) and max(map(len, shown.splitlines())) <= 80
    )
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("advice"))


def test_the_current_mixture_is_the_one_that_fit_gmm_fits(run):
    _, metrics = run()
    x = artifacts.read_npz("fit.npz")["features"]
    settings: dict[str, Any] = {
        "standardise": True,
        "regularisation": 1e-6,
        "maximum_iterations": 100,
        "tolerance": 1e-3,
        "starts": 1,
    }
    fit = density.fit(
        x,
        components=2,
        covariance_type="full",
        pca_components=4,
        seed=key(3, "fit_gmm"),
        **settings,
    )
    parameters = 2 * (4 + 10) + 1
    expected = parameters * np.log(300) - 2 * fit.mixture.log_likelihood(x).sum()
    assert (
        metrics["current"]["bic"] == pytest.approx(expected)
        and metrics["current"]["parameters"] == parameters
    )


def test_the_current_mixture_is_compared_where_the_grid_lacks_it(run):
    table, metrics = run(current=3, components="[1]", pca="[8]")
    assert [(row["components"], row["pca_components"]) for row in table] == [
        ("3", "4"),
        ("1", "8"),
        ("1", "8"),
    ]
    nothing = {"difference": 0, "difference_standard_error": 0}
    assert metrics["current"] == metrics["best"] | nothing and metrics["current"]["components"] == 3
    assert "add it to selection.pca_components" in metrics["advice"][1]


def test_what_cannot_be_fitted_is_listed_with_its_reason(run, capsys):
    table, metrics = run(components="[1, 250]", pca="[4, 13]")
    assert (
        len(table) == 9 and sum(not row["bic"] for row in table) == 6
    )  # 250 components in a fold; 13 of 12 directions
    assert [not row["parameters"] for row in table] == [
        not row["held_out_standard_error"] for row in table
    ]
    listed = {
        (m["components"], m["covariance_type"], m["pca_components"]): m["reason"]
        for m in metrics["not_fitted"]
    }
    assert len(listed) == 6 and "250 components need as many faces" in listed[250, "diag", 4]
    assert (
        "13 directions asked for" in listed[1, "full", 13]
        and "not fitted: gmm.pca_components" in capsys.readouterr().out
    )


def test_a_current_mixture_that_cannot_be_fitted_is_said(run):
    _, metrics = run(current=250)
    assert metrics["current"] is None and metrics["best"]["components"] in (1, 2)
    assert "250 full components, cannot be fitted" in metrics["advice"][0]


def test_no_components_mean_no_comparison(run, tmp_path):
    (tmp_path / "fit.npz").unlink()  # nor is it read
    table, metrics = run(components="[]")
    assert table == [] and (tmp_path / "selection.csv").read_text() == HEADER + "\n"
    assert (
        metrics["advice"][0].startswith("not run")
        and metrics["current"] is None
        and metrics["best"] is None
    )
    assert (metrics["faces"], metrics["not_fitted"]) == (0, [])


def test_same_bytes_twice(run, tmp_path):
    files = [tmp_path / name for name in ("selection.csv", "selection.json")]
    run()
    before = [file.read_bytes() for file in files]
    run()
    assert [file.read_bytes() for file in files] == before


def test_too_few_persons_are_refused(run):
    arrays = artifacts.read_npz("fit.npz")
    artifacts.write_npz(
        "fit.npz", **arrays | {"names": np.array([f"data/{i % 2}_{i}.png" for i in range(300)])}
    )
    with pytest.raises(
        PipelineError,
        match=r"selection\.folds: 3 folds need as many persons, the fit photographs show 2",
    ):
        run()
