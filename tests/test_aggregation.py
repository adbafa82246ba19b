"""Oracle: sums and percentiles written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import aggregation
from pipeline.errors import PipelineError

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
    counts = {"generated_faces": faces, "photographic_faces": 70}
    return {"values": aggregation.nested(values), "photographic_list_sha256": "0", **counts, **changed}


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
    assert (row["auc"], row["ap_generated"], row["ap_photographic"], row["eer"]) == (0.6, 0.3, 0.6 / 3, 0.15)
    assert (row["generated_faces"], row["photographic_faces"]) == (10, 70)
    assert (row["auc_low"], row["auc_high"]) == pytest.approx(tuple(np.quantile(REPLICATES["a"]["auc"], [0.025, 0.975])))
    rate = row["at_5_percent"]
    assert set(rate) == {*RATES, "detection_rate_low", "detection_rate_high"}
    assert rate["detection_rate_high"] == pytest.approx(np.quantile(REPLICATES["a"]["at_5_percent.detection_rate"], 0.975))
    assert row["paper_protocol"] == {"accuracy": 0.6 / 9, "false_alarm_rate": 0.6 / 11, "detection_rate": 0.6 / 12}


def test_the_mean_and_its_interval_over_paired_replicates():
    mean = aggregation.table(CONTENTS, REPLICATES)["mean"]
    assert mean["auc"] == pytest.approx(0.7) and mean["at_5_percent"]["accuracy"] == pytest.approx(0.7 / 5)
    paired = sum(one["auc"] for one in REPLICATES.values()) / 3
    assert (mean["auc_low"], mean["auc_high"]) == pytest.approx(tuple(np.quantile(paired, [0.025, 0.975])))
    assert "generated_faces" not in mean and "photographic_faces" not in mean


def test_the_worst_is_that_with_the_lowest_auc():
    table = aggregation.table(CONTENTS, REPLICATES)
    row = table["a"]
    assert list(table) == ["b", "a", "c", "mean", "worst"]
    assert table["worst"] == {"generator": "a", **{key: row[key] for key in ("auc", "auc_low", "auc_high")}}


def test_without_one_generators_replicates_there_is_no_interval_of_the_mean():
    some = {**REPLICATES, "a": replicates(1, names=("at_5_percent.false_alarm_rate",))}
    table = aggregation.table(CONTENTS, some)
    for name in ("a", "mean", "worst"):
        assert (table[name]["auc_low"], table[name]["auc_high"]) == (None, None)
    assert table["mean"]["at_5_percent"]["detection_rate_low"] is None
    assert table["mean"]["auc"] == pytest.approx(0.7) and table["b"]["auc_low"] is not None


@pytest.mark.parametrize(
    ("contents", "resamples", "what"),
    [
        ({"photographic_list_sha256": "1"}, 50, "against the same photographs"),
        ({"values": {**CONTENTS["a"]["values"], "at_1_percent": {"accuracy": 1.0}}}, 50, "at the same false alarm rates"),
        ({}, 49, "with the same number of resamples"),
    ],
)
def test_generators_that_cannot_be_compared_are_refused(contents, resamples, what):
    mixed = {**CONTENTS, "a": {**CONTENTS["a"], **contents}}
    with pytest.raises(PipelineError, match=rf"were not evaluated {what} \(a, b, c\): run `dvc repro`"):
        aggregation.table(mixed, {**REPLICATES, "a": replicates(1, resamples)})
