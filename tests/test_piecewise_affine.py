"""The warp, against a loop over pixels and triangles, and against SciPy's interpolation on a
triangulation.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manipulation import warp as pa


def pictures(n: int, height: int = 24, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def random_shifts(n: int, size: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, (n, pa.GRID, pa.GRID, 2)).astype(np.float32)


def barycentric(p: np.ndarray, corners: np.ndarray) -> np.ndarray:
    system = np.vstack([corners.T, np.ones(3)])
    return np.linalg.solve(system, np.array([*p, 1.0]))


def naive_positions(shifts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Input position (H, W, 2) of every output pixel: find its triangle, solve for its barycentric
    coordinates.
    """
    grid = np.stack(
        np.meshgrid(np.linspace(0, width - 1, pa.GRID), np.linspace(0, height - 1, pa.GRID)),
        axis=-1,
    )
    moved = np.clip(grid + shifts, 0, [width - 1, height - 1])
    triangles = []
    for r in range(pa.GRID - 1):
        for c in range(pa.GRID - 1):
            triangles += [
                [(r, c), (r, c + 1), (r + 1, c + 1)],
                [(r, c), (r + 1, c), (r + 1, c + 1)],
            ]
    out = np.empty((height, width, 2))
    for y in range(height):
        for x in range(width):
            for corners in triangles:
                weights = barycentric(np.array([x, y]), np.array([grid[k] for k in corners]))
                if weights.min() > -1e-9:
                    out[y, x] = weights @ np.array([moved[k] for k in corners])
                    break
    return out


