"""What the calibration says about single faces: a p-value, a verdict, and how far each head of the
encoder is off.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.calibration.thresholds import p_values, verdicts
from pipeline.common.names import HEADS


def thresholds(content: Any, source: object) -> tuple[dict[str, float], str, str]:
    """The thresholds by `rate_key`, and the keys to review and to flag by, from the content of
    models/threshold.json. Raises PipelineError naming `source` where it is malformed.
    """
    try:
        float(content["paper_protocol"]["threshold"])
        by_rate = {str(key): float(rate["threshold"]) for key, rate in content["rates"].items()}
        review, flag = str(content["review"]), str(content["flag"])
        by_rate[review], by_rate[flag]
        if not all(map(math.isfinite, by_rate.values())):
            raise ValueError("a threshold is not finite")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PipelineError(f"{source}: malformed ({error!r}): run calibrate again") from None
    return by_rate, review, flag


@dataclass(frozen=True)
class Decisions:
    """Thresholds, and the calibration photographs that p-values and z-scores compare with."""

    thresholds: dict[str, float]  # by `rate_key`
    review: str  # key of the rate above whose threshold a face is to be reviewed
    flag: str  # key of the rate above whose threshold it is flagged
    paper_threshold: float  # the authors'
    scores: np.ndarray  # (histories, n) of the calibration photographs
    head_means: np.ndarray  # (h,) over the calibration photographs
    head_deviations: np.ndarray  # (h,)
    head_names: tuple[str, ...] = HEADS  # (h,)

    @classmethod
    def from_contents(
        cls, content: Any, calibrated: Mapping[str, np.ndarray], sources: tuple[object, object]
    ) -> "Decisions":
        """From the contents of calibrate's two files. Raises PipelineError naming the source that
        is malformed.
        """
        by_rate = thresholds(content, sources[0])
        arrays = [
            np.asarray(calibrated.get(name)) for name in ("scores", "head_means", "head_deviations")
        ]
        numbers = all(a.dtype == np.float64 and np.isfinite(a).all() for a in arrays)
        heads = tuple(map(str, np.ravel(calibrated.get("head_names", HEADS))))
        of_heads = [a.shape for a in arrays[1:]] == [(len(heads),)] * 2
        if not numbers or arrays[0].ndim != 2 or not of_heads:
            raise PipelineError(
                f"{sources[1]}: expected finite scores by history, and means and deviations of "
                f"{len(heads)} heads: run calibrate again"
            )
        paper = float(content["paper_protocol"]["threshold"])
        scores, means, deviations = arrays
        return cls(*by_rate, paper, scores, means, deviations, heads)

    def columns(self, scores: np.ndarray, heads: np.ndarray) -> dict[str, np.ndarray]:
        """Columns (m,) about faces with these anomaly scores (m,) and scores of the encoder's heads
        (m, h).

        `anomaly_score`, `p_value` (the largest of the histories: whichever of them a photograph
        has, it is at most a rate with a chance of at most that rate), `verdict`, whether the score
        is above the threshold of each rate (by its key), `z_<head>`."""
        review, flag = self.thresholds[self.review], self.thresholds[self.flag]
        z = zip(self.head_names, self.z_scores(heads).T, strict=True)
        return {
            "anomaly_score": scores,
            "p_value": np.max([p_values(scores, own) for own in self.scores], axis=0),
            "verdict": verdicts(scores, review, flag),
            **{key: scores > threshold for key, threshold in self.thresholds.items()},
            **{f"z_{head}": deviations for head, deviations in z},
        }

    def z_scores(self, heads: np.ndarray) -> np.ndarray:
        """Distance of each head's score from the calibration photographs' mean, in their standard
        deviations, (m, h); NaN for a head that gives all of them the same score.
        """
        deviations = np.where(self.head_deviations > 0, self.head_deviations, np.nan)
        return np.asarray((heads - self.head_means) / deviations)

    @property
    def constant_heads(self) -> list[str]:
        """Heads without z-scores."""
        spreads = zip(self.head_names, self.head_deviations, strict=True)
        return [head for head, spread in spreads if spread == 0]
