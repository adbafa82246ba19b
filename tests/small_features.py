"""Small features for the tests of density and of the stages that read feature sets."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.density import fitting
from pipeline.density.mixture import Mixture
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

SETTINGS: dict[str, Any] = {
    "components": 2,
    "covariance_type": "full",
    "standardise": True,
    "pca_components": 0,
    "regularisation": 1e-6,
    "maximum_iterations": 200,
    "tolerance": 1e-3,
    "starts": 1,
    "seed": 7,
}


def fit(x: np.ndarray, **changes: Any) -> fitting.Fit:
    """A fit with SETTINGS but for the changes."""
    return fitting.fit(x, **{**SETTINGS, **changes})


def clusters(n: int = 300, d: int = 6, seed: int = 0, count: int = 2) -> np.ndarray:
    """Clusters of correlated features of unequal scales and centres away from zero."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, d)) @ draw.normal(size=(d, d))
    x += 6 * draw.normal(size=(count, d))[np.arange(n) % count]
    return (x * np.geomspace(0.1, 30, d) + 5).astype(np.float32)


def write_set(path: Path, features: np.ndarray, *, each: int = 2, **arrays: Any) -> None:
    """Write features (n, D) as a face set, so many faces of each person, with columns as given."""
    n, name = len(features), path.stem
    names = np.array([f"{name}/{i // each:04d}_{i % each}.png" for i in range(n)])
    columns: dict[str, Any] = {
        "names": names,
        "persons": np.array([f"{name} {i // each:04d}" for i in range(n)]),
        "heads": np.random.default_rng(n).normal(size=(n, 5)),
        "digests": np.array([hashlib.sha256(face.encode()).hexdigest() for face in names]),
    }
    feature_sets.write(path, FeatureSet(name, features=features, **{**columns, **arrays}))


def normal(d: int, precision: float = 1.0) -> Mixture:
    """One Gaussian at 0 in d dimensions, alike in all; nothing is transformed."""
    one, none = np.ones(1), np.zeros((0, d))
    return Mixture(
        "spherical", np.zeros(d), np.ones(d), none, one, np.zeros((1, d)), precision**0.5 * one
    )