def naive_bilinear(image: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Float samples; edges clamped."""
    height, width, _ = image.shape
    out = np.empty((*positions.shape[:2], 3))
    for index in np.ndindex(*positions.shape[:2]):
        x, y = positions[index]
        x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
        fx, fy = x - x0, y - y0
        corners = image[y0 : y0 + 2, x0 : x0 + 2].astype(float)
        out[index] = (1 - fy) * ((1 - fx) * corners[0, 0] + fx * corners[0, 1]) + fy * (
            (1 - fx) * corners[1, 0] + fx * corners[1, 1]
        )
    return out


@pytest.mark.parametrize(("height", "width"), [(24, 24), (17, 31)])
def test_positions_match_a_loop_over_triangles(height: int, width: int):
    shifts = random_shifts(1, 2.0)
    ours = pa.positions(torch.from_numpy(shifts), height, width)[0].numpy().transpose(1, 2, 0) / 64
    assert np.abs(ours - naive_positions(shifts[0], height, width)).max() <= 0.5 / 64 + 1e-5


def test_positions_match_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    side, shifts = 128, random_shifts(1, 6.0)
    grid = np.stack(np.meshgrid(*[np.linspace(0, side - 1, pa.GRID)] * 2), axis=-1).reshape(-1, 2)
    moved = np.clip(grid + shifts.reshape(-1, 2), 0, side - 1)
    # The Delaunay triangulation of a regular grid is ambiguous: a touch of shear makes our diagonal
    # the shorter one.
    sheared = grid - 1e-6 * grid[:, ::-1]
    field = interpolate.LinearNDInterpolator(sheared, moved)
    y, x = np.mgrid[1 : side - 1, 1 : side - 1]
    ours = (
        pa.positions(torch.from_numpy(shifts), side, side)[0].numpy().transpose(1, 2, 0)[1:-1, 1:-1]
        / 64
    )
    assert np.abs(ours - field(np.stack([x, y], axis=-1))).max() <= 0.5 / 64 + 1e-3


def test_pixels_match_a_bilinear_loop():
    image, shifts = pictures(2), random_shifts(2, 2.0)
    ours = pa.warp(torch.from_numpy(image), shifts).numpy()
    places = pa.positions(torch.from_numpy(shifts), 24, 24).numpy().transpose(0, 2, 3, 1) / 64
    for i in range(2):
        np.testing.assert_array_equal(ours[i], np.floor(naive_bilinear(image[i], places[i]) + 0.5))


@pytest.mark.parametrize(("height", "width"), [(128, 128), (71, 200)])
def test_sampling_is_exact_arithmetic_at_every_fraction_of_a_pixel(height: int, width: int):
    random = np.random.default_rng(7)
    image = random.choice(
        np.array([0, 1, 127, 128, 254, 255], dtype=np.uint8), (2, height, width, 3)
    )
    x, y = (
        random.integers(0, (width - 1) * 64 + 1, (2, 90, 150)),
        random.integers(0, (height - 1) * 64 + 1, (2, 90, 150)),
    )
    out = torch.zeros((2, 90, 150, 3), dtype=torch.uint8)
    pa._sample(
        torch.from_numpy(image), torch.from_numpy(np.stack([x, y], axis=1).astype(np.float32)), out
    )
    left, top = np.minimum(x >> 6, width - 2), np.minimum(y >> 6, height - 2)
    fx, fy, which = (
        (x - 64 * left)[..., None],
        (y - 64 * top)[..., None],
        np.arange(2)[:, None, None],
    )
    corner = [[image[which, top + j, left + i].astype(int) for i in (0, 1)] for j in (0, 1)]
    above, below = ((64 - fx) * corner[j][0] + fx * corner[j][1] for j in (0, 1))
    np.testing.assert_array_equal(out.numpy(), ((64 - fy) * above + fy * below + 2048) >> 12)


def test_rounding_of_positions_hardly_shows_on_a_smooth_picture():
    y, x = np.mgrid[:24, :24]
    image = np.stack([4 * x + 4 * y, 100 + 60 * np.sin(x / 4), 200 - 3 * x], axis=-1).astype(
        np.uint8
    )
    shifts = random_shifts(1, 2.0)
    exact = naive_bilinear(image, naive_positions(shifts[0], 24, 24))
    ours = pa.warp(torch.from_numpy(image[None]), shifts)[0].numpy()
    assert np.abs(ours - exact).max() <= 0.5 + 2 * 16 / 128  # gradients of up to 16 levels a pixel


def test_no_shift_is_the_identity():
    image = torch.from_numpy(pictures(3, 17, 31))
    assert torch.equal(pa.warp(image, np.zeros((3, pa.GRID, pa.GRID, 2), dtype=np.float32)), image)


def test_equal_shifts_move_the_middle_by_whole_pixels():
    image = torch.from_numpy(pictures(1, 28, 28))
    out = pa.warp(image, np.full((1, pa.GRID, pa.GRID, 2), 2, dtype=np.float32))
    assert torch.equal(out[:, 9:18, 9:18], image[:, 11:20, 11:20])


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_a_flat_picture_stays_flat(level: int):
    image = torch.full((2, 24, 24, 3), level, dtype=torch.uint8)
    assert torch.equal(pa.warp(image, random_shifts(2, 4.0)), image)


@given(st.integers(1, 20), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=20, deadline=None)
def test_any_split_into_batches_gives_the_same_bytes(n: int, seed: int, data: st.DataObject):
    cut = data.draw(st.integers(0, n))
    image, shifts = torch.from_numpy(pictures(n, seed=seed)), random_shifts(n, 3.0, seed)
    parts = torch.cat([pa.warp(image[:cut], shifts[:cut]), pa.warp(image[cut:], shifts[cut:])])
    assert torch.equal(pa.warp(image, shifts), parts)


def test_the_number_of_threads_does_not_matter():
    image, shifts = torch.from_numpy(pictures(9, 128, 128)), random_shifts(9, 6.0)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(pa.warp(image, shifts))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_huge_shifts_stay_in_the_picture():
    image = torch.from_numpy(pictures(1))
    places = pa.positions(torch.from_numpy(random_shifts(1, 500.0)), 24, 24)
    assert places.min() >= 0 and places.max() <= 23 * 64
    assert pa.warp(image, random_shifts(1, 500.0)).shape == image.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bytes():
    image, shifts = torch.from_numpy(pictures(9, 128, 128)), random_shifts(9, 6.0)
    assert torch.equal(pa.warp(image.cuda(), shifts).cpu(), pa.warp(image, shifts))


@pytest.mark.parametrize(
    ("image", "n", "message"),
    [
        (torch.zeros((1, 24, 24, 3)), 1, "uint8"),
        (torch.zeros((1, 3, 24, 24), dtype=torch.uint8), 1, "uint8 pictures of shape"),
        (torch.zeros((2, 24, 24, 3), dtype=torch.uint8), 1, "2 pictures but amounts for 1"),
        (torch.zeros((1, 24, 7, 3), dtype=torch.uint8), 1, "7 x 24 pixels are too small"),
    ],
)
def test_wrong_input(image: torch.Tensor, n: int, message: str):
    with pytest.raises(ValueError, match=message):
        pa.warp(image, random_shifts(n, 1.0))
