"""Keyed randomness: no order, no collisions, uniform, and independent from epoch to epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.common import randomness

IDS = [f"face{i}" for i in range(20_000)]
HASHES = randomness.hashes(IDS)
ids = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4)


def splitmix64(state: int) -> tuple[int, int]:
    """The published generator, in whole numbers of Python (Steele, Lea, Flood 2014; Vigna's
    splitmix64.c).
    """
    mask = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return state, z ^ (z >> 31)


def test_the_oracle_gives_the_published_first_number():
    assert splitmix64(1234567)[1] == 6457827717110365317


# --- keys


@given(ids, ids)
def test_keys_are_equal_only_for_equal_ids(first, second):
    same = [(type(i), i) for i in first] == [(type(i), i) for i in second]
    assert (randomness.key(1, "p", *first) == randomness.key(1, "p", *second)) == same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, "ab", "c"), (1, "a", "bc")),
        ((1, "a", "b", "c"), (1, "a", "bc")),
        ((1, "a", "1"), (1, "a", 1)),
        ((1, "a", 1, 23), (1, "a", 12, 3)),
        ((1, "a", ""), (1, "a")),
        ((11, "a"), (1, "1a")),
        ((1, "a", "int:1"), (1, "a", 1)),
    ],
)
def test_ids_that_run_together_to_one_text_have_different_keys(first, second):
    assert randomness.key(*first) != randomness.key(*second)


def test_a_key_fits_64_bits_and_is_the_same_in_every_version():
    assert randomness.key(1, "photograph", 7) == 10000777190154130802
    assert all(0 <= randomness.key(seed, "x") < 2**64 for seed in range(100))


def test_a_numpy_number_is_the_number():
    assert randomness.key(1, "p", np.int64(5)) == randomness.key(1, "p", 5)
    with pytest.raises(TypeError):
        randomness.key(1, "p", 0.5)  # type: ignore[arg-type]


# --- generators


def test_generators_with_equal_keys_draw_the_same_and_with_others_do_not():
    def draw(*key):
        return randomness.generator(*key).standard_normal(8)

    np.testing.assert_array_equal(draw(1, "warp", "a"), draw(1, "warp", "a"))
    others = [
        draw(2, "warp", "a"),
        draw(1, "blend", "a"),
        draw(1, "warp", "b"),
        draw(1, "warp", "a", 0),
    ]
    assert len({tuple(o) for o in [*others, draw(1, "warp", "a")]}) == 5


def test_no_global_state_is_read_or_changed():
    np.random.seed(0)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    first = randomness.generator(3, "x").random()
    np.random.seed(1)
    assert randomness.generator(3, "x").random() == first
    np.random.seed(0)
    randomness.uniforms(1, "x", HASHES[:5])
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], before)


def test_first_draws_of_neighbouring_ids_are_uniform_and_uncorrelated():
    draws = np.array([randomness.generator(1, "x", i).random() for i in range(4000)])
    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.06


# --- uniforms


def test_uniforms_are_two_rounds_of_the_published_finaliser():
    state = randomness.key(5, "operation", 2)
    for value, drawn in zip(
        HASHES[:50], randomness.uniforms(5, "operation", HASHES[:50], 2), strict=True
    ):
        z = splitmix64(splitmix64(int(value) ^ state)[1])[1]
        assert drawn == (z >> 11) / 2**53


@given(st.permutations(range(40)), st.integers(1, 40))
def test_uniforms_do_not_depend_on_order_or_batch(order, batch):
    whole = randomness.uniforms(1, "p", HASHES[:40], 3)
    shuffled = HASHES[:40][list(order)]
    parts = [randomness.uniforms(1, "p", shuffled[i : i + batch], 3) for i in range(0, 40, batch)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[list(order)])


@pytest.mark.parametrize("epoch", range(5))
def test_uniforms_are_uniform(epoch):
    u = randomness.uniforms(1, "operation", HASHES, epoch)
    assert u.dtype == np.float64 and u.min() >= 0 and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_epochs_seeds_and_purposes_are_independent():
    columns = [randomness.uniforms(1, "operation", HASHES, epoch) for epoch in range(4)]
    columns += [
        randomness.uniforms(2, "operation", HASHES, 0),
        randomness.uniforms(1, "blend", HASHES, 0),
    ]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(HASHES))
    counts = stats.chi2_contingency(np.histogram2d(columns[0], columns[1], bins=8)[0])
    assert counts.pvalue > 1e-3


def test_an_id_meets_every_operation_over_the_epochs():
    draws = np.array(
        [randomness.uniforms(1, "operation", HASHES[:200], epoch) for epoch in range(400)]
    )
    rates = (draws < 0.125).mean(axis=0)
    assert stats.kstest((rates - 0.125) / np.sqrt(0.125 * 0.875 / 400), "norm").pvalue > 1e-4


def test_hashes_of_no_ids_are_an_empty_array():
    assert randomness.hashes([]).shape == (0,) and randomness.uniforms(
        1, "p", randomness.hashes([])
    ).shape == (0,)
    assert len(set(HASHES.tolist())) == len(IDS)


# --- shares


def test_shares_are_uniform_and_stay_when_other_texts_come():
    shares = np.array([randomness.share(i, 1, "validation") for i in IDS[:5000]])
    assert stats.kstest(shares, "uniform").pvalue > 1e-3
    assert randomness.share(IDS[17], 1, "validation") == shares[17]
    others = np.array([randomness.share(i, 1, "calibration") for i in IDS[:5000]])
    assert abs(np.corrcoef(shares, others)[0, 1]) < 0.06
