"""Losses and scores of the pretext task: ranking EXIF tags, detecting manipulations."""

import numpy as np
import torch
from numpy.typing import ArrayLike

# Inside the square roots: keeps the gradient finite where a probability is 0.
PUBLISHED_EPSILON = 1e-8


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
    """Mean fidelity loss over all pairs i < j of a batch of which both values are known (fidelity:
    Tsai et al. 2007; as in Zou et al. 2025).

    scores (n,) from one head; values (n,) of the tag, in stops, NaN = unknown. The probability that
    i outranks j is Phi(2 (s_i - s_j)); its truth is 1, 0, or 1/2 for values at most `tolerance`
    apart. Zero without a pair. Values are float32, whose differences err by up to 4e-6 stops: a
    tolerance of exactly 1/6 would let rounding decide about pairs 1/6 stop apart, 0.1667 makes them
    all ties. (For `ranking_accuracy` such pairs count as different.)"""
    n = scores.shape[0]
    if n < 2:
        return scores.sum() * 0.0
    doubled = 2 * (scores[:, None] - scores[None, :])  # (n, n)
    gaps = values[:, None] - values[None, :]  # (n, n)
    order = (gaps > 0).to(scores.dtype)
    truth = torch.where(gaps.abs() <= tolerance, 0.5, order).to(scores.dtype)  # (n, n)
    p, q = torch.special.ndtr(doubled), torch.special.ndtr(-doubled)  # (n, n), q = 1 - p
    # A mask, not an index: its gradient is deterministic. Truth is never NaN, nor is the gradient.
    pairs = n * (n - 1) / 2
    known = gaps.isfinite().triu(diagonal=1)  # (n, n)
    loss = (fidelity(p, q, truth) * known).sum() / pairs
    return loss * (pairs / known.sum(dtype=loss.dtype).clamp_min(1))  # times 1 if all are known


def ranking_losses(scores: torch.Tensor, tags: torch.Tensor, tie_stops: float) -> torch.Tensor:
    """The ranking loss (t,) of each tag, from scores (n, t + 1) and tags (n, t) in stops."""
    columns = zip(scores.unbind(dim=1)[:-1], tags.unbind(dim=1), strict=True)
    return torch.stack([ranking_loss(s, v, tolerance=tie_stops) for s, v in columns])


def has_pairs(tags: torch.Tensor) -> torch.Tensor:
    """Whether two faces or more have a tag, (t,), from tags (n, t): else there is no such loss. A
    single face is a batch of its own where there are no others, with losses of 0.
    """
    return tags.isfinite().sum(dim=0) >= min(2, len(tags))


def manipulation_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean fidelity loss of sigmoid(logits) (n,) against labels (n,), 1 = manipulated."""
    return fidelity(torch.sigmoid(logits), torch.sigmoid(-logits), labels.to(logits.dtype)).mean()


def ranking_accuracy(
    scores: ArrayLike, values_in_stops: ArrayLike, *, minimum_gap: float = 1 / 6, chunk: int = 512
) -> float | None:
    """Share of pairs in the right order, over the pairs at least `minimum_gap` stops apart; None
    without such a pair.

    scores (n,), higher = larger value; values_in_stops (n,), NaN = unknown. Equal scores count one
    half, so that a constant scorer gets 1/2. Memory is chunk x n. Steps of a sixth are far below a
    third of a stop, the finest step of cameras' dials, so that rounding in the file cannot decide a
    pair."""
    scores = np.asarray(scores, dtype=np.float64)
    values = np.asarray(values_in_stops, dtype=np.float64)
    right = pairs = 0.0
    for start in range(0, len(scores), chunk):
        rows = slice(start, start + chunk)
        # Ordered pairs (larger, smaller): every pair far enough apart is seen exactly once.
        apart = values[rows, None] - values[None, :] >= minimum_gap - 1e-9  # (chunk, n)
        gain = scores[rows, None] - scores[None, :]  # (chunk, n)
        pairs += np.count_nonzero(apart)
        right += np.count_nonzero(apart & (gain > 0)) + 0.5 * np.count_nonzero(apart & (gain == 0))
    return float(right / pairs) if pairs else None


def tie_rate(values_in_stops: ArrayLike, tie_stops: float) -> float | None:
    """Share of the pairs of known values (n,) that are at most `tie_stops` apart, and teach a
    ranking nothing; None without a pair.
    """
    values = np.asarray(values_in_stops, dtype=np.float64)
    values = np.sort(values[np.isfinite(values)])
    n = len(values)
    ties = np.searchsorted(values, values + tie_stops, side="right") - np.arange(1, n + 1)
    return float(ties.sum() / (n * (n - 1) / 2)) if n > 1 else None


def detection_auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """ROC AUC of scores (n,) for labels (n,), 1 = positive; equal scores count one half; None if a
    class is absent.
    """
    from scipy.stats import mannwhitneyu

    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    if positive.all() or not positive.any():
        return None
    test = mannwhitneyu(scores[positive], scores[~positive], method="asymptotic")
    return float(test.statistic / (positive.sum() * (~positive).sum()))
