"""Two runs on the same faces: the paired bootstrap against naive loops and formulas, and its
symmetries.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.comparison import pairs as comparison
from pipeline.comparison.pairs import BETTER, SAME, WORSE, Row
from pipeline.evaluation import bootstrap
from tests.two_runs import table

DRAWS = {"resamples": 300, "seed": 5}


def rows_of(a: pd.DataFrame, b: pd.DataFrame, **draws) -> dict[tuple[str, str], Row]:
    return {
        (row.measure, row.of): row
        for row in comparison.compare(comparison.pair(a, b), **{**DRAWS, **draws})
    }


# --- oracles


def resampled(frame: pd.DataFrame, column: str, draws: list[np.ndarray]) -> list[np.ndarray]:
    """The values of the drawn persons' faces for each resample, a person drawn twice counted twice."""
    people = [
        frame.loc[frame["group"] == person, column].to_numpy()
        for person in sorted(frame["group"].unique())
    ]
    return [np.concatenate([people[i] for i in drawn]) for drawn in draws]


def drawn(purpose: str, count: int) -> list[np.ndarray]:
    """Which persons each resample draws, found out through the share of each person among faces
    that are a person each.
    """
    names = np.array([f"person{i}" for i in range(count)])
    shares = [
        bootstrap.rate_replicates(
            bootstrap.Sample(np.eye(count)[i], names), 0.5, purpose=purpose, resamples=60, seed=5
        )
        for i in np.argsort(names)
    ]
    return [
        np.repeat(np.arange(count), np.rint(row * count).astype(int)) for row in np.array(shares).T
    ]


def test_the_paired_bootstrap_is_the_naive_loop():
    runs = [table(1, people=15), table(2, people=15, gain=0.3)]
    runs[0] = runs[0][runs[0]["name"] != "ddpm/3.png"]  # groups of different sizes
    runs[1] = runs[1].sample(frac=1, random_state=0)  # another order of rows
    found = rows_of(*runs, resamples=60)
    kept = [run[run["name"] != "ddpm/3.png"] for run in runs]
    photographic, generated = drawn(bootstrap.PHOTOGRAPHIC, 15), drawn(bootstrap.GENERATED, 15)

    def values(run: pd.DataFrame, name: str, column: str) -> list[np.ndarray]:
        draws = photographic if name == "photographic_test" else generated
        return resampled(run[run["set"] == name], column, draws)

    def auc(run: pd.DataFrame, name: str) -> list[float]:
        pairs = zip(
            values(run, "photographic_test", "anomaly_score"),
            values(run, name, "anomaly_score"),
            strict=True,
        )
        return [
            float(roc_auc_score(np.repeat([0, 1], [len(n), len(g)]), np.concatenate([n, g])))
            for n, g in pairs
        ]

    def rate(run: pd.DataFrame, name: str, column: str) -> list[float]:
        return [float(flags.mean()) for flags in values(run, name, column)]

    aucs = np.array([[auc(run, name) for run in kept] for name in ("ddpm", "sim_b")])
    rates = np.array(
        [[rate(run, name, "at_5_percent") for run in kept] for name in ("ddpm", "sim_b")]
    )
    alarms = [rate(run, "photographic_test", "at_1_percent") for run in kept]
    expected = {("false_alarm_rate_at_1_percent", "photographic_test"): np.array(alarms)}
    for measure, of in (("auc", aucs), ("detection_rate_at_5_percent", rates)):
        expected |= {(measure, "ddpm"): of[0], (measure, "sim_b"): of[1]}
        expected |= {(measure, "mean"): of.mean(axis=0), (measure, "worst"): of.min(axis=0)}
    for key, replicates in expected.items():
        low, high = np.percentile(replicates[1] - replicates[0], [2.5, 97.5])
        assert (found[key].low, found[key].high) == pytest.approx((low, high), abs=1e-12), key


