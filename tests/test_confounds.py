"""The classifier of metadata on files whose metadata are known; the warnings; the figures side by
side.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.audit import confounds
from pipeline.audit.confounds import Files
from pipeline.audit.formats import Description, UnreadableHeader
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import estimate
from pipeline.evaluation.measures import roc_auc

PNG = Description("PNG", 88, 88, "RGB", None, False, None, False, 1.5)
JPEG = Description("JPEG", 88, 88, "RGB", 90, True, "4:2:0", False, 0.4)
DRAWS: Any = {"resamples": 200, "seed": 1}


def files(descriptions, per_group=1):
    return Files(descriptions, np.array([f"{i // per_group:03}" for i in range(len(descriptions))]))


def auc(photographic, generated):
    return confounds.metadata_auc(photographic, generated, **DRAWS)[0]


@pytest.fixture
def small_forests(monkeypatch):
    """Where files differ in nothing, or each file in the same, a few trees say what many do: they
    take most of the time.
    """
    monkeypatch.setattr(confounds, "TREES", 5)


# ---------------------------------------------------------------- the classifier


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(
    "other",
    [
        JPEG,
        replace(PNG, format="WEBP"),
        replace(PNG, width=89),
        replace(PNG, height=1024),
        replace(PNG, has_exif=True),
        UnreadableHeader("no quantisation table"),
    ],
)
def test_anything_that_differs_gives_the_class_away(other):
    found, reason = confounds.metadata_auc(
        files([PNG] * 60, per_group=2), files([other] * 40), **DRAWS
    )
    assert found == {"value": 1, "low": None, "high": None}
    assert reason.startswith("cannot be computed: all resamples give 1")


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(
    "other", [replace(JPEG, jpeg_quality=75), replace(JPEG, chroma_subsampling="4:4:4")]
)
def test_quality_and_chroma_tell_jpegs_apart(other):
    assert auc(files([JPEG] * 40), files([other] * 40))["value"] == 1


@pytest.mark.usefixtures("small_forests")
@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the same for all
@given(st.integers(4, 60), st.integers(4, 60), st.integers(1, 3))
def test_files_that_are_alike_give_nothing_away(n, g, per_group):
    found = auc(files([PNG] * (n * per_group), per_group), files([PNG] * g))
    assert found == {"value": 0.5, "low": None, "high": None}


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize("other", [replace(PNG, bytes_per_pixel=9.0), replace(PNG, mode="RGBA")])
def test_file_size_is_not_looked_at(other):
    assert auc(files([PNG] * 40), files([other] * 40))["value"] == 0.5


def test_metadata_without_relation_to_the_class_are_worth_about_half():
    rng = np.random.default_rng(0)
    mixed = [
        replace(JPEG, jpeg_quality=int(q), width=int(w)) for q, w in rng.integers(50, 100, (400, 2))
    ]
    assert auc(files(mixed[:200]), files(mixed[200:]))["value"] == pytest.approx(
        0.5, abs=0.1
    )  # standard error 0.03


def test_half_of_the_files_given_away_is_three_quarters():
    found = auc(files([PNG] * 200), files([PNG, JPEG] * 100))
    assert found["value"] == pytest.approx(0.75) and found["low"] < 0.75 < found["high"]


def test_people_are_not_learnt_by_heart():
    """Each person has a picture size of their own: only a file of the same person would tell the
    class.
    """
    photographs = [replace(PNG, width=100 + 2 * (i // 4)) for i in range(160)]
    generated = [replace(PNG, width=101 + 2 * (i // 4)) for i in range(160)]
    by_person = auc(files(photographs, per_group=4), files(generated, per_group=4))["value"]
    by_file = auc(files(photographs), files(generated))["value"]
    assert by_file > 0.7 and by_person < 0.6


@pytest.mark.usefixtures("small_forests")
def test_a_group_lies_in_one_fold_and_folds_are_even():
    parts = confounds.out_of_fold(files([PNG] * 100, per_group=5), files([PNG] * 23), seed=1)
    for groups in zip(*([set(sample.groups) for sample in part] for part in parts), strict=True):
        assert len(set.union(*groups)) == sum(map(len, groups))
        assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_every_file_is_scored_once_and_the_same_comes_twice():
    rng = np.random.default_rng(1)
    mixed = [replace(JPEG, jpeg_quality=int(q)) for q in rng.integers(50, 100, 120)]
    photographic, generated = files(mixed[:60], per_group=3), files(mixed[60:])
    first = confounds.out_of_fold(photographic, generated, seed=1)
    again = confounds.out_of_fold(photographic, generated, seed=1)
    assert (
        len(first) == 5
        and sum(len(n.scores) for n, _ in first) == sum(len(g.scores) for _, g in first) == 60
    )
    for (n, g), (n_again, g_again) in zip(first, again, strict=True):
        assert np.array_equal(n.scores, n_again.scores) and np.array_equal(g.scores, g_again.scores)
    other = confounds.out_of_fold(photographic, generated, seed=2)
    assert [n.groups.tolist() for n, _ in first] != [n.groups.tolist() for n, _ in other]


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(("n", "g"), [(1, 40), (40, 3), (3, 3)])
def test_fewer_than_four_groups_in_a_class_cannot_be_cross_validated(n, g):
    assert auc(files([PNG] * n), files([JPEG] * g)) == {"value": None, "low": None, "high": None}
    assert confounds.out_of_fold(files([PNG] * 8, per_group=8), files([JPEG] * 8), seed=1) == []
    assert len(confounds.out_of_fold(files([PNG] * 4), files([JPEG] * 40), seed=1)) == 2


def test_metadata_have_a_column_for_each_name():
    rows = confounds.metadata(
        [PNG, JPEG, replace(JPEG, has_exif=True, chroma_subsampling="4:4:4"), UnreadableHeader("x")]
    )
    assert rows.shape == (4, len(confounds.COLUMNS))
    by_name = dict(zip(confounds.COLUMNS, rows.T.tolist(), strict=True))
    assert (
        by_name["PNG"] == [1, 0, 0, 0]
        and by_name["JPEG"] == [0, 1, 1, 0]
        and by_name["WEBP"] == [0, 0, 0, 0]
    )
    assert by_name["jpeg_quality"] == [-1, 90, 90, -1] and by_name["with_exif"] == [0, 0, 1, -1]
    assert by_name["chroma_subsampling"] == [-1, 3, 0, -1] and by_name["width"] == [88, 88, 88, -1]


# ---------------------------------------------------------------- the file's parts


def classify(**generators):
    alike = files([JPEG] * 40)
    photographic = {"as_found": files([PNG] * 40), "harmonised": alike}
    return confounds.classify(
        photographic,
        {name: {"as_found": found, "harmonised": alike} for name, found in generators.items()},
        **DRAWS,
    )


@pytest.mark.usefixtures("small_forests")
def test_a_generator_told_by_its_files_is_warned_of():
    found = classify(sim_a=files([JPEG] * 40), sim_b=files([PNG] * 40))
    told, alike = (found["metadata_classifier"]["generators"][name] for name in ("sim_a", "sim_b"))
    assert told == {
        "as_found": {"auc": 1, "low": None, "high": None},
        "harmonised": {"auc": 0.5, "low": None, "high": None},
    }
    what = "interval of the AUC of the classifier of metadata"
    assert {key: reason.split(",")[0] for key, reason in found["not_computed"].items()} == {
        f"sim_a: {what}, as found": "cannot be computed: all resamples give 1",
        f"sim_b: {what}, as found": "cannot be computed: all resamples give 0.5",
        f"sim_a, sim_b: {what}, harmonised": "cannot be computed: all resamples give 0.5",
    }
    assert alike["as_found"]["auc"] == 0.5 and found["metadata_classifier"]["worst"] == 1
    (warning,) = found["warnings"]
    assert warning.startswith("sim_a, as found: ") and "(AUC 1.00)" in warning


def test_a_warning_has_the_interval():
    (warning,) = classify(sim_a=files([PNG] * 10 + [JPEG] * 30))["warnings"]
    assert re.search(r"\(AUC 0\.8\d, 95 % interval 0\.\d\d to 0\.9\d\)", warning)


@pytest.mark.usefixtures("small_forests")
def test_harmonisation_that_fails_is_warned_of():
    states = {"as_found": files([PNG] * 40), "harmonised": files([PNG] * 40)}
    other = {"as_found": files([PNG] * 40), "harmonised": files([JPEG] * 40)}
    (warning,) = confounds.classify(states, {"sim_a": other}, **DRAWS)["warnings"]
    assert warning.startswith("sim_a, harmonised: ") and "judge by neither" in warning


@pytest.mark.usefixtures("small_forests")
def test_what_cannot_be_classified_is_none_and_no_warning():
    found = classify(sim_a=files([JPEG]))
    assert found["metadata_classifier"]["generators"]["sim_a"]["as_found"] == {
        "auc": None,
        "low": None,
        "high": None,
    }
    assert found["metadata_classifier"]["worst"] is None and found["warnings"] == []
    reason = found["not_computed"]["sim_a: AUC of the classifier of metadata, as found"]
    assert reason == "cross-validation needs at least 4 people or photographs of each class"


@pytest.mark.usefixtures("small_forests")
def test_bytes_per_pixel_are_told_apart():
    sizes = np.random.default_rng(0).uniform(1, 3, 80)
    several: list[confounds.File] = [replace(PNG, bytes_per_pixel=float(size)) for size in sizes]
    one = {"as_found": files(several[:40]), "harmonised": files([JPEG] * 40)}
    other = {
        "as_found": files([*several[40:], UnreadableHeader("x")]),
        "harmonised": files([UnreadableHeader("x")] * 3),
    }
    found = confounds.classify(one, {"sim_a": other}, **DRAWS)["bytes_per_pixel_auc"]["sim_a"]
    assert found == {"as_found": pytest.approx(roc_auc(sizes[:40], sizes[40:])), "harmonised": None}


def sample(seed, shift=0.0):
    return Sample(
        np.random.default_rng(seed).normal(shift, 1, 30), np.array([f"{i}" for i in range(30)])
    )


def test_side_by_side_has_both_states_and_their_means():
    first = estimate(
        sample(0), {"a": sample(1, 1), "b": sample(2, 2)}, {"at_5_percent": 1.6}, **DRAWS
    )
    second = estimate(
        sample(3), {"a": sample(4), "b": sample(5, 1)}, {"at_5_percent": 1.7}, **DRAWS
    )
    found = confounds.side_by_side(
        {"as_found": first, "harmonised": second}, ["a", "b"], "at_5_percent"
    )
    assert found["false_alarm_rate"] == {
        "as_found": first.false_alarm_rates["at_5_percent"],
        "harmonised": second.false_alarm_rates["at_5_percent"],
    }
    assert found["generators"]["b"]["auc"] == {
        "as_found": first.aucs["b"],
        "harmonised": second.aucs["b"],
    }
    assert (
        found["generators"]["a"]["detection_rate"]["harmonised"]
        == second.detection_rates["a"]["at_5_percent"]
    )
    values = [one["value"] for one in first.aucs.values() if one["value"] is not None]
    assert found["mean"]["auc"]["as_found"] == pytest.approx(np.mean(values))


@pytest.mark.parametrize(("there", "absent"), [confounds.STATES, confounds.STATES[::-1]])
def test_a_state_without_figures_has_none(there, absent):
    first = estimate(sample(0), {"a": sample(1, 1)}, {"at_5_percent": 1.6}, **DRAWS)
    found = confounds.side_by_side({there: first}, ["a"], "at_5_percent")
    assert found["generators"]["a"]["auc"] == {
        there: first.aucs["a"],
        absent: {"value": None, "low": None, "high": None},
    }
    assert (
        found["mean"]["auc"][absent] is None
        and found["mean"]["auc"][there] == first.aucs["a"]["value"]
    )
