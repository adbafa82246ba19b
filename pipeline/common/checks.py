"""What every table of features and every list of scores must be."""

import numpy as np

from pipeline.base.errors import PipelineError


def check_features(features: np.ndarray, what: str) -> np.ndarray:
    """Features as float64 (n, D), n >= 1. PipelineError on another shape, NaN or infinity."""
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] == 0:
        raise PipelineError(
            f"{what}: expected a table (faces, features) with at least one of each, got shape "
            f"{x.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise PipelineError(
            f"{what}: {len(bad)} of {len(x)} faces have NaN or infinite features (first: row "
            f"{bad[0]}): its weights are finite, so it overflows on these faces; set "
            "features.precision to float32, or train with a lower pretext.learning_rate"
        )
    return x


def check_scores(scores: np.ndarray, what: str) -> np.ndarray:
    """Scores as float64 (n,), n >= 1. PipelineError on another shape, NaN or infinity."""
    s = np.asarray(scores, dtype=np.float64)
    if s.ndim != 1 or len(s) == 0:
        raise PipelineError(
            f"{what}: no faces (shape {s.shape}), so nothing can be computed: look why this face "
            "set is empty"
        )
    bad = int((~np.isfinite(s)).sum())
    if bad:
        raise PipelineError(
            f"{what}: {bad} of {len(s)} are NaN or infinite: run extract_features and fit_gmm again"
        )
    return s