def test_values_are_those_of_the_faces_themselves():
    a, b = table(1), table(2)
    found = rows_of(a, b)
    for run, which in ((a, "a"), (b, "b")):
        aucs = []
        for name in ("ddpm", "sim_b"):
            part = run[run["set"].isin(["photographic_test", name])]
            aucs.append(roc_auc_score(part["label"], part["anomaly_score"]))
            assert getattr(found["auc", name], which) == pytest.approx(aucs[-1])
            rate = run.loc[run["set"] == name, "at_5_percent"].mean()
            assert getattr(found["detection_rate_at_5_percent", name], which) == pytest.approx(rate)
        assert getattr(found["auc", "mean"], which) == pytest.approx(np.mean(aucs))
        assert getattr(found["auc", "worst"], which) == pytest.approx(min(aucs))
        alarms = run.loc[run["label"] == 0, "at_1_percent"].mean()
        assert getattr(
            found["false_alarm_rate_at_1_percent", "photographic_test"], which
        ) == pytest.approx(alarms)
    assert all(row.difference == pytest.approx(row.b - row.a) for row in found.values())


def test_intervals_of_rates_are_as_wide_as_the_formula_for_paired_shares_says():
    """McNemar's standard error: sqrt(p01 + p10 - (p10 - p01)^2) / sqrt(n), for faces that are a
    group each.
    """
    a, b = table(1, people=200), table(2, people=200)
    for frame in (a, b):
        frame["group"] = frame["name"]
    row = rows_of(a, b, resamples=4000)["detection_rate_at_5_percent", "ddpm"]
    flags = [frame.loc[frame["set"] == "ddpm", "at_5_percent"].to_numpy(float) for frame in (a, b)]
    error = (flags[1] - flags[0]).std() / np.sqrt(400)
    assert row.high - row.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    unpaired = np.sqrt(sum(f.var() for f in flags) / 400)
    assert row.high - row.low < 0.8 * 2 * 1.96 * unpaired


# --- what the comparison must say


def test_a_run_is_no_different_from_itself_exactly():
    for row in rows_of(table(1), table(1)).values():
        assert row.difference == row.low == row.high == 0
        assert row.verdict == SAME and row.a == row.b


def test_a_clearly_better_detector_is_better_and_a_change_of_noise_is_no_difference():
    better = rows_of(table(1), table(2, gain=1.0))
    assert {
        row.verdict for key, row in better.items() if not comparison.lower_is_better(key[0])
    } == {BETTER}
    assert rows_of(table(1), table(2))["auc", "mean"].verdict == SAME


def test_more_false_alarms_are_worse():
    worse = table(1)
    photographs = worse["set"] == "photographic_test"
    worse.loc[photographs, "at_5_percent"] = worse.loc[photographs, "anomaly_score"] > 0
    assert (
        rows_of(table(1), worse)["false_alarm_rate_at_5_percent", "photographic_test"].verdict
        == WORSE
    )
    assert (
        rows_of(worse, table(1))["false_alarm_rate_at_5_percent", "photographic_test"].verdict
        == BETTER
    )


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
    assert comparison.unequal_false_alarms([other, row]) == (
        {"detection_rate_at_1_percent": row} if unequal else {}
    )


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
        assert (row.difference, row.low, row.high) == pytest.approx(
            (-other.difference, -other.high, -other.low), abs=1e-12
        )
        if min(abs(row.low), abs(row.high)) > 1e-12:  # an end at 0 may be rounded to either side
            assert row.verdict == OPPOSITE[other.verdict]


def test_worst_is_the_lowest_generator_of_each_run():
    a, b = table(1), table(1)
    a.loc[a["set"] == "ddpm", "anomaly_score"] -= 5
    b.loc[b["set"] == "sim_b", "anomaly_score"] -= 5
    found = rows_of(a, b)
    assert found["auc", "worst"].a == found["auc", "ddpm"].a
    assert found["auc", "worst"].b == found["auc", "sim_b"].b
