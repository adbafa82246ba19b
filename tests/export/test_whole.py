"""The detector as one module, against the detector itself and against scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pipeline.density.density import Density
from pipeline.density.mixture import Mixture
from pipeline.detect.detector import Detector
from pipeline.export.whole import LABELS, DensityModule, LogTail, WholeDetector
from tests.detector_world import SIDES
from tests.picture_world import picture

SHAPES = {"full": (3, 4, 4), "tied": (4, 4), "diag": (3, 4), "spherical": (3,)}


def mixture(kind, width, *, pca=0, residual=False, seed=0):
    """Three components, one of weight 0, in 4 or `width` dimensions."""
    rng, d = np.random.default_rng(seed), pca or width
    shape = tuple(d if side == 4 else side for side in SHAPES[kind])
    cholesky = rng.uniform(0.5, 2, shape)
    if kind in ("full", "tied"):
        cholesky = np.triu(cholesky)
    return Mixture(
        covariance_type=kind,
        shift=rng.normal(size=width),
        scale=rng.uniform(0.5, 2, width),
        projection=np.linalg.qr(rng.normal(size=(width, width)))[0][:pca],
        weights=np.array([0.3, 0, 0.7]),
        means=rng.normal(size=(3, d)),
        precisions_cholesky=cholesky,
        residual_variance=np.array([0.7] if residual else []),
    )


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("how", [{}, {"pca": 4}, {"pca": 4, "residual": True}])
@pytest.mark.parametrize("sides", ["alone", "upper", "both"])
def test_scores_are_those_of_the_density(kind, how, sides):
    mixtures = {"features": mixture(kind, 7, **how), "heads": mixture(kind, 5, seed=1)}
    laws = {"features": np.array([2.1, 0.4]), "heads": np.array([1.2, 0.7])}
    density = Density(mixtures, laws, sides)
    if sides == "alone":
        density = Density({"features": mixtures["features"]})
    rng = np.random.default_rng(2)
    spread = np.geomspace(0.01, 100, 50)[:, None]  # from the middle to far out
    features, heads = rng.normal(size=(50, 7)) * spread, rng.normal(size=(50, 5)) * spread
    wanted = density.anomaly_score(features, heads)
    found = DensityModule(density)(torch.from_numpy(features), torch.from_numpy(heads))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-11, atol=1e-11)


def test_the_tail_is_scipys_however_far_out():
    z = np.concatenate([np.linspace(0, 40, 2001), np.geomspace(40, 1e6, 200)])
    found = LogTail()(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(found, norm.logsf(z), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [SIDES, (32, 32), (29, 40), (40, 41)])
@torch.inference_mode()
def test_pictures_are_judged_as_by_the_detector(world, size):
    detector = Detector.load(world / "models", device="cpu")
    pictures = np.stack([picture(seed, *size) for seed in range(12)])
    judged = detector.judge(pictures)
    scores, p, verdicts = WholeDetector(detector.model)(torch.from_numpy(pictures))
    wanted = [one.anomaly_score for one in judged]
    np.testing.assert_allclose(scores.numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert [LABELS[verdict] for verdict in verdicts] == [one.verdict for one in judged]
    assert [None if np.isnan(one) else one for one in p.tolist()] == [one.p_value for one in judged]
