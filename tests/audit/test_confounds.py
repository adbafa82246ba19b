"""The classifier of metadata on files whose metadata are known; what is told of files; warnings."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.audit import confounds
from pipeline.common.splits import folds
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.file_formats import FileFormat

PNG = FileFormat("PNG", 88, 88, None, None, False, 1.5)
JPEG = FileFormat("JPEG", 88, 88, 90, "4:2:0", False, 0.4)
DRAWS: Any = {"resamples": 200, "seed": 1}


def table(formats, per_person=1):
    """A row per file, so many of each person."""
    persons = [f"{i // per_person:03}" for i in range(len(formats))]
    return pd.DataFrame(formats).assign(person=persons)


def auc(photographic, generated):
    return confounds.metadata_auc(photographic, generated, **DRAWS)[0]


@pytest.fixture
def small_forests(monkeypatch):
    """Where files differ in one thing, a few trees say what many do; they take most of the time."""
    monkeypatch.setattr(confounds, "TREES", 5)


# --- the classifier


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (PNG, JPEG),
        (PNG, PNG._replace(format="WEBP")),
        (PNG, PNG._replace(width=89)),
        (PNG, PNG._replace(height=1024)),
        (PNG, PNG._replace(with_exif=True)),
        (JPEG, JPEG._replace(jpeg_quality=75)),
        (JPEG, JPEG._replace(chroma_subsampling="4:4:4")),
    ],
)
def test_anything_that_differs_gives_the_class_away(mine, other):
    photographic, generated = table([mine] * 60, per_person=2), table([other] * 40)
    found, reason = confounds.metadata_auc(photographic, generated, **DRAWS)
    assert found == {"value": 1, "low": None, "high": None}
    assert reason.startswith("cannot be computed: all resamples give 1")


@settings(max_examples=6)
@given(st.integers(4, 60), st.integers(4, 60), st.integers(1, 3))
def test_files_that_are_alike_give_nothing_away(n, g, per_person):
    found = auc(table([PNG] * (n * per_person), per_person), table([PNG] * g))
    assert found == {"value": 0.5, "low": None, "high": None}


def test_where_there_is_nothing_to_learn_a_forest_says_the_same():
    """Alike files get no forest; here one column differs, without relation to the class."""
    formats = [PNG, PNG._replace(width=89)] * 40
    assert auc(table(formats), table(formats))["value"] == pytest.approx(0.5, abs=0.1)


def test_file_size_is_not_looked_at():
    assert auc(table([PNG] * 40), table([PNG._replace(bytes_per_pixel=9.0)] * 40))["value"] == 0.5


def test_half_of_the_files_given_away_is_three_quarters():
    found = auc(table([PNG] * 200), table([PNG, JPEG] * 100))
    assert found["value"] == pytest.approx(0.75) and found["low"] < 0.75 < found["high"]


def test_persons_are_not_learnt_by_heart():
    """Each person has a picture size: only a file of the same person would tell the class."""
    photographs = [PNG._replace(width=100 + 2 * (i // 4)) for i in range(160)]
    generated = [PNG._replace(width=101 + 2 * (i // 4)) for i in range(160)]
    by_person = auc(table(photographs, per_person=4), table(generated, per_person=4))["value"]
    by_file = auc(table(photographs), table(generated))["value"]
    assert by_file > 0.7 and by_person < 0.6


@pytest.mark.usefixtures("small_forests")
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 9))
def test_a_face_is_scored_by_a_forest_of_the_other_folds(seed):
    """A column that tells the class in all folds but one is worth nothing in this one."""
    label, fold = np.repeat([0, 1], 40), np.tile(np.arange(4), 20)
    x = np.where(fold == 0, 1 - label, label)[:, None].astype(float)
    scores = confounds.out_of_fold(x, label, fold, seed)
    aucs = [roc_auc_score(label[fold == k], scores[fold == k]) for k in range(4)]
    assert aucs[0] == 0 and min(aucs[1:]) > 0.9


@pytest.mark.usefixtures("small_forests")
def test_only_files_of_one_fold_are_compared_and_every_pair_counts_alike():
    rng = np.random.default_rng(0)
    formats = [[JPEG._replace(width=80 + w) for w in rng.integers(0, 9, 90)] for _ in range(2)]
    classes = [table(files) for files in formats]
    for files in classes:  # folds of unequal size: person 7 shows on half of the files
        files["person"] = np.where(np.arange(90) < 45, "7", files["person"])
    found = confounds.metadata_auc(*classes, **DRAWS)[0]["value"]
    fold = [folds(files["person"].to_numpy(dtype=str), 5, 1) for files in classes]
    x = np.concatenate([confounds.metadata(files) for files in classes])
    scores = confounds.out_of_fold(x, np.repeat([0, 1], 90), np.concatenate(fold), 1)
    photographic, generated = scores[:90, None], scores[None, 90:]
    wins = (generated > photographic) + (generated == photographic) / 2
    assert found == pytest.approx(wins[fold[0][:, None] == fold[1][None]].mean())


@pytest.mark.parametrize(("n", "g"), [(1, 40), (40, 3), (3, 3)])
def test_fewer_than_four_persons_in_a_class_cannot_be_cross_validated(n, g):
    found, reason = confounds.metadata_auc(
        table([PNG] * 2 * n, per_person=2), table([JPEG] * g), **DRAWS
    )
    assert found == {"value": None, "low": None, "high": None}
    assert reason == "cross-validation needs at least 4 persons of each class"


def test_metadata_have_a_column_for_each_name():
    files = [PNG, JPEG, JPEG._replace(with_exif=True, chroma_subsampling="4:4:4")]
    rows = confounds.metadata(table(files))
    by_name = dict(zip(confounds.COLUMNS, rows.T.tolist(), strict=True))
    assert by_name["PNG"] == [1, 0, 0] and by_name["JPEG"] == [0, 1, 1]
    assert by_name["WEBP"] == [0, 0, 0] and by_name["width"] == [88, 88, 88]
    assert by_name["jpeg_quality"] == [-1, 90, 90] and by_name["with_exif"] == [0, 0, 1]
    assert by_name["chroma_subsampling"] == [-1, 3, 0]


# --- the table of formats


def test_the_summary_counts_what_there_is():
    files = [JPEG._replace(width=8 * i, height=16, jpeg_quality=74 + i) for i in range(1, 8)]
    files += [PNG._replace(width=8, height=16, with_exif=True)] * 2
    assert confounds.summary(table(files)) == {
        "faces": 9,
        "formats": {"JPEG": 7, "PNG": 2},
        "sizes": {"8x16": 3, "16x16": 1, "24x16": 1, "32x16": 1, "40x16": 1, "other": 2},
        "width": {"min": 8, "median": 24, "max": 56},
        "height": {"min": 16, "median": 16, "max": 16},
        "jpeg_quality": {"files": 7, "min": 75, "median": 78, "max": 81},
        "chroma_subsampling": {"4:2:0": 7},
        "with_exif": 2,
        "bytes_per_pixel": 0.4,
    }
    plain = confounds.summary(table([PNG]))
    assert plain["jpeg_quality"] is None and plain["chroma_subsampling"] == {}


# --- all generators


def judge(photographs, **generators):
    """confounds.judge of files as found; harmonised all are alike."""
    sets, rows = {}, []
    for name, formats in {"photographic_test": photographs, **generators}.items():
        names = np.array([f"{name}/{i}" for i in range(len(formats))])
        blank = np.zeros((len(names), 1))
        sets[name] = FeatureSet(name, names, names, blank, blank, names)
        for face, file in zip(names, formats, strict=True):
            row = {"set": name, "name": face}
            rows.append({**row, "state": "as_found", **file._asdict()})
            rows.append({**row, "state": "harmonised", **JPEG._asdict()})
    other = {"set": "photographic_fit", "name": "fit/1", "state": "as_found", **PNG._asdict()}
    return confounds.judge(pd.DataFrame([*rows, other]), sets, **DRAWS)


@pytest.mark.usefixtures("small_forests")
def test_a_generator_told_by_its_files_is_warned_of():
    found = judge([PNG] * 40, sim_a=[JPEG] * 40, sim_b=[PNG] * 40)
    assert found["sets"]["photographic_fit"]["faces"] == 1 and len(found["sets"]) == 4
    told = found["metadata_classifier"]["generators"]["sim_a"]
    assert told["as_found"] == {"auc": 1, "low": None, "high": None}
    assert told["harmonised"] == {"auc": 0.5, "low": None, "high": None}
    assert found["metadata_classifier"]["worst"] == 1
    what = "interval of the AUC of the classifier of metadata"
    assert {key: reason.split(",")[0] for key, reason in found["not_computed"].items()} == {
        f"sim_a: {what}, as found": "cannot be computed: all resamples give 1",
        f"sim_b: {what}, as found": "cannot be computed: all resamples give 0.5",
        f"sim_a, sim_b: {what}, harmonised": "cannot be computed: all resamples give 0.5",
    }
    (warning,) = found["warnings"]
    assert warning.startswith("sim_a, as found: ") and "(AUC 1.00)" in warning


def test_a_warning_has_the_interval():
    (warning,) = judge([PNG] * 40, sim_a=[PNG] * 10 + [JPEG] * 30)["warnings"]
    assert re.search(r"\(AUC 0\.8\d, 95 % interval 0\.\d\d to 0\.9\d\)", warning)


def test_bytes_per_pixel_are_told_apart():
    sizes = np.random.default_rng(0).uniform(1, 3, 80)
    files = [PNG._replace(bytes_per_pixel=size) for size in sizes]
    found = judge(files[:40], sim_a=files[40:])["bytes_per_pixel_auc"]["sim_a"]
    assert found["as_found"] == pytest.approx(roc_auc_score(np.repeat([0, 1], 40), sizes))
    assert found["harmonised"] == 0.5
