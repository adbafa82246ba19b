"""Whether faces are like the calibration photographs, on which every false alarm rate rests.

Of a single file only its size is compared: an encoder sees traces of single pixels, and a picture
that is enlarged or shrunk to its input by a factor that no calibration photograph had has others.
Blur and noise are not compared, as too much or too little of them is what betrays generators."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.errors import PipelineError


@dataclass(frozen=True)
class Sizes:
    """The range of sizes of the calibration photographs, in pixels."""

    shortest: int  # side
    longest: int

    @classmethod
    def from_array(cls, sizes: np.ndarray, source: str | Path) -> "Sizes":
        """From widths and heights (n, 2); PipelineError with `source` where malformed."""
        whole = np.issubdtype(sizes.dtype, np.integer)
        if not whole or sizes.ndim != 2 or sizes.shape[1] != 2 or not sizes.size or sizes.min() < 1:
            raise PipelineError(f"{source}: malformed sizes: calibrate again")
        return cls(int(sizes.min()), int(sizes.max()))

    def reason(self, width: int, height: int) -> str:
        """Why a face of this size cannot be judged, or ""."""
        if min(width, height) < self.shortest:
            return f"smaller than any calibration photograph ({self.shortest} px)"
        if max(width, height) > self.longest:
            return f"larger than any calibration photograph ({self.longest} px)"
        return ""


def chance(scores: Sequence[float] | np.ndarray, calibration_scores: np.ndarray) -> float:
    """That anomaly scores (m,) of photographs like those of the calibration, whose scores are
    (histories, n), lie so far above theirs or further: the one-sided two-sample test of Kolmogorov
    and Smirnov; of several histories the one that fits best.
    """
    from scipy.stats import ks_2samp

    # "less": the first distribution function lies below, so that the first scores are larger.
    tests = (ks_2samp(scores, own, alternative="less") for own in calibration_scores)
    return max(float(test.pvalue) for test in tests)
