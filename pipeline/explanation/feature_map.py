"""A map of faces in the mixture's feature space."""

import numpy as np

from pipeline.common import randomness
from pipeline.density.mixture import Mixture

FEWEST_FACES = 5  # on a map of fewer there is nothing to see
PERPLEXITY = 30.0  # scikit-learn's value, in the middle of van der Maaten and Hinton's 5 to 50
ROUNDING = 1e-6  # features are float32: spread below this share of their size is rounding


def feature_map(
    mixture: Mixture, features: np.ndarray, *, seed: int
) -> tuple[np.ndarray | None, str]:
    """Places (n, 2) of faces with features (n, D) on a t-SNE map of the mixture's space, and ""; or
    None and why there is no map.

    t-SNE (van der Maaten, Hinton 2008; scikit-learn's, started from the principal components): near
    faces are alike, but distances between groups, sizes of groups and units mean nothing. Does not
    depend on the number of threads. Few faces get a perplexity of a third of their number, below
    which t-SNE falls apart."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n = len(features)
    if n < FEWEST_FACES:
        return None, f"no map of the features: {n} faces, it needs at least {FEWEST_FACES}"
    # The last bits of a product depend on the threads that share it, and t-SNE magnifies them.
    with threadpool_limits(1):
        x = mixture.transform(features)  # (n, d)
        if np.ptp(x, axis=0).max() <= ROUNDING * max(1.0, np.abs(x).max()):
            return None, f"no map of the features: those of all {n} faces are equal"
        x = np.pad(x, ((0, 0), (0, max(0, 2 - x.shape[1]))))  # the start needs two directions
        state = randomness.key(seed, "t-SNE") % 2**32
        perplexity = min(PERPLEXITY, (n - 1) / 3)
        tsne = TSNE(init="pca", perplexity=perplexity, random_state=state, n_jobs=1)
        return np.asarray(tsne.fit_transform(x), dtype=np.float64), ""
