"""A mixture fitted on a GPU against the CPU's, to 1e-6 of an array's largest value."""

import numpy as np
import pytest

from pipeline.density.mixture import COVARIANCE_TYPES
from tests.small_features import fit

pytestmark = pytest.mark.cuda


def faces(n=2000, d=64):
    """Three overlapping clusters of correlated features."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, d)) @ draw.normal(size=(d, d))
    return x + 2 * draw.normal(size=(3, d))[np.arange(n) % 3]


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_a_gpu_gives_what_numpy_gives(kind):
    there, here = (
        fit(faces(), covariance_type=kind, starts=2, device=device).mixture
        for device in ("cuda", "cpu")
    )
    for name in ("weights", "means", "precisions_cholesky"):
        found, expected = getattr(there, name), getattr(here, name)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
