"""Flips against NumPy's and a loop over pixels; draws against their distributions; all of it
independent of the batch.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manipulation import operations as m
from pipeline.manipulation.landmarks import Regions, regions_from_seven

FACE = np.array([64, 72, 52, 58, 76, 58, 38, 60, 90, 60, 10, 127, 118, 127], dtype=float)
DRAWS: dict[str, Any] = {"side": 128, "warp_sigma": (0.04, 0.05), "blend_ratios": [0.75, 1, 1, 1]}


def pictures(n: int, side: int = 128, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def ids(n: int) -> list[str]:
    return [f"face_{i}" for i in range(n)]


def some_regions(n: int, unusable: tuple[int, ...] = (), seed: int = 3) -> Regions:
    points = FACE + np.random.default_rng(seed).normal(0, 1.5, (n, 14))
    points[list(unusable)] = np.nan
    return regions_from_seven(points, 128)


def naive_flip(
    image: np.ndarray, box: np.ndarray, ratio: float, vertical: bool, feather: float
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
    st.lists(boxes_in(), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.3, 0.75, 1.0]),
    st.booleans(),
    st.sampled_from([0, 0.25, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_flip_matches_a_loop_over_pixels(
    boxes: list[list[int]], ratio: float, vertical: bool, feather: float
):
    images, n = pictures(len(boxes), 20), len(boxes)
    ours = m.apply_flip(
        torch.from_numpy(images),
        np.array(boxes),
        np.full(n, ratio),
        vertical=vertical,
        feather=feather,
    )
    expected = [
        naive_flip(image, np.array(box), ratio, vertical, feather)
        for image, box in zip(images, boxes, strict=True)
    ]
    np.testing.assert_array_equal(ours.numpy(), np.stack(expected))


@pytest.mark.parametrize(("vertical", "axes"), [(False, (1,)), (True, (0, 1))])
def test_a_hard_mask_gives_exactly_numpys_flip(vertical: bool, axes: tuple[int, ...]):
    image = pictures(1)[0]
    out = m.apply_flip(
        torch.from_numpy(image[None]),
        np.array([[30, 40, 61, 52]]),
        np.ones(1),
        vertical=vertical,
        feather=0,
    )
    expected = image.copy()
    expected[40:52, 30:61] = np.flip(image[40:52, 30:61], axes)
    np.testing.assert_array_equal(out[0].numpy(), expected)


def test_turning_is_opencvs_flip_code_minus_one():
    cv2 = pytest.importorskip("cv2")
    image = pictures(1)[0]
    out = m.apply_flip(
        torch.from_numpy(image[None]),
        np.array([[8, 9, 70, 41]]),
        np.ones(1),
        vertical=True,
        feather=0,
    )
    np.testing.assert_array_equal(out[0, 9:41, 8:70].numpy(), cv2.flip(image[9:41, 8:70], -1))


@given(boxes_in(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_flipping_twice_with_a_hard_mask_is_the_identity(box: list[int], vertical: bool):
    image, boxes = torch.from_numpy(pictures(1, 20)), np.array([box])
    once = m.apply_flip(image, boxes, np.ones(1), vertical=vertical, feather=0)
    assert torch.equal(m.apply_flip(once, boxes, np.ones(1), vertical=vertical, feather=0), image)


@given(boxes_in(), st.floats(0, 1), st.booleans(), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_nothing_changes_outside_the_box_nor_in_the_input(
    box: list[int], ratio: float, vertical: bool, feather: float
):
    image = torch.from_numpy(pictures(1, 20))
    before = image.clone()
    out = m.apply_flip(
        image, np.array([box]), np.array([ratio]), vertical=vertical, feather=feather
    )
    x0, y0, x1, y1 = box
    out[0, y0:y1, x0:x1] = image[0, y0:y1, x0:x1]
    assert torch.equal(out, image) and torch.equal(image, before)


def test_the_middle_of_a_soft_flip_is_not_blurred():
    image, box = pictures(1)[0], (30, 40, 62, 60)  # feather of 5 px
    out = m.apply_flip(torch.from_numpy(image[None]), np.array([box]), np.ones(1), vertical=True)[
        0
    ].numpy()
    np.testing.assert_array_equal(out[45:55, 35:57], image[40:60, 30:62][::-1, ::-1][5:15, 5:27])


def test_each_operation_edits_its_own_region():
    images, regions = pictures(12), some_regions(12)
    amounts = m.draw_amounts(1, ids(12), **DRAWS)
    out = m.apply_all(torch.from_numpy(images), regions, amounts).numpy()
    for i in range(12):
        mouth, eye = regions.boxes[i, 0], regions.boxes[i, 1 + amounts.eyes[i]]
        for k, (box, vertical) in enumerate([(mouth, True), (mouth, False), (eye, False)]):
            np.testing.assert_array_equal(
                out[i, k], naive_flip(images[i], box, amounts.ratios[i, k], vertical, m.FEATHER)
            )
    assert (out[:, 3] != images).mean() > 0.5


def test_unusable_faces_get_four_different_warps():
    images, regions = torch.from_numpy(pictures(3)), some_regions(3, unusable=(1,))
    amounts = m.draw_amounts(1, ids(3), **DRAWS)
    out = m.apply_all(images, regions, amounts)
    for k in range(4):
        assert torch.equal(out[1, k], m.warp(images[1:2], amounts.shifts[1:2, k])[0])
        assert (out[1, k] != images[1]).float().mean() > 0.5
    assert len({out[1, k].numpy().tobytes() for k in range(4)}) == 4
    assert [name for name, _ in m.describe(regions, amounts, 1)] == ["face_warped"] * 4
    assert [name for name, _ in m.describe(regions, amounts, 0)] == list(m.OPERATIONS)


def test_descriptions_say_what_was_done():
    regions, amounts = some_regions(2), m.draw_amounts(1, ids(2), **DRAWS)
    turned, _, eye, warped = (amount for _, amount in m.describe(regions, amounts, 1))
    assert turned == {"box": regions.boxes[1, 0].tolist(), "ratio": amounts.ratios[1, 0]}
    assert regions.boxes[1, 1 + m.EYES.index(eye["eye"])].tolist() == eye["box"]
    # The shifts of a warp can be drawn again from what the table says.
    hashes = m.randomness.hashes(ids(2)[1:])
    sigmas, shifts = m.draw_warps(1, hashes, warped["draw"], side=128, warp_sigma=(0.04, 0.05))
    assert sigmas[0] == pytest.approx(warped["sigma"], abs=1e-6)
    np.testing.assert_array_equal(shifts[0], amounts.shifts[1, 3])
    assert json.loads(json.dumps(eye)) == eye


@given(st.integers(1, 12), st.integers(0, 2**31), st.data())
@settings(max_examples=12, deadline=None)
def test_any_split_into_batches_gives_the_same_bytes(n: int, seed: int, data: st.DataObject):
    cut = data.draw(st.integers(0, n))
    unusable = tuple(data.draw(st.sets(st.integers(0, n - 1), max_size=2)))
    images, regions = torch.from_numpy(pictures(n, seed=seed)), some_regions(n, unusable, seed)

    def run(part: slice) -> torch.Tensor:
        own = Regions(regions.boxes[part], regions.reasons[part])
        return m.apply_all(images[part], own, m.draw_amounts(seed, ids(n)[part], **DRAWS))

    assert torch.equal(run(slice(None)), torch.cat([run(slice(0, cut)), run(slice(cut, n))]))


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
    flat = unit.reshape(n, -1)
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 0.1
    np.testing.assert_array_equal(amounts.shifts * 256, np.round(amounts.shifts * 256))


def test_draws_depend_on_seed_and_face_alone():
    one, other = m.draw_amounts(1, ids(6), **DRAWS), m.draw_amounts(1, ids(6)[::-1], **DRAWS)
    for name in ("ratios", "eyes", "sigmas", "shifts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[::-1])
    assert not np.array_equal(one.shifts, m.draw_amounts(2, ids(6), **DRAWS).shifts)
    assert not np.array_equal(one.shifts[:, 0], one.shifts[:, 3])


def test_no_faces():
    regions, amounts = some_regions(0), m.draw_amounts(1, [], **DRAWS)
    assert m.apply_all(
        torch.zeros((0, 128, 128, 3), dtype=torch.uint8), regions, amounts
    ).shape == (0, 4, 128, 128, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bytes():
    images, regions = torch.from_numpy(pictures(5)), some_regions(5, unusable=(2,))
    amounts = m.draw_amounts(1, ids(5), **DRAWS)
    assert torch.equal(
        m.apply_all(images.cuda(), regions, amounts).cpu(), m.apply_all(images, regions, amounts)
    )


@pytest.mark.parametrize("box", [[-1, 0, 8, 8], [0, 0, 8, 21], [4, 4, 21, 9]])
def test_a_box_outside_the_picture_is_refused(box: list[int]):
    with pytest.raises(ValueError, match="a box leaves the picture of 20 x 20 pixels"):
        m.apply_flip(torch.from_numpy(pictures(1, 20)), np.array([box]), np.ones(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros((1, 20, 20, 3)), "uint8"),
        (torch.zeros((2, 20, 20, 3), dtype=torch.uint8), "2 pictures but amounts for 1"),
    ],
)
def test_wrong_pictures_are_refused(images: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        m.apply_flip(images, np.array([[0, 0, 8, 8]]), np.ones(1))
