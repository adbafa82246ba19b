"""Two runs on the same faces: the paired bootstrap against naive loops, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.comparison import pairs
from pipeline.comparison.pairs import BETTER, SAME, WORSE, Row
from tests.two_runs import table

DRAWS = {"resamples": 300, "seed": 5}


def rows_of(a: pd.DataFrame, b: pd.DataFrame, **draws) -> dict[tuple[str, str], Row]:
    rows = pairs.compare(pairs.pair(a, b), **{**DRAWS, **draws})
    return {(row.measure, row.of): row for row in rows}


# --- oracles


def resampled(frame: pd.DataFrame, column: str, purpose: str, count: int) -> list[np.ndarray]:
    """The values of all faces, then of the drawn persons' faces, a person drawn twice twice."""
    persons = sorted(frame["person"].unique())
    values = [frame.loc[frame["person"] == person, column].to_numpy() for person in persons]
    rng = randomness.generator(5, purpose, "\n".join(persons))
    draws = [rng.integers(len(persons), size=len(persons)) for _ in range(count)]
    every = np.arange(len(persons))
    return [np.concatenate([values[i] for i in drawn]) for drawn in (every, *draws)]


def test_the_paired_bootstrap_is_the_naive_loop():
    runs = [table(1, people=15), table(2, people=15, gain=0.3)]
    runs[0] = runs[0][runs[0]["name"] != "ddpm/3.png"]  # groups of different sizes
    runs[1] = runs[1].sample(frac=1, random_state=0)  # another order of rows
    got = rows_of(*runs, resamples=60)
    kept = [run[run["name"] != "ddpm/3.png"] for run in runs]

    def values(run: pd.DataFrame, name: str, column: str) -> list[np.ndarray]:
        purpose = "photographic" if name == "photographic_test" else "generated"
        return resampled(run[run["set"] == name], column, f"bootstrap {purpose}", 60)

    def auc(run: pd.DataFrame, name: str) -> list[float]:
        drawn = [values(run, of, "anomaly_score") for of in ("photographic_test", name)]
        return [
            float(roc_auc_score(np.repeat([0, 1], [len(n), len(g)]), np.concatenate([n, g])))
            for n, g in zip(*drawn, strict=True)
        ]

    def rate(run: pd.DataFrame, name: str, column: str) -> list[float]:
        return [float(flags.mean()) for flags in values(run, name, column)]

    names = ("ddpm", "sim_b")
    aucs = np.array([[auc(run, name) for run in kept] for name in names])
    rates = np.array([[rate(run, name, "at_5_percent") for run in kept] for name in names])
    alarms = [rate(run, "photographic_test", "at_1_percent") for run in kept]
    expected = {("false_alarm_rate_at_1_percent", "photographic_test"): np.array(alarms)}
    for measure, of in (("auc", aucs), ("detection_rate_at_5_percent", rates)):
        expected |= {(measure, "ddpm"): of[0], (measure, "sim_b"): of[1]}
        expected |= {(measure, "mean"): of.mean(axis=0), (measure, "worst"): of.min(axis=0)}
    for key, (a, b) in expected.items():
        low, high = np.percentile((b - a)[1:], [2.5, 97.5])
        row = (a[0], b[0], b[0] - a[0], low, high)
        assert got[key][2:] == pytest.approx(row, abs=1e-12), key


# --- what the comparison must say


def test_a_run_is_no_different_from_itself_exactly():
    for row in rows_of(table(1), table(1)).values():
        assert row.difference == row.low == row.high == 0
        assert row.verdict == SAME and row.a == row.b


@pytest.mark.parametrize(
    ("low", "high", "auc", "false_alarms"),
    [
        (0.1, 0.2, BETTER, WORSE),
        (-0.2, -0.1, WORSE, BETTER),
        (-0.1, 0.1, SAME, SAME),
        (0, 0.1, SAME, SAME),
        (-0.1, 0, SAME, SAME),
    ],
)
def test_the_verdict_is_whether_the_interval_leaves_0_out(low, high, auc, false_alarms):
    assert Row("auc", "x", 0, 0, 0, low, high).verdict == auc
    assert Row("false_alarm_rate_at_5_percent", "x", 0, 0, 0, low, high).verdict == false_alarms


