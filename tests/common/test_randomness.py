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


def test_uniforms_are_two_rounds_of_the_published_finaliser():
    assert splitmix64(1234567)[1] == 6457827717110365317, "the published first number"
    state = randomness.key(5, "operation", 2)
    uniforms = randomness.uniforms(5, "operation", HASHES[:50], 2)
    for value, drawn in zip(HASHES[:50], uniforms, strict=True):
        z = splitmix64(splitmix64(int(value) ^ state)[1])[1]
        assert drawn == (z >> 11) / 2**53


# --- keys


@given(ids, ids)
def test_keys_are_equal_only_for_equal_ids(first, second):
    same = [(type(i), i) for i in first] == [(type(i), i) for i in second]
    assert (randomness.key(1, "p", *first) == randomness.key(1, "p", *second)) == same


def test_a_key_fits_64_bits_and_is_the_same_in_every_version():
    assert randomness.key(1, "photograph", 7) == 10000777190154130802
    assert randomness.key(1, "photograph", np.int64(7)) == 10000777190154130802
    with pytest.raises(TypeError):
        randomness.key(1, "p", 0.5)  # type: ignore[arg-type]


# --- draws


def test_generators_with_other_keys_draw_otherwise_and_global_state_plays_no_part():
    def draw(*key):
        return tuple(randomness.generator(*key).standard_normal(8))

    np.random.seed(0)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    keys = [(1, "warp", "a"), (2, "warp", "a"), (1, "blend", "a"), (1, "warp", "a", 0)]
    first = [draw(*key) for key in keys]
    assert len(set(first)) == len(keys)
    randomness.uniforms(1, "x", HASHES[:5])
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], before)
    np.random.seed(1)
    assert [draw(*key) for key in keys] == first


@given(st.permutations(range(40)), st.integers(1, 40))
def test_uniforms_do_not_depend_on_order_or_batch(order, batch):
    whole = randomness.uniforms(1, "p", HASHES[:40], 3)
    shuffled = HASHES[:40][list(order)]
    parts = [randomness.uniforms(1, "p", shuffled[i : i + batch], 3) for i in range(0, 40, batch)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[list(order)])


def test_draws_are_uniform_over_ids_epochs_and_in_shares():
    draws = {
        "generators": [randomness.generator(1, "x", i).random() for i in range(4000)],
        "shares": [randomness.share(i, 1, "validation") for i in IDS[:5000]],
        **{f"epoch {e}": randomness.uniforms(1, "operation", HASHES, e) for e in range(4)},
        "one id": [randomness.uniforms(1, "x", HASHES[:1], e)[0] for e in range(4000)],
    }
    for name, values in draws.items():
        x = np.asarray(values)
        assert x.min() >= 0 and x.max() < 1
        assert stats.kstest(x, "uniform").pvalue > 1e-3, name
        assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4.5 / np.sqrt(len(x)), name
