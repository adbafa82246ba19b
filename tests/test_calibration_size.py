"""Oracles: a naive loop over subsets, scipy.stats' Beta law, and simulation."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds as calibration
from pipeline.calibration.sizes import photographs_needed, size_curve
from pipeline.common import randomness


def normal(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def half_width(n, rate):
    rank = ceil(round((n + 1) * (1 - rate), 9))
    low, high = stats.beta(n + 1 - rank, rank).interval(0.95)
    return (high - low) / 2


def curve(n=300, people=None, rates=(0.01, 0.05), draws=40, seed=1):
    people = np.arange(n).astype(str) if people is None else people
    return size_curve(normal(n), people, normal(500, 9), rates, draws=draws, seed=seed)


@pytest.mark.parametrize(
    ("rate", "width"), [(0.05, 0.5), (0.01, 0.5), (0.1, 0.25), (0.5, 0.1), (0.001, 1)]
)
def test_photographs_needed_by_search(rate, width):
    needed = photographs_needed(rate, width)
    exact_sizes = [
        n for n in range(1, needed + 1) if abs((n + 1) * rate - round((n + 1) * rate)) < 1e-9
    ]
    assert exact_sizes[-1] == needed
    assert half_width(needed, rate) <= width * rate < half_width(exact_sizes[-2], rate)


@given(st.sampled_from([0.01, 0.05, 0.2]), st.floats(0.2, 2), st.integers(0, 3000))
def test_more_photographs_than_needed_are_as_sharp(rate, width, more):
    assert half_width(photographs_needed(rate, width) + more, rate) <= width * rate * (1 + 1e-9)


@pytest.mark.parametrize("width", [0.0, -0.5, float("nan")])
def test_a_width_that_is_no_share_is_refused(width):
    with pytest.raises(PipelineError, match="give a positive share"):
        photographs_needed(0.05, width)


def rows(got, *names):
    return list(zip(*(got[name] for name in ("rate", "faces", *names)), strict=True))


def test_the_curve_by_a_naive_loop():
    people = np.repeat([f"p{i:03d}" for i in range(100)], 3)
    got = curve(people=people, draws=20)
    test, s = normal(500, 9), normal(300)
    for rate, size, *row in rows(got, "measured_mean", "measured_low", "measured_high"):
        if size > 300:
            assert row == [None, None, None]
            continue
        achieved = []
        for draw in range(20):
            place = {
                p: randomness.uniforms(1, "calibration size", randomness.hashes([p]), draw)[0]
                for p in people.tolist()
            }
            faces = sorted(range(300), key=lambda i: place[people[i]])[:size]
            threshold = calibration.conformal_threshold(s[faces], rate)
            achieved.append(np.mean([score > threshold for score in test]))
        assert row == pytest.approx([np.mean(achieved), *np.percentile(achieved, [2.5, 97.5])])


def test_sizes_and_guarantees():
    got = curve()
    sizes = [50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000]
    assert got["faces"] == [*sizes[1:], *sizes]  # 1 % needs 99
    assert got["rate"] == [0.01] * 8 + [0.05] * 9
    for rate, size, low, high in rows(got, "guarantee_low", "guarantee_high"):
        law = calibration.guarantee(size, rate, 0.95)
        assert (low, high) == (law["low"], law["high"])


@pytest.mark.parametrize(
    ("n", "faces"), [(19, [19, 50]), (12_000, [10_000, 12_000]), (25_000, [20_000, 25_000])]
)
def test_all_photographs_are_a_point_of_the_curve(n, faces):
    got = curve(n, rates=[0.05], draws=2)["faces"]
    assert (
        faces == [size for size in got if size in faces]
        and len(got) == len(set(got))
        and got == sorted(got)
    )


def test_all_photographs_are_one_subset_with_the_very_threshold():
    got = curve()
    at = calibration.thresholds(normal(300), [0.05])["at_5_percent"]
    i = rows(got).index((0.05, 300))
    expected = np.mean(normal(500, 9) > at)
    assert [got[f"measured_{name}"][i] for name in ("mean", "low", "high")] == pytest.approx(
        [expected] * 3
    )


def test_the_measured_spread_is_the_guarantees_where_the_sets_are_large():
    s, test = normal(20_000), normal(20_000, 5)
    got = size_curve(s, np.arange(20_000).astype(str), test, [0.05], draws=400, seed=3)
    i = got["faces"].index(100)
    assert got["measured_low"][i] == pytest.approx(got["guarantee_low"][i], abs=0.006)
    assert got["measured_high"][i] == pytest.approx(got["guarantee_high"][i], abs=0.012)


def test_portraits_of_one_person_come_together_and_widen_the_curve():
    person = np.random.default_rng(4).normal(size=100)
    s, test = np.repeat(person, 10), normal(20_000, 5)
    widths = []
    for people in (np.repeat(np.arange(100), 10).astype(str), np.arange(1000).astype(str)):
        got = size_curve(s, people, test, [0.1], draws=200, seed=3)
        i = got["faces"].index(100)
        widths.append(got["measured_high"][i] - got["measured_low"][i])
    assert widths[0] > 1.5 * widths[1]


@given(st.integers(0, 2**63), st.integers(0, 50))
def test_the_order_of_persons_does_not_matter(seed, shuffle):
    people = np.repeat([f"p{i}" for i in range(40)], 2)
    blocks = np.random.default_rng(shuffle).permutation(40)
    rows = (2 * blocks[:, None] + [0, 1]).ravel()
    s, test = normal(80), normal(100, 9)
    one, other = (
        size_curve(s[r], people[r], test, [0.05], draws=5, seed=seed) for r in (np.arange(80), rows)
    )
    assert one == other


def test_another_seed_draws_other_subsets():
    assert curve() == curve() != curve(seed=2)
    assert curve()["guarantee_low"] == curve(seed=2)["guarantee_low"]


@pytest.mark.parametrize(
    ("s", "test", "message"),
    [([], [1.0], "calibration scores: no faces"), ([1.0], [np.inf], "NaN or inf")],
)
def test_broken_scores_are_refused(s, test, message):
    with pytest.raises(PipelineError, match=message):
        size_curve(np.array(s), np.array(["a"] * len(s)), np.array(test), [0.5], draws=2, seed=1)
