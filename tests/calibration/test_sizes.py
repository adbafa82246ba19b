"""Oracles: a naive loop over subsets, scipy.stats' Beta law, and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.calibration.rates import Size, guarantee
from pipeline.calibration.sizes import size_curve
from pipeline.calibration.thresholds import conformal_threshold
from pipeline.common import randomness

NAMES = ("measured_mean", "measured_low", "measured_high")


def normal(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def curve(n=300, persons=None, rates=(0.01, 0.05), draws=40, seed=1):
    persons = np.arange(n).astype(str) if persons is None else persons
    return size_curve(normal(n), persons, normal(500, 9), rates, draws=draws, seed=seed)


def rows(got, *names):
    return list(zip(*(got[name] for name in ("rate", "faces", *names)), strict=True))


def test_the_curve_by_a_naive_loop():
    persons = np.repeat([f"p{i:03d}" for i in range(100)], 3)
    got = curve(persons=persons, draws=20)
    test, s = normal(500, 9), normal(300)
    for rate, size, *row in rows(got, *NAMES):
        if size > 300:
            assert row == [None, None, None]
            continue
        achieved = []
        for draw in range(20):
            place = {
                p: randomness.uniforms(1, "calibration size", randomness.hashes([p]), draw)[0]
                for p in persons.tolist()
            }
            faces = sorted(range(300), key=lambda i: place[persons[i]])[:size]
            threshold = conformal_threshold(s[faces], rate)
            achieved.append(np.mean([score > threshold for score in test]))
        assert row == pytest.approx([np.mean(achieved), *np.percentile(achieved, [2.5, 97.5])])


@pytest.mark.parametrize("each", [1, 2])
def test_sizes_and_guarantees_which_count_persons(each):
    got = curve(persons=np.repeat(np.arange(300 // each), each).astype(str))
    sizes = [50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000]
    assert got["faces"] == [*sizes[1:], *sizes]  # 1 % needs 99
    assert got["rate"] == [0.01] * 8 + [0.05] * 9
    for rate, size, low, high in rows(got, "guarantee_low", "guarantee_high"):
        law = guarantee(Size(size, size // each), rate)
        assert (low, high) == (law["low"], law["high"])


@pytest.mark.parametrize(
    ("n", "faces"), [(19, [19, 50]), (12_000, [10_000, 12_000]), (25_000, [20_000, 25_000])]
)
def test_all_photographs_are_a_point_of_the_curve(n, faces):
    got = curve(n, rates=[0.05], draws=2)
    assert [size for size in got["faces"] if size in faces] == faces
    assert got["faces"] == sorted(set(got["faces"]))
    expected = np.mean(normal(500, 9) > conformal_threshold(normal(n), 0.05))
    i = got["faces"].index(n)
    assert [got[name][i] for name in NAMES] == pytest.approx([expected] * 3)


@given(st.integers(0, 2**63), st.integers(0, 50))
def test_the_order_of_persons_does_not_matter(seed, shuffle):
    persons = np.repeat([f"p{i}" for i in range(40)], 2)
    blocks = np.random.default_rng(shuffle).permutation(40)
    order = (2 * blocks[:, None] + [0, 1]).ravel()
    s, test = normal(80), normal(100, 9)
    one, other = (
        size_curve(s[r], persons[r], test, [0.05], draws=5, seed=seed)
        for r in (np.arange(80), order)
    )
    assert one == other


@pytest.mark.parametrize(
    ("s", "test", "message"),
    [([], [1.0], "calibration scores: no faces"), ([1.0], [np.inf], "NaN or inf")],
)
def test_broken_scores_are_refused(s, test, message):
    with pytest.raises(PipelineError, match=message):
        size_curve(np.array(s), np.array(["a"] * len(s)), np.array(test), [0.5], seed=1)