@pytest.mark.parametrize(
    ("a", "b", "unequal"),
    [
        (0.012, 0.019, True),
        (0.019, 0.012, True),
        (0.05, 0.06, False),  # a fifth
        (0.06, 0.048, False),
        (0.05, 0.0601, True),
        (0.0, 0.001, True),
        (0.001, 0.0, True),
        (0.0, 0.0, False),
    ],
)
def test_false_alarms_are_unequal_by_more_than_a_fifth_whatever_the_interval(a, b, unequal):
    row = Row("false_alarm_rate_at_1_percent", "photographic_test", a, b, b - a, -1, 1)
    other = Row("detection_rate_at_5_percent", "mean", 0.1, 0.9, 0.8, 0.7, 0.9)
    expected = {"detection_rate_at_1_percent": row} if unequal else {}
    assert pairs.unequal_false_alarms([other, row]) == expected


OPPOSITE = {BETTER: WORSE, WORSE: BETTER, SAME: SAME}


@settings(max_examples=15)
@given(st.integers(0, 99), st.floats(-1, 1), st.sampled_from([2, 7, 16]), st.integers(0, 2**31))
def test_swapping_the_runs_swaps_signs_and_verdicts(run, gain, people, seed):
    a, b = table(0, people=people), table(run, people=people, gain=gain)
    forth, back = rows_of(a, b, resamples=100, seed=seed), rows_of(b, a, resamples=100, seed=seed)
    assert forth.keys() == back.keys()
    for key, row in forth.items():
        other = back[key]
        assert (row.a, row.b) == (other.b, other.a)
        mirrored = (-other.difference, -other.high, -other.low)
        assert (row.difference, row.low, row.high) == pytest.approx(mirrored, abs=1e-12)
        if min(abs(row.low), abs(row.high)) > 1e-12:  # an end at 0 may be rounded to either side
            assert row.verdict == OPPOSITE[other.verdict]


# --- what is left out


def test_only_the_same_pictures_of_both_runs_are_compared_and_the_others_are_counted():
    a, b = table(1), table(2)
    fewer = b[~b["name"].isin(["ddpm/0.png", "ddpm/1.png", "photographic_test/5.png"])].copy()
    fewer.loc[fewer["name"] == "ddpm/9.png", "source_sha256"] = "another"
    paired = pairs.pair(a.drop(index=a.index[-1]), fewer)
    assert paired.remarks == [
        "Compared: 79 photographs and 156 faces of 2 generators, which both runs have. Left out: "
        "3 faces only in A, 1 only in B, 1 whose picture changed."
    ]
    same = fewer[(fewer["source_sha256"] != "another") & (fewer["name"] != a["name"].iloc[-1])]
    assert rows_of(a.drop(index=a.index[-1]), fewer) == rows_of(a, same)


def test_generators_and_rates_of_one_run_only_are_named():
    a, b = table(1, generators=("ddpm", "old")), table(2, generators=("ddpm", "new"))
    paired = pairs.pair(a.drop(columns="at_1_percent"), b, ("main", "workspace"))
    only = ["old: only in main", "at_1_percent: only in workspace", "new: only in workspace"]
    assert paired.remarks[1:] == only
    assert list(paired.generators) == ["ddpm"] and paired.rates == ["at_5_percent"]


def test_few_persons_are_remarked_and_a_single_one_is_left_out():
    a, b = table(1), table(2)
    for frame in (a, b):
        frame.loc[frame["set"] == "sim_b", "person"] = "one"
        frame.loc[frame["set"] == "ddpm", "person"] = [f"{i % 5}" for i in range(80)]
    paired = pairs.pair(a, b)
    assert list(paired.generators) == ["ddpm"]
    assert paired.remarks[1:] == [
        "ddpm: 5 persons in both runs make intervals too narrow",
        "sim_b: left out, 1 persons in both runs allow no interval",
    ]


def test_where_persons_differ_those_of_the_first_run_are_used():
    a, b = table(1), table(2)
    b["person"] = "x" + b["name"]
    assert "persons: A and B differ, those of A are used" in pairs.pair(a, b).remarks
    assert rows_of(a, b) == rows_of(a, table(2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (table(2).drop(columns=["person", "set"]), "scores of B: no column person, set; run `dvc"),
        (pd.concat([table(2), table(2).iloc[:1]]), "scores of B: a face stands twice"),
        (table(2, generators=("new",)), "no generator in common; ddpm: only in A; sim_b: only in"),
        (table(2).query("label == 1"), "no test photographs in common; photographic_test: only"),
        (table(2).assign(source_sha256="x"), "photographic_test: left out, 0 persons in both"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(wrong, message):
    with pytest.raises(PipelineError, match=message):
        pairs.pair(table(1), wrong)
