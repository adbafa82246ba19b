"""Reading results back: what must agree, and the mean over generators."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import artifacts, results
from pipeline.errors import PipelineError

SHARES = st.floats(0, 1)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        artifacts.write_json(tmp_path / "generators" / f"{name}.json", {"auc": 0.5})
    return tmp_path / "generators"


def test_files_come_in_the_order_of_the_parameters(folder):
    (folder / ".gitignore").write_text("")
    assert list(results.per_set((folder, ".json", ["b", "a"]))[0]) == ["b", "a"]


def test_stale_and_missing_results_are_named_with_the_remedy(folder):
    with pytest.raises(PipelineError) as error:
        results.per_set((folder, ".json", ["a", "c"]), (folder.parent / "roc", ".csv", ["a"]))
    text = str(error.value)
    assert "stale" in text and f"rm {folder.as_posix()}/b.json" in text
    assert f"missing: {folder}/c.json, {folder.parent}/roc/a.csv. Make them: dvc repro" in text


def test_a_folder_that_is_absent_lacks_everything(tmp_path):
    with pytest.raises(PipelineError, match=r"missing: .*roc/a\.csv"):
        results.per_set((tmp_path / "roc", ".csv", ["a"]))


@given(st.lists(st.tuples(SHARES, SHARES, SHARES), min_size=1, max_size=9))
def test_mean_is_numpys_over_generators_at_both_levels(rows):
    metrics = {
        str(i): {"generator": "x", "generated_faces": 3, "auc": a, "false_alarm_rate": b, "paper_protocol": {"accuracy": c}}
        for i, (a, b, c) in enumerate(rows)
    }
    table = results.evaluation(metrics, "metrics/generators")
    auc, rate, accuracy = np.mean(rows, axis=0)
    expected = {"auc": auc, "false_alarm_rate": rate, "paper_protocol": {"accuracy": pytest.approx(accuracy)}}
    assert table["mean"] == {key: value if isinstance(value, dict) else pytest.approx(value) for key, value in expected.items()}
    assert list(table) == [*metrics, "mean"] and "generator" not in table["0"] and table["0"]["generated_faces"] == 3
    json.dumps(table, allow_nan=False)


def test_generators_that_met_different_photographs_are_refused():
    metrics = {name: {"auc": 0.5, "photographic_list_sha256": name} for name in "ab"}
    with pytest.raises(PipelineError, match="not evaluated against the same photographs"):
        results.evaluation(metrics, "metrics/generators")


def test_a_generator_without_a_number_is_refused():
    with pytest.raises(PipelineError, match="'auc'"):
        results.evaluation({"a": {"auc": 0.5}, "b": {}}, "metrics/generators")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected rows with the columns fpr"),
        ("fpr\n", "expected rows"),
        ("tpr\n1\n", "expected rows"),
        ("fpr,tpr\n0,x\n", "not all cells"),
        ("fpr,tpr\n0\n", None),
    ],
)
def test_broken_curves_are_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    if message:
        with pytest.raises(PipelineError, match=rf"a\.csv: {message}"):
            results._numbers(path, "fpr")
    else:  # a short line: the cell is empty
        assert np.isnan(results._numbers(path, "fpr")["tpr"][0])


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"a\.csv: no such file"):
        results._numbers(tmp_path / "a.csv")
