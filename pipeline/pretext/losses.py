"""Losses and held-out scores of the pretext task: fidelity ranking of EXIF tags and detection of
manipulations.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

PUBLISHED_EPSILON = (
    1e-8  # inside the square roots: keeps the gradient finite where a probability is 0
)
# A stop halves or doubles the light: a factor 2 in ISO and exposure time, a factor sqrt(2) in
# f-number. For the focal length "stop" is used for the same step, a factor 2.
STOPS_PER_OCTAVE = {"iso": 1.0, "f_number": 2.0, "exposure_time_s": 1.0, "focal_length_mm": 1.0}


def stops(tag: str, values: ArrayLike) -> NDArray[np.float64]:
    """Tag values (> 0, in the tag's unit, any shape) as stops: log2 of the value, twice that for
    the f-number.
    """
    return STOPS_PER_OCTAVE[tag] * np.log2(np.asarray(values, dtype=np.float64))


def fidelity(first: torch.Tensor, second: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Fidelity loss of a binary distribution (first, second = 1 - first) against truth in [0, 1];
    elementwise.

    1 - sqrt(p g + 1e-8) - sqrt((1 - p)(1 - g) + 1e-8); 0 (up to 2e-4) where they agree, 1 where
    they are opposite. Both probabilities are arguments because 1 - p loses all digits where p is
    close to 1."""
    agreement = torch.sqrt(first * truth + PUBLISHED_EPSILON)
    return 1 - agreement - torch.sqrt(second * (1 - truth) + PUBLISHED_EPSILON)


def ranking_loss(
    scores: torch.Tensor, values: torch.Tensor, *, tolerance: float = 0.0
) -> torch.Tensor:
    """Mean fidelity loss over all pairs i < j of a batch (fidelity: Tsai et al. 2007; as in Zou et
    al. 2025).

    scores (n,) from one head; values (n,) of the tag in any monotone unit. The probability that i
    outranks j is Phi(2 (s_i - s_j)); its truth is 1, 0, or 1/2 for values no more than `tolerance`
    apart. Zero for n < 2."""
    n = scores.shape[0]
    if n < 2:
        return scores.sum() * 0.0
    doubled = 2 * (scores[:, None] - scores[None, :])  # (n, n)
    gaps = values[:, None] - values[None, :]  # (n, n)
    truth = torch.where(
        gaps.abs() <= tolerance, 0.5, (gaps > 0).to(scores.dtype)
    )  # (n, n) of 0, 1/2, 1
    losses = fidelity(
        torch.special.ndtr(doubled), torch.special.ndtr(-doubled), truth.to(scores.dtype)
    )  # (n, n)
    return losses.triu(diagonal=1).sum() / (
        n * (n - 1) / 2
    )  # a mask, not an index: its gradient is deterministic


def manipulation_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean fidelity loss of sigmoid(logits) (n,) against labels (n,), 1 = manipulated."""
    return fidelity(torch.sigmoid(logits), torch.sigmoid(-logits), labels.to(logits.dtype)).mean()


def ranking_accuracy(
    scores: ArrayLike, values_in_stops: ArrayLike, *, minimum_gap: float = 1 / 6, chunk: int = 512
) -> float | None:
    """Share of pairs in the right order, over the pairs at least `minimum_gap` stops apart; None
    without such a pair.

    scores (n,), higher = larger value; values_in_stops (n,) from `stops`. Equal scores count one
    half, so that a constant scorer gets 1/2. Memory is chunk x n. Steps of a sixth are far below a
    third of a stop, the finest step of cameras' dials, so that rounding in the file cannot decide a
    pair."""
    scores = np.asarray(scores, dtype=np.float64)
    values = np.asarray(values_in_stops, dtype=np.float64)
    right = pairs = 0.0
    for start in range(0, len(scores), chunk):
        rows = slice(start, start + chunk)
        # Ordered pairs (larger, smaller): every unordered pair that is far enough apart is seen
        # exactly once.
        apart = values[rows, None] - values[None, :] >= minimum_gap - 1e-9  # (chunk, n)
        gain = scores[rows, None] - scores[None, :]  # (chunk, n)
        pairs += np.count_nonzero(apart)
        right += np.count_nonzero(apart & (gain > 0)) + 0.5 * np.count_nonzero(apart & (gain == 0))
    return float(right / pairs) if pairs else None


def detection_auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """ROC AUC of scores (n,) for labels (n,), 1 = positive; equal scores count one half; None if a
    class is absent.
    """
    from scipy.stats import rankdata

    labels = np.asarray(labels).astype(bool)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    ranks: NDArray[Any] = rankdata(
        np.asarray(scores, dtype=np.float64)
    )  # ties share their mean rank
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
