"""EM by scikit-learn's GaussianMixture in float64: with NumPy, or from the same start on a GPU,
through scikit-learn's array API dispatch on PyTorch's tensors. PyTorch is imported only there."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from pipeline.base.errors import PipelineError

# Operations of one EM iteration (0.1 s on two cores) from which on a GPU saves more time than
# starting CUDA costs, which is some seconds.
_WORTH_A_GPU = 1e10


class Result(NamedTuple):
    """Weights (k,), means (k, d) and Cholesky factors of precisions, as in `Mixture`."""

    arrays: list[np.ndarray]
    converged: bool
    iterations: int


def maximise(x: np.ndarray, device: Any, *, seed: int, **settings: Any) -> Result:
    """Fit GaussianMixture(**settings) to x (n, d) from a k-means++ start.

    `device` is a torch.device, or None for NumPy. Raises PipelineError where a covariance is
    ill-conditioned or the device has too little memory."""
    ill_conditioned = PipelineError(
        f"a {settings['covariance_type']} covariance is ill-conditioned at gmm.regularisation "
        f"{settings['reg_covar']:g}: raise it (1e-6, then tenfold steps; the k-means++ start needs "
        "more than 0), or lower gmm.pca_components or gmm.components"
    )
    try:
        with (
            nullcontext(x) if device is None else _on(device, x) as data,
            warnings.catch_warnings(),
        ):
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.mixture import GaussianMixture

            warnings.simplefilter("ignore", ConvergenceWarning)  # the result says so
            model = GaussianMixture(
                **settings, init_params="random_from_data", random_state=_KMeansStart(x, seed)
            ).fit(data)
    except (ValueError, RuntimeError) as error:
        kind = type(error).__name__
        if kind == "OutOfMemoryError":
            raise PipelineError(
                f"gmm.device: no memory for {len(x)} faces on {device}; set it to cpu"
            ) from error
        # PyTorch's error and scikit-learn's words where there is no Cholesky factor.
        if kind == "_LinAlgError" or "ill-defined" in str(error):
            raise ill_conditioned from error
        raise
    fitted = (model.weights_, model.means_, model.precisions_cholesky_)
    arrays = [np.asarray(array if device is None else array.cpu()) for array in fitted]
    if not np.isfinite(arrays[-1]).all():
        raise ill_conditioned
    return Result(arrays, bool(model.converged_), int(model.n_iter_))


def chosen_device(name: str, n: int, d: int, *, components: int, covariance_type: str) -> Any:
    """The CUDA device for n faces in d dimensions, or None for NumPy. `name` is gmm.device: auto
    takes a GPU, and imports torch, only for large problems.
    """
    products = d if covariance_type in ("full", "tied") else 1
    if name == "cpu" or (name == "auto" and 4.0 * n * d * products * components < _WORTH_A_GPU):
        return None
    from pipeline.common.devices import select_device

    device = select_device(name, key="gmm.device")
    return device if device.type == "cuda" else None


class _KMeansStart(np.random.RandomState):
    """Draws k-means++'s rows where scikit-learn asks for random ones ("random_from_data"), the only
    start that it has for tensors.
    """

    def __init__(self, x: np.ndarray, seed: int):
        super().__init__(seed)
        self.x, self.draw = x, np.random.RandomState(seed)

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Any:
        """Row numbers (size,) of x."""
        from sklearn.cluster import kmeans_plusplus

        return kmeans_plusplus(self.x, size, random_state=self.draw)[1]


@contextmanager
def _on(device: Any, x: np.ndarray) -> Iterator[Any]:
    """x as a tensor on the device, with which scikit-learn can compute inside."""
    os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it
    import sklearn
    import torch

    from pipeline.common.devices import arithmetic

    with sklearn.config_context(array_api_dispatch=True), arithmetic():
        yield torch.from_numpy(x).to(device)
