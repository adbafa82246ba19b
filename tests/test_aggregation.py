"""Oracle: sums and percentiles written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.base.errors import PipelineError
from pipeline.evaluation import aggregation

RATES = ("accuracy", "balanced_accuracy", "false_alarm_rate", "detection_rate")
NAMES = (
    "auc",
    "ap_generated",
    "ap_photographic",
    "eer",
    *(f"{k}.{r}" for k in ("at_5_percent", "paper_protocol") for r in RATES),
)


def generator(auc, faces=30, **changed):
    values = {name: auc / (i + 1) for i, name in enumerate(NAMES)}
    ends = {
        end: aggregation.nested({name: auc + i for name in NAMES})
        for i, end in ((-1, "low"), (1, "high"))
    }
    counts = {"generated_faces": faces, "photographic_faces": 70}
    return {
        "values": aggregation.nested(values),
        "photographic_list_sha256": "0",
        **ends,
        **counts,
        **changed,
    }


def replicates(seed, resamples=50, names=NAMES):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=resamples) for name in names}


CONTENTS = {"b": generator(0.8), "a": generator(0.6, faces=10), "c": generator(0.7)}
REPLICATES = {name: replicates(i) for i, name in enumerate(CONTENTS)}


@given(st.dictionaries(st.sampled_from(NAMES), st.none() | st.floats(0, 1)))
def test_nesting_and_flattening_are_each_others_inverse(flat):
    tree = aggregation.nested(flat)
    assert aggregation.flattened(tree) == flat
    assert all("." not in name for name in tree)


def test_a_generators_row():
    row = aggregation.table(CONTENTS, REPLICATES)["a"]
    assert (row["auc"], row["ap_generated"], row["ap_photographic"], row["eer"]) == (
        0.6,
        0.3,
        0.6 / 3,
        0.15,
    )
    assert (row["generated_faces"], row["photographic_faces"]) == (10, 70)
    assert (row["auc_low"], row["auc_high"]) == (0.6 - 1, 0.6 + 1)  # as evaluate wrote them
    rate = row["at_5_percent"]
    assert set(rate) == {*RATES, "detection_rate_low", "detection_rate_high"}
    assert (rate["detection_rate_low"], rate["detection_rate_high"]) == (0.6 - 1, 0.6 + 1)
    assert row["paper_protocol"] == {
        "accuracy": 0.6 / 9,
        "false_alarm_rate": 0.6 / 11,
        "detection_rate": 0.6 / 12,
    }


def test_the_mean_and_its_interval_over_paired_replicates():
    mean = aggregation.table(CONTENTS, REPLICATES)["mean"]
    assert mean["auc"] == pytest.approx(0.7) and mean["at_5_percent"]["accuracy"] == pytest.approx(
        0.7 / 5
    )
    paired = sum(one["auc"] for one in REPLICATES.values()) / 3
    assert (mean["auc_low"], mean["auc_high"]) == pytest.approx(
        tuple(np.quantile(paired, [0.025, 0.975]))
    )
    assert "generated_faces" not in mean and "photographic_faces" not in mean


def test_the_worst_is_that_with_the_lowest_auc():
    table = aggregation.table(CONTENTS, REPLICATES)
    row = table["a"]
    assert list(table) == ["b", "a", "c", "mean", "worst"]
    assert table["worst"] == {
        "generator": "a",
        **{key: row[key] for key in ("auc", "auc_low", "auc_high")},
    }


def test_without_one_generators_replicates_there_is_no_interval_of_the_mean():
    some = {**REPLICATES, "a": replicates(1, names=("at_5_percent.false_alarm_rate",))}
    none = {end: aggregation.nested(dict.fromkeys(NAMES)) for end in ("low", "high")}
    table = aggregation.table({**CONTENTS, "a": generator(0.6, faces=10, **none)}, some)
    for name in ("a", "mean", "worst"):
        assert (table[name]["auc_low"], table[name]["auc_high"]) == (None, None)
    assert table["mean"]["at_5_percent"]["detection_rate_low"] is None
    assert table["mean"]["auc"] == pytest.approx(0.7) and table["b"]["auc_low"] is not None


@pytest.mark.parametrize(
    ("contents", "resamples", "what"),
    [
        ({"photographic_list_sha256": "1"}, 50, "against the same photographs"),
        (
            {"values": {**CONTENTS["a"]["values"], "at_1_percent": {"accuracy": 1.0}}},
            50,
            "at the same false alarm rates",
        ),
        ({}, 49, "with the same number of resamples"),
    ],
)
def test_generators_that_cannot_be_compared_are_refused(contents, resamples, what):
    mixed = {**CONTENTS, "a": {**CONTENTS["a"], **contents}}
    with pytest.raises(
        PipelineError, match=rf"were not evaluated {what} \(a, b, c\): run `dvc repro`"
    ):
        aggregation.table(mixed, {**REPLICATES, "a": replicates(1, resamples)})


def test_where_all_resamples_agree_the_mean_takes_the_generators_own_ends():
    name = "at_5_percent.detection_rate"
    some = {**REPLICATES, "a": {**REPLICATES["a"], name: np.full(50, 0.25)}}
    mean = aggregation.table(CONTENTS, some)["mean"]["at_5_percent"]
    others = REPLICATES["b"][name] + REPLICATES["c"][name]
    assert mean["detection_rate_low"] == pytest.approx(np.quantile((others + 0.6 - 1) / 3, 0.025))
    assert mean["detection_rate_high"] == pytest.approx(np.quantile((others + 0.6 + 1) / 3, 0.975))


# --- intervals of one generator

FACES, GROUPS = aggregation.Counts(60, 5), aggregation.Counts(30, 5)


def intervals(values, drawn):
    ends, reasons = aggregation.intervals(values, drawn, FACES, GROUPS)
    return {name: (ends["low"][name], ends["high"][name]) for name in values}, reasons


def test_intervals_are_percentiles_where_resamples_differ():
    drawn = replicates(3)
    found, reasons = intervals(dict.fromkeys(NAMES, 0.5) | {"no replicates": 0.5}, drawn)
    assert found.pop("no replicates") == (None, None) and reasons == {}
    for name, ends in found.items():
        assert ends == pytest.approx(tuple(np.quantile(drawn[name], [0.025, 0.975])))


def exact(k, n):
    interval = binomtest(k, n).proportion_ci(0.95)
    return interval.low, interval.high


@pytest.mark.parametrize(("alarms", "detections"), [(0, 1), (1, 0), (0, 0), (0.5, 0.2)])
def test_where_all_resamples_agree_rates_are_exact_by_group_and_accuracies_made_of_them(
    alarms, detections
):
    values = dict.fromkeys(NAMES, 0.5)
    values |= {"at_5_percent.false_alarm_rate": alarms, "at_5_percent.detection_rate": detections}
    found, reasons = intervals(values, {name: np.full(50, value) for name, value in values.items()})
    fewest, most = exact(int(30 * alarms), 30)
    least, best = exact(int(5 * detections), 5)
    assert found["at_5_percent.false_alarm_rate"] == pytest.approx((fewest, most))
    assert found["at_5_percent.detection_rate"] == pytest.approx((least, best))
    accuracies = [(60 * (1 - most) + 5 * least) / 65, (60 * (1 - fewest) + 5 * best) / 65]
    assert found["at_5_percent.accuracy"] == pytest.approx(tuple(accuracies))
    assert found["at_5_percent.balanced_accuracy"] == pytest.approx(
        ((1 - most + least) / 2, (1 - fewest + best) / 2)
    )
    assert {found[name] for name in aggregation.WHOLE} == {(None, None)}
    assert set(reasons) == {f"interval of {name}" for name in aggregation.WHOLE}
    assert "all resamples agree on 0.5" in reasons["interval of auc"]


def test_an_accuracy_is_as_unsure_as_the_rate_whose_resamples_agree():
    names = [f"at_5_percent.{rate}" for rate in RATES]
    drawn = replicates(4, names=names) | {"at_5_percent.detection_rate": np.zeros(50)}
    found, _ = intervals(dict.fromkeys(names, 0.0), drawn)
    low, high = np.quantile(drawn["at_5_percent.false_alarm_rate"], [0.025, 0.975])
    assert found["at_5_percent.false_alarm_rate"] == pytest.approx((low, high))
    expected = (1 - high) / 2, (1 - low + exact(0, 5)[1]) / 2
    assert found["at_5_percent.balanced_accuracy"] == pytest.approx(expected)
    alone, _ = intervals(
        {"at_5_percent.detection_rate": 0.0}, {"at_5_percent.detection_rate": np.zeros(50)}
    )
    assert alone["at_5_percent.detection_rate"] == pytest.approx(
        exact(0, 5)
    )  # photographs of one person: no other interval
