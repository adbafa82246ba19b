"""The detector as it lies on disk: the mixture of photographic features, and the calibrated
thresholds.
"""

from pathlib import Path
from typing import NamedTuple

from pipeline.calibration import decisions
from pipeline.common import artifacts
from pipeline.density.mixture import Mixture


class Detector(NamedTuple):
    """A face whose anomaly score is greater than a threshold is called AI-generated at that
    threshold's false alarm rate.
    """

    mixture: Mixture
    thresholds: dict[str, float]  # by the name of the false alarm rate, `calibration.rate_key`
    review: str  # the name of the rate whose figures stand first


def read(gmm: Path, threshold: Path) -> Detector:
    """What fit_gmm and calibrate wrote. Raises PipelineError naming the file that is malformed."""
    mixture = Mixture.from_arrays(artifacts.read_npz(gmm), str(gmm))
    by_rate, review, _ = decisions.thresholds(artifacts.read_json(threshold), threshold)
    return Detector(mixture, by_rate, review)
