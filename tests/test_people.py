"""Splits against their shares, people by their file names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.common import splits
from pipeline.face_sets import people


def test_groups_are_authors_or_photographs():
    assert splits.group_of("Ansel", "17") == "Ansel"
    assert splits.group_of("", "17") == "17"


@pytest.mark.parametrize(
    ("name", "pattern", "person"),
    [
        ("./data/celeba-face/001_03.jpg", "^([^_]+)_", "001"),
        ("001_08.jpg", "^([^_]+)_", "001"),
        ("data/x_y/000123.jpg", "", "000123"),
        ("n000012_0001_01.jpg", r"^(n\d+)", "n000012"),
    ],
)
def test_person_of(name, pattern, person):
    assert people.person_of(name, pattern) == person


@pytest.mark.parametrize("name", ["000123.jpg", "data/a_b/000123.jpg"])
def test_person_of_says_when_the_pattern_finds_nobody(name):
    with pytest.raises(PipelineError, match=r"data\.person_pattern.*000123\.jpg"):
        people.person_of(name, "^([^_]+)_")


def test_split_shares_are_reached():
    names = [
        splits.split_of(f"author {i}", 1, {"validation": 0.12, "train": 0.88}) for i in range(4000)
    ]
    share = names.count("validation") / len(names)
    assert set(names) == {"validation", "train"}
    assert abs(share - 0.12) < 4 * np.sqrt(0.12 * 0.88 / 4000)


@given(st.text(), st.integers(0, 10))
def test_splits_are_stable_and_nested(group, seed):
    """A larger validation share keeps every group that was in it."""
    small = splits.split_of(group, seed, {"validation": 0.1, "train": 0.9})
    assert small == splits.split_of(group, seed, {"validation": 0.1, "train": 0.9})
    if small == "validation":
        assert splits.split_of(group, seed, {"validation": 0.3, "train": 0.7}) == "validation"


def test_split_shares_must_sum_to_one():
    with pytest.raises(ValueError, match="do not sum to 1"):
        splits.split_of("a", 1, {"validation": 0.5, "train": 0.4})


def test_splits_are_complete_and_share_no_person():
    names = [f"data/celeba-face/{person:03}_{k:02}.jpg" for person in range(200) for k in range(3)]
    fit, calibration = (
        people.of_split(names, split, pattern="^([^_]+)_", seed=1, calibration=0.4)
        for split in ("fit", "calibration")
    )
    assert sorted(fit + calibration) == names
    persons = [
        {people.person_of(name, "^([^_]+)_") for name in part} for part in (fit, calibration)
    ]
    assert not persons[0] & persons[1]
    assert len(persons[1]) / 200 == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 200))
