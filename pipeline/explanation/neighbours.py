"""Why a face is anomalous, from its feature: photographs that it resembles, EXIF heads that
deviate; and a map of all faces.

Features are (n, D) as the encoder gave them; a `Mixture` of photographic faces transforms and
measures them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.common import randomness
from pipeline.density.mixture import Mixture

FEWEST_FACES = 5  # on a map of fewer there is nothing to see
PERPLEXITY = 30.0  # neighbours that t-SNE keeps near; scikit-learn's value, in the middle of van der Maaten and Hinton's 5 to 50
_ROUNDING = 1e-6  # features are float32: spread below this share of their size is rounding

SHORT = {
    "iso": "ISO",
    "f_number": "f-number",
    "exposure_time_s": "exposure",
    "focal_length_mm": "focal length",
    "manipulation": "manipulation",
}


def projection(
    mixture: Mixture, features: np.ndarray, *, seed: int
) -> tuple[np.ndarray | None, str]:
    """Places (n, 2) of the faces on a t-SNE map of the mixture's space, and ""; or None and why
    there is none.

    t-SNE (van der Maaten, Hinton 2008; scikit-learn's, from the principal components, without early
    randomness): near faces are alike, but distances between groups and sizes of groups mean
    nothing, and neither do the units. Deterministic whatever the number of threads. Few faces get a
    perplexity of a third of their number, below which t-SNE falls apart."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    n = len(features)
    if n < FEWEST_FACES:
        return None, f"the map cannot be computed: {n} faces, it needs at least {FEWEST_FACES}"
    # The last bits of a product depend on the threads that share it, and t-SNE magnifies them. For
    # some hundred faces on busy cores one thread is also ten times faster than several that wait
    # for each other.
    with threadpool_limits(1):
        x = mixture.transform(features)  # (n, d)
        if np.ptp(x, axis=0).max() <= _ROUNDING * max(1.0, np.abs(x).max()):
            return (
                None,
                f"the map cannot be computed: the features of all {n} faces are equal; look how the encoder was trained",
            )
        x = np.pad(x, ((0, 0), (0, max(0, 2 - x.shape[1]))))  # the start needs two directions
        state = randomness.key(seed, "t-SNE") % 2**32
        map_ = TSNE(
            init="pca", perplexity=min(PERPLEXITY, (n - 1) / 3), random_state=state, n_jobs=1
        )
        return np.asarray(map_.fit_transform(x), dtype=np.float64), ""


def nearest(
    mixture: Mixture, faces: np.ndarray, photographs: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The photographs (m, D) nearest to each face (n, D): rows and distances, both (n, min(count,
    m)), equal ones by row.

    Mahalanobis distance with the covariance of the face's most probable component, in standard
    deviations: the metric of the anomaly score, which for one component is a constant plus half the
    squared distance from its mean. In the plain distance the first principal components, which vary
    most among photographs, would decide alone."""
    from scipy.spatial.distance import cdist

    x, y = mixture.transform(faces), mixture.transform(photographs)  # (n, d), (m, d)
    component = _most_probable(mixture, faces)
    distances = np.empty((len(x), len(y)))
    for k in np.unique(component):
        own = component == k
        distances[own] = cdist(_whitened(mixture, x[own], k), _whitened(mixture, y, k))
    rows = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(distances, rows, axis=1)


def entry(
    *,
    name: str,
    score: float,
    p_value: float,
    verdict: str,
    z: Mapping[str, float],
    neighbours: Sequence[tuple[str, float]],
    covered: tuple[float, str],
) -> dict[str, Any]:
    """One face for faces.json: its score (nats), its verdict, and what explains it; null where
    nothing can be computed.

    z: by head, NaN = not computable; a large one says that the face claims camera settings that
    photographs of this domain hardly have, not that the settings are wrong. neighbours: names and
    distances (standard deviations); covered: largest drop (nats) and where. The small explanations
    are rounded to 3 decimals."""
    known = {head: value for head, value in z.items() if np.isfinite(value)}
    return {
        "name": name,
        "anomaly_score": score,
        "p_value": p_value,
        "verdict": verdict,
        "head_z": {head: round(float(known[head]), 3) if head in known else None for head in z},
        "deviating_head": max(known, key=lambda head: abs(known[head]), default=None),
        "nearest": [
            {"name": other, "distance": round(float(distance), 3)} for other, distance in neighbours
        ],
        "covered": {"largest_drop": round(covered[0], 3), "where": covered[1]},
    }


def row_title(face: Mapping[str, Any]) -> str:
    """What stands beside the pictures of an entry: verdict, p-value, deviating head, effect of
    covering; four short lines.
    """
    head, covered = face["deviating_head"], face["covered"]
    z = (
        "no head varies"
        if head is None
        else f"{SHORT.get(head, head)}: {face['head_z'][head]:+.1f} sd"
    )
    drop = (
        "no part"
        if covered["where"] == "nowhere"
        else f"{covered['where']}: {-covered['largest_drop']:.1f} nats"
    )
    return f"{face['verdict']}\np = {face['p_value']:.2g}\n{z}\n{drop}"


def _most_probable(mixture: Mixture, features: np.ndarray) -> np.ndarray:
    """The component with the largest share of each face's density, int (n,)."""
    parts = []
    for k, weight in enumerate(mixture.weights):
        own = (
            mixture.precisions_cholesky
            if mixture.covariance_type == "tied"
            else mixture.precisions_cholesky[[k]]
        )
        alone = replace(
            mixture, weights=np.ones(1), means=mixture.means[[k]], precisions_cholesky=own
        )
        parts.append(alone.log_likelihood(features) + (np.log(weight) if weight > 0 else -np.inf))
    return np.argmax(parts, axis=0)


def _whitened(mixture: Mixture, x: np.ndarray, k: int) -> np.ndarray:
    """Transformed features (n, d) in standard deviations of component k, float64 (n, d)."""
    own = (
        mixture.precisions_cholesky
        if mixture.covariance_type == "tied"
        else mixture.precisions_cholesky[k]
    )
    return np.asarray(x @ own if np.ndim(own) == 2 else x * own)
