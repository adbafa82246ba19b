"""Oracle: means, minima and percentiles written out."""

import numpy as np
import pytest

from pipeline.evaluation import table
from pipeline.evaluation.generator import Figures
from pipeline.evaluation.ranking import RATES

KEYS = ("at_1_percent", "at_5_percent", "paper_protocol")
NAMES = (
    "auc",
    "ap_generated",
    "ap_photographic",
    "eer",
    *(f"{k}.{r}" for k in KEYS for r in RATES),
)


def figures(auc, seed, names=NAMES):
    rng = np.random.default_rng(seed)
    values = {name: auc / (i + 1) for i, name in enumerate(NAMES)}
    estimates = {n: {"value": v, "low": v - 1, "high": v + 1} for n, v in values.items()}
    for name in set(NAMES) - set(names):
        estimates[name] |= {"low": None, "high": None}
    counts = {"generated_faces": 10 * seed, "photographic_faces": 70}
    return Figures(counts, estimates, {name: rng.normal(size=50) for name in names}, {}, [])


GENERATORS = {"b": figures(0.8, 1), "a": figures(0.6, 2), "c": figures(0.7, 3)}


def test_a_generators_row():
    rows = table.table(GENERATORS)
    assert list(rows) == ["b", "a", "c", "mean", "worst"]
    row = rows["a"]
    assert (row["generated_faces"], row["photographic_faces"]) == (20, 70)
    assert (row["auc"], row["ap_generated"], row["eer"]) == (0.6, 0.3, 0.15)
    assert (row["auc_low"], row["auc_high"]) == (0.6 - 1, 0.6 + 1)
    rates = row["at_1_percent"]
    assert set(rates) == {*RATES, "detection_rate_low", "detection_rate_high"}
    assert rates["detection_rate_high"] == rates["detection_rate"] + 1
    assert set(row["paper_protocol"]) == {"accuracy", "false_alarm_rate", "detection_rate"}


def test_the_mean_and_its_interval_over_paired_replicates():
    mean = table.table(GENERATORS)["mean"]
    assert mean["auc"] == pytest.approx(0.7)
    assert mean["at_1_percent"]["accuracy"] == pytest.approx(0.7 / 5)
    paired = np.mean([one.replicates["auc"] for one in GENERATORS.values()], axis=0)
    ends = tuple(np.quantile(paired, [0.025, 0.975]))
    assert (mean["auc_low"], mean["auc_high"]) == pytest.approx(ends)


def test_where_all_resamples_agree_the_mean_takes_the_generators_own_ends():
    name = "at_5_percent.detection_rate"
    agreed = figures(0.6, 2)
    agreed.replicates[name] = np.full(50, 0.25)
    mean = table.table({**GENERATORS, "a": agreed})["mean"]["at_5_percent"]
    others = GENERATORS["b"].replicates[name] + GENERATORS["c"].replicates[name]
    for end, percentile in (("low", 0.025), ("high", 0.975)):
        expected = np.quantile((others + agreed.estimates[name][end]) / 3, percentile)
        assert mean[f"detection_rate_{end}"] == pytest.approx(expected)


def test_without_one_generators_replicates_mean_and_worst_have_no_interval():
    one_face = figures(0.9, 4, names=("at_5_percent.false_alarm_rate",))
    rows = table.table({**GENERATORS, "d": one_face})
    for name in ("d", "mean", "worst"):
        assert (rows[name]["auc_low"], rows[name]["auc_high"]) == (None, None)
    assert rows["mean"]["auc"] == pytest.approx(0.75) and rows["b"]["auc_low"] is not None
    assert (rows["worst"]["generator"], rows["worst"]["auc"]) == ("a", 0.6)


def test_a_perfect_generator_leaves_the_worst_its_interval():
    perfect = figures(1.0, 4)
    perfect.replicates["auc"] = np.ones(50)
    perfect.estimates["auc"] = {"value": 1.0, "low": None, "high": None}
    rows = table.table({"a": GENERATORS["a"], "d": perfect})
    expected = np.quantile(np.minimum(GENERATORS["a"].replicates["auc"], 1), 0.025)
    assert rows["worst"]["auc_low"] == pytest.approx(expected)
    alone = table.table({"d": perfect})["worst"]
    assert (alone["auc"], alone["auc_low"]) == (1.0, None)


def test_headline_numbers_are_few_and_flat():
    generators = {f"g{i}": figures(0.5 + i / 20, i) for i in range(6)}
    rows = table.table(generators)
    got = table.headline(rows)
    measures = {"auc", "detection_rate_at_1_percent", "detection_rate_at_5_percent"}
    assert all(set(got[name]) == measures for name in generators)
    assert set(got["mean"]) == measures | {"auc_low", "auc_high"}
    assert got["mean"]["auc_low"] == rows["mean"]["auc_low"] < got["mean"]["auc"]
    assert got["worst"] == {"auc": 0.5}
    assert got["g3"]["detection_rate_at_5_percent"] == rows["g3"]["at_5_percent"]["detection_rate"]
    alarms = rows["mean"]["at_1_percent"]["false_alarm_rate"]
    assert got["false_alarm_rate_at_1_percent"] == alarms
    numbers = sum(len(part) if isinstance(part, dict) else 1 for part in got.values())
    assert numbers <= 28
