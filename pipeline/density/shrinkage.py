"""One Gaussian with a covariance shrunk towards a multiple of the identity: where faces are few or
fewer than dimensions, a sample covariance is mostly noise in its smallest eigenvalues."""

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.density.expectation_maximisation import Result


def shrunk(x: np.ndarray, kind: str) -> Result:
    """The Gaussian of x (n, d), by the closed form of `kind`: "ledoit_wolf" (Ledoit, Wolf 2004) or
    "oas" (Chen, Wiesel, Eldar, Hero 2010), both scikit-learn's. Raises PipelineError where the
    faces vary in no direction.
    """
    from scipy.linalg import LinAlgError, cholesky, solve_triangular
    from sklearn.covariance import OAS, LedoitWolf

    found = {"ledoit_wolf": LedoitWolf, "oas": OAS}[kind](store_precision=False).fit(x)
    try:
        lower = cholesky(found.covariance_, lower=True)
    except LinAlgError as error:
        raise PipelineError(
            f"gmm.shrinkage: {kind} finds no positive covariance of {len(x)} faces in "
            f"{x.shape[1]} dimensions, which vary too little: lower gmm.pca_components"
        ) from error
    precision = solve_triangular(lower, np.eye(len(lower)), lower=True).T
    return Result([np.ones(1), found.location_[None], precision[None]], True, 1)
