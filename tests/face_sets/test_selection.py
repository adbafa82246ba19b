"""Persons by file names, their splits, and keyed choices."""

import unicodedata

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.face_sets import selection

PATTERN = "^([^_]+)_"


@pytest.mark.parametrize(
    ("name", "pattern", "person"),
    [
        ("./data/celeba-face/001_03.jpg", PATTERN, "001"),
        ("001_08.jpg", PATTERN, "001"),
        ("data/x_y/000123.jpg", "", "000123"),
        ("n000012_0001_01.jpg", r"^(n\d+)", "n000012"),
    ],
)
def test_person_of(name, pattern, person):
    assert selection.person_of(name, pattern) == person


@pytest.mark.parametrize("name", ["000123.jpg", "data/a_b/000123.jpg"])
def test_person_of_says_when_the_pattern_finds_nobody(name):
    with pytest.raises(PipelineError, match=r"data\.person_pattern.*000123\.jpg"):
        selection.person_of(name, PATTERN)


def test_splits_are_complete_and_share_no_person():
    names = [f"data/celeba-face/{person:03}_{k:02}.jpg" for person in range(200) for k in range(3)]
    fit, calibration = (
        selection.of_split(names, split, pattern=PATTERN, seed=1, calibration=0.4)
        for split in ("fit", "calibration")
    )
    assert sorted(fit + calibration) == names
    persons = [{selection.person_of(name, PATTERN) for name in part} for part in (fit, calibration)]
    assert not persons[0] & persons[1]
    assert len(persons[1]) / 200 == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 200))


def test_a_choice_depends_on_names_and_seed_alone():
    names = [f"{i:03}.png" for i in range(200)]
    chosen = selection.choose(names, 20, seed=1)
    assert len(chosen) == 20 and chosen == sorted(set(chosen))
    assert selection.choose(names[::-1], 20, seed=1) == chosen
    assert selection.choose(names, 20, seed=2) != chosen
    assert selection.choose(names, 1000, seed=1) == names
    with_others = selection.choose([*names, *(f"x{i}.png" for i in range(200))], 20, seed=1)
    kept = [name for name in with_others if name in names]
    assert kept == selection.choose(names, len(kept), seed=1)


def test_a_person_is_the_same_in_every_unicode_form():
    names = [unicodedata.normalize(form, "Jos\u00e9_1.jpg") for form in ("NFC", "NFD")]
    assert {selection.person_of(name, "^([^_]+)_") for name in names} == {"Jos\u00e9"}
