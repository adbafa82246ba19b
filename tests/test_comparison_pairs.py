"""Which faces of two runs are compared, what is left out, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import pairs as comparison
from tests.test_comparison import rows_of
from tests.two_runs import table


def test_only_faces_of_both_runs_are_compared_and_the_others_are_counted():
    a, b = table(1), table(2)
    fewer = b[~b["name"].isin(["ddpm/0.png", "ddpm/1.png", "photographic_test/5.png"])]
    pairs = comparison.pair(a.drop(index=a.index[-1]), fewer)
    assert pairs.faces_left_out == (3, 1) and not pairs.remarks
    assert len(pairs.photographs) == 79 and {
        name: len(f) for name, f in pairs.generators.items()
    } == {"ddpm": 78, "sim_b": 79}
    dropped = a[a["name"].isin(fewer["name"])]
    assert rows_of(a, fewer) == rows_of(dropped, fewer)


def test_generators_and_rates_of_one_run_only_are_named():
    a, b = table(1, generators=("ddpm", "old")), table(2, generators=("ddpm", "new"))
    pairs = comparison.pair(a.drop(columns="at_1_percent"), b, ("main", "workspace"))
    assert pairs.remarks == [
        "false alarm rate at_1_percent: only in workspace",
        "old: only in main",
        "new: only in workspace",
    ]
    assert list(pairs.generators) == ["ddpm"] and pairs.rates == ["at_5_percent"]
    assert pairs.faces_left_out == (0, 0)


def test_known_is_what_is_computed():
    pairs = comparison.pair(table(1), table(2))
    known = [(measure, of) for measure, over in comparison.known(pairs).items() for of in over]
    assert known == [
        (row.measure, row.of) for row in comparison.compare(pairs, resamples=100, seed=1)
    ]


def test_few_persons_are_remarked_and_a_single_one_is_left_out():
    a, b = table(1), table(2)
    few, one = a["set"] == "ddpm", a["set"] == "sim_b"
    for frame in (a, b):
        frame.loc[one, "group"] = "one"
        frame.loc[few, "group"] = [f"{i % 5}" for i in range(80)]
    pairs = comparison.pair(a, b)
    assert list(pairs.generators) == ["ddpm"]
    assert (
        pairs.remarks[0].startswith("ddpm: faces of 5 persons") and "too narrow" in pairs.remarks[0]
    )
    assert pairs.remarks[1].startswith("sim_b: left out, faces of 1 persons")


def test_a_generator_whose_faces_were_all_replaced_is_left_out():
    b = table(2)
    b["name"] = b["name"].str.replace("ddpm/", "ddpm/new_")
    pairs = comparison.pair(table(1), b)
    assert list(pairs.generators) == ["sim_b"] and pairs.faces_left_out == (80, 80)
    assert pairs.remarks[0].startswith("ddpm: left out, faces of 0 persons")


def test_faces_with_another_picture_under_their_name_are_left_out_and_counted():
    a, b = table(1), table(2)
    replaced = b["name"].isin(["photographic_test/7.png", "ddpm/0.png", "ddpm/1.png", "ddpm/9.png"])
    b.loc[replaced, ["source_sha256", "group"]] = ["another", "somebody else"]
    pairs = comparison.pair(a, b, ("main", "workspace"))
    assert (pairs.other_pictures, pairs.faces_left_out) == (4, (0, 0))
    assert pairs.remarks == [
        "photographic_test: left out, 1 faces whose picture is not the same in main and workspace",
        "ddpm: left out, 3 faces whose picture is not the same in main and workspace",
    ]
    kept = [run[~run["name"].isin(b.loc[replaced, "name"])] for run in (a, b)]
    assert rows_of(a, b) == rows_of(*kept)


def test_a_generator_whose_pictures_were_all_replaced_is_left_out():
    b = table(2)
    b.loc[b["set"] == "ddpm", "source_sha256"] = "another"
    pairs = comparison.pair(table(1), b)
    assert list(pairs.generators) == ["sim_b"] and pairs.other_pictures == 80
    assert (
        pairs.remarks[0].startswith("ddpm: left out, 80 faces whose picture")
        and "0 persons" in pairs.remarks[1]
    )


def changed(column: str, value, rows=slice(3, 4)) -> pd.DataFrame:
    frame = table(2)
    frame[column] = frame[column].astype(object)
    frame.loc[frame.index[rows], column] = value
    return frame.infer_objects()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            table(2).drop(columns=["group", "label"]),
            "scores of B: no column group, label; run `dvc repro`",
        ),
        (
            table(2).drop(columns="source_sha256"),
            "scores of B: no column source_sha256; run `dvc repro` there with the present",
        ),
        (changed("at_5_percent", None), "column at_5_percent holds other values"),
        (
            changed("anomaly_score", np.nan),
            "photographic_test, photographic_test/3.png has no finite anomaly score",
        ),
        (changed("label", 1), "photographic_test/3.png has the other class's label"),
        (pd.concat([table(2), table(2).iloc[:1]]), "photographic_test/0.png stands twice"),
        (
            changed("group", "stranger"),
            "photographic_test/3.png is person1 in A and stranger in B .1 faces differ",
        ),
        (
            table(2, generators=("new",)),
            "no generator in common that can be compared: ddpm: only in A; sim_b: only in A; new",
        ),
        (
            table(2).query("label == 1"),
            "no test photographs in common that can be compared: photographic_test: only in A",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(wrong, said):
    with pytest.raises(PipelineError, match=said):
        comparison.pair(table(1), wrong)
