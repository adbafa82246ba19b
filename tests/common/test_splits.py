"""Splits against their shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import splits


def test_groups_are_authors_or_photographs():
    assert splits.group_of("Ansel", "17") == "Ansel"
    assert splits.group_of("", "17") == "17"


def test_shares_are_reached():
    shares = {"validation": 0.12, "train": 0.88}
    names = [splits.split_of(f"author {i}", 1, shares) for i in range(4000)]
    assert set(names) == {"validation", "train"}
    deviation = np.sqrt(0.12 * 0.88 / 4000)
    assert abs(names.count("validation") / len(names) - 0.12) < 4 * deviation


@given(st.text(), st.integers(0, 10))
def test_a_larger_share_keeps_every_group_that_was_in_it(group, seed):
    if splits.split_of(group, seed, {"validation": 0.1, "train": 0.9}) == "validation":
        assert splits.split_of(group, seed, {"validation": 0.3, "train": 0.7}) == "validation"


def test_shares_must_sum_to_one():
    with pytest.raises(ValueError, match="do not sum to 1"):
        splits.split_of("a", 1, {"validation": 0.5, "train": 0.4})
