"""The warp, against a loop over pixels and triangles, and against SciPy's interpolation on a
triangulation.
"""

import numpy as np
import pytest

from pipeline.manipulation.warp import GRID, positions, warp


def picture(height: int = 24, width: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_shifts(size: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, size, (GRID, GRID, 2)).astype(np.float32)


def regular(height: int, width: int) -> np.ndarray:
    """Control points (GRID, GRID, 2) of the regular grid."""
    sides = np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID)
    return np.stack(np.meshgrid(*sides), axis=-1)


def places(shifts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Our positions in pixels, (H, W, 2)."""
    return positions(shifts, height, width).transpose(1, 2, 0) / 64


def naive_positions(shifts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Input position (H, W, 2) of every output pixel: find its triangle, solve for its barycentric
    coordinates.
    """
    grid = regular(height, width)
    moved = np.clip(grid + shifts, 0, [width - 1, height - 1])
    triangles = [
        [(r, c), corner, (r + 1, c + 1)]
        for r, c in np.ndindex(GRID - 1, GRID - 1)
        for corner in ((r, c + 1), (r + 1, c))
    ]
    out = np.empty((height, width, 2))
    for y, x in np.ndindex(height, width):
        for corners in triangles:
            system = np.vstack([np.array([grid[k] for k in corners]).T, np.ones(3)])
            weights = np.linalg.solve(system, [x, y, 1.0])
            if weights.min() > -1e-9:
                out[y, x] = weights @ np.array([moved[k] for k in corners])
                break
    return out


def naive_bilinear(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Float samples; edges clamped."""
    height, width, _ = image.shape
    out = np.empty((*where.shape[:2], 3))
    for index in np.ndindex(*where.shape[:2]):
        x, y = where[index]
        x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
        fx, fy = x - x0, y - y0
        corners = image[y0 : y0 + 2, x0 : x0 + 2].astype(float)
        above, below = (1 - fx) * corners[:, 0] + fx * corners[:, 1]
        out[index] = (1 - fy) * above + fy * below
    return out


@pytest.mark.parametrize(("height", "width"), [(24, 24), (17, 31)])
def test_positions_match_a_loop_over_triangles(height: int, width: int):
    shifts = random_shifts(2.0)
    difference = places(shifts, height, width) - naive_positions(shifts, height, width)
    assert np.abs(difference).max() <= 0.5 / 64 + 1e-5


@pytest.mark.parametrize(("height", "width", "size"), [(24, 24, 2.0), (40, 71, 500.0)])
def test_pixels_are_exact_bilinear_samples_inside_the_picture(height, width, size):
    image, shifts = picture(height, width), random_shifts(size)
    where = places(shifts, height, width)
    assert (where >= 0).all() and (where <= [width - 1, height - 1]).all()
    expected = np.floor(naive_bilinear(image, where) + 0.5)
    np.testing.assert_array_equal(warp(image, shifts), expected)


def test_equal_shifts_move_the_middle_by_whole_pixels():
    image = picture(28, 28)
    np.testing.assert_array_equal(warp(image, np.zeros((GRID, GRID, 2), np.float32)), image)
    out = warp(image, np.full((GRID, GRID, 2), 2, np.float32))
    np.testing.assert_array_equal(out[9:18, 9:18], image[11:20, 11:20])
