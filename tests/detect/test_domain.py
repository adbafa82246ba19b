"""The comparison with the calibration photographs, against shuffles and by simulation."""

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.detect.domain import Sizes, chance


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.5, 5.0])
def test_the_chance_is_that_of_shuffled_scores_to_lie_so_far_off(shift):
    draw = np.random.default_rng(0)
    own, scores = draw.normal(size=50), draw.normal(shift, size=30)
    together = np.concatenate([own, scores])

    def distance(of: np.ndarray) -> float:
        first, others = (
            np.searchsorted(np.sort(part), of, side="right") / len(part)
            for part in (of[:50], of[50:])
        )
        return float(np.max(first - others))

    least = distance(together) - 1e-9
    far = [distance(draw.permutation(together)) >= least for _ in range(4000)]
    assert chance(scores.tolist(), own[None]) == pytest.approx(np.mean(far), abs=0.03)


def test_photographs_like_those_of_the_calibration_seldom_lie_off():
    """Of 2,000 pairs of samples from one law about 100 have a chance below 5 %, for a finite number
    of calibration photographs, too; and fewer of samples that are less anomalous.
    """
    draw = np.random.default_rng(1)
    for shift, low, high in ((0.0, 60, 130), (-0.5, 0, 20)):
        pairs = ((draw.normal(shift, size=25), draw.normal(size=(1, 60))) for _ in range(2000))
        off = sum(chance(*pair) < 0.05 for pair in pairs)
        assert low <= off <= high


def test_of_several_histories_the_one_that_fits_best_counts():
    draw = np.random.default_rng(2)
    clean, blurred = draw.normal(size=80), draw.normal(3, size=80)
    scores = draw.normal(3, size=40)
    assert chance(scores, clean[None]) < 1e-6
    assert chance(scores, np.stack([clean, blurred])) > 1e-3


def test_sizes_on_the_edge_of_the_range_can_be_judged():
    sizes = Sizes.from_array(np.array([[100, 90], [80, 120]]), "calibration.npz")
    assert sizes == Sizes(80, 120)
    assert [sizes.reason(*size) for size in ((80, 120), (120, 80), (100, 100))] == [""] * 3
    assert sizes.reason(79, 100) == "smaller than any calibration photograph (80 px)"
    assert sizes.reason(100, 121) == "larger than any calibration photograph (120 px)"


@pytest.mark.parametrize("sizes", [[[0, 3]], [[1.0, 2.0]], [[1, 2, 3]], [1, 2], np.zeros((0, 2))])
def test_malformed_sizes_name_the_file(sizes):
    with pytest.raises(PipelineError, match=r"calibration\.npz: malformed sizes"):
        Sizes.from_array(np.asarray(sizes), "calibration.npz")
