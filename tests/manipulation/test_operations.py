"""Flips against OpenCV's and a loop over pixels; draws against their distributions; all of it
independent of the other faces.
"""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import randomness
from pipeline.manipulation import operations as m
from pipeline.manipulation.landmarks import Regions, regions_from_seven
from pipeline.manipulation.warp import warp

FACE = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)
DRAWS: dict[str, Any] = {"side": 128, "warp_sigma": (0.04, 0.05), "blend_ratios": [0.75, 1, 1, 1]}


def pictures(n: int, side: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def ids(n: int) -> list[str]:
    return [f"face_{i}" for i in range(n)]


def some_regions(n: int, unusable: tuple[int, ...] = ()) -> Regions:
    points = FACE + np.random.default_rng(3).normal(0, 1.5, (n, 14))
    points[list(unusable)] = np.nan
    return regions_from_seven(points, 128)


def naive_flip(
    image: np.ndarray, box: Any, ratio: float, vertical: bool, feather: float
) -> np.ndarray:
    """Pixel by pixel, as the module's text says: ramps of both sides multiplied, weight in 1/128,
    rounded half up.
    """
    x0, y0, x1, y1 = (int(v) for v in box)
    out, scale = image.copy(), int(feather * min(x1 - x0, y1 - y0)) + 1
    for y in range(y0, y1):
        for x in range(x0, x1):
            up = min(128, 128 * (min(y - y0, y1 - 1 - y) + 1) // scale)
            across = min(128, 128 * (min(x - x0, x1 - 1 - x) + 1) // scale)
            weight = (up * across * int(ratio * 128 + 0.5) + 8192) // 16384
            source = image[y0 + y1 - 1 - y if vertical else y, x0 + x1 - 1 - x].astype(int)
            out[y, x] = (weight * source + (128 - weight) * image[y, x].astype(int) + 64) // 128
    return out


@st.composite
def boxes_in(draw: st.DrawFn, side: int = 20) -> list[int]:
    x0, y0 = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
    return [x0, y0, draw(st.integers(x0, side)), draw(st.integers(y0, side))]


@given(
    boxes_in(),
    st.sampled_from([0.0, 0.3, 0.75, 1.0]),
    st.booleans(),
    st.sampled_from([0, 0.25, 0.5]),
)
def test_flip_matches_a_loop_over_pixels(box, ratio, vertical, feather):
    (image,) = pictures(1, 20)
    ours = m.flip(image, box, ratio, vertical=vertical, feather=feather)
    np.testing.assert_array_equal(ours, naive_flip(image, box, ratio, vertical, feather))
    np.testing.assert_array_equal(image, pictures(1, 20)[0])


def test_each_operation_edits_its_own_region():
    images, regions, amounts = pictures(8), some_regions(8), m.draw_amounts(1, ids(8), **DRAWS)
    for i, image in enumerate(images):
        out = m.manipulate(image, regions, amounts, i)
        mouth, eye = regions.boxes[i, 0], regions.boxes[i, 1 + amounts.eyes[i]]
        for k, (box, vertical) in enumerate([(mouth, True), (mouth, False), (eye, False)]):
            expected = naive_flip(image, box, amounts.ratios[i, k], vertical, m.FEATHER)
            np.testing.assert_array_equal(out[k], expected)
        np.testing.assert_array_equal(out[3], warp(image, amounts.shifts[i, 3]))


def test_unusable_faces_get_four_different_warps():
    images, regions = pictures(2), some_regions(2, unusable=(1,))
    amounts = m.draw_amounts(1, ids(2), **DRAWS)
    out = m.manipulate(images[1], regions, amounts, 1)
    np.testing.assert_array_equal(out, [warp(images[1], shifts) for shifts in amounts.shifts[1]])
    assert len({picture.tobytes() for picture in out}) == 4
    assert [name for name, _ in m.describe(regions, amounts, 1)] == ["face_warped"] * 4
    assert [name for name, _ in m.describe(regions, amounts, 0)] == list(m.OPERATIONS)


def test_descriptions_say_what_was_done():
    regions, amounts = some_regions(2), m.draw_amounts(1, ids(2), **DRAWS)
    turned, _, eye, warped = (amount for _, amount in m.describe(regions, amounts, 1))
    assert turned == {"box": regions.boxes[1, 0].tolist(), "ratio": amounts.ratios[1, 0]}
    assert regions.boxes[1, 1 + m.EYES.index(eye["eye"])].tolist() == eye["box"]
    assert json.loads(json.dumps(eye)) == eye
    # The shifts of a warp can be drawn again from what the table says.
    hashes = randomness.hashes(ids(2)[1:])
    sigmas, shifts = m.draw_warps(1, hashes, warped["draw"], side=128, warp_sigma=(0.04, 0.05))
    assert sigmas[0] == pytest.approx(warped["sigma"], abs=1e-6)
    np.testing.assert_array_equal(shifts[0], amounts.shifts[1, 3])


def test_the_draws_have_the_stated_distributions():
    n = 4000
    amounts = m.draw_amounts(7, ids(n), **DRAWS)
    assert (amounts.ratios == 0.75).mean(axis=0) == pytest.approx([0.25] * 3, abs=0.03)
    assert set(np.unique(amounts.ratios)) == {0.75, 1.0}
    assert amounts.eyes.mean() == pytest.approx(0.5, abs=0.03)
    assert amounts.sigmas.min() >= 0.04 and amounts.sigmas.max() < 0.05
    assert amounts.sigmas.mean() == pytest.approx(0.045, abs=1e-4)
    unit = amounts.shifts / (128 * amounts.sigmas[:, :, None, None, None])
    assert abs(unit.mean()) < 0.005 and unit.std() == pytest.approx(1, abs=0.005)
    assert (np.abs(unit) < 1).mean() == pytest.approx(0.6827, abs=0.003)
    between = np.triu(np.corrcoef(unit.reshape(n, -1).T), k=1)
    assert np.abs(between).max() < 0.1
    np.testing.assert_array_equal(amounts.shifts * 256, np.round(amounts.shifts * 256))


def test_draws_depend_on_seed_and_face_alone():
    one, other = m.draw_amounts(1, ids(6), **DRAWS), m.draw_amounts(1, ids(6)[::-1], **DRAWS)
    for name in ("ratios", "eyes", "sigmas", "shifts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[::-1])
    assert not np.array_equal(one.shifts, m.draw_amounts(2, ids(6), **DRAWS).shifts)
    assert not np.array_equal(one.shifts[:, 0], one.shifts[:, 3])
