"""The whole detector as one PyTorch module: from stored pixels to score, p-value and verdict.

It computes what `pipeline.detect.detector.Detector` computes, in operations that ONNX has; features
in float32, all that follows in float64."""

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.calibration.thresholds import VERDICTS
from pipeline.density.density import Density
from pipeline.density.mixture import Mixture
from pipeline.detect.detector import UNJUDGED
from pipeline.detect.model import Model
from pipeline.encoder.inference import fused

OUTPUTS = ("anomaly_score", "p_value", "verdict")
LABELS = (*VERDICTS, UNJUDGED)  # by the number that stands for each
DEGREE = 30  # of the polynomial in LogTail: off by less than 1e-13


class WholeDetector(nn.Module):
    """A trained model of float32 features, computed on the CPU."""

    calibration: Tensor
    thresholds: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        decisions = model.decisions
        self.encoder = fused(model.encoder)
        self.density = DensityModule(model.density)
        self.preprocessing, self.sizes = model.preprocessing, model.sizes
        thresholds = [decisions.thresholds[key] for key in (decisions.review, decisions.flag)]
        self.register_buffer("calibration", torch.from_numpy(decisions.scores))  # (histories, n)
        self.register_buffer("thresholds", torch.tensor(thresholds, dtype=torch.float64))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures uint8 (n, H, W, 3) -> anomaly scores float64 (n,), p-values float64 (n,), and
        verdicts int64 (n,) as numbers of LABELS. A face that cannot be judged has NaN for p.
        """
        size, antialias = self.preprocessing.input_size, self.preprocessing.antialias
        pixels = interpolate(  # as inference.resize, which asks for the size and so fixes it
            pictures.permute(0, 3, 1, 2).float(),
            (size, size),
            mode="bilinear",
            antialias=antialias,
            align_corners=False,
        )
        features, heads = self.encoder(pixels)
        score = self.density(features.double(), heads.double())  # (n,)
        at_least = (self.calibration >= score[:, None, None]).sum(dim=2)  # (n, histories)
        p = ((1 + at_least).double() / (self.calibration.shape[1] + 1)).amax(dim=1)
        verdict = (score[:, None] > self.thresholds).sum(dim=1)
        if self.sizes:
            unknown = self._of_unknown_size(pictures)
            p = torch.where(unknown, torch.nan, p)
            verdict = torch.where(unknown, LABELS.index(UNJUDGED), verdict)
        return score, p, verdict

    def _of_unknown_size(self, pictures: Tensor) -> Tensor:
        """Whether the pictures are of a size that no calibration photograph had: a bool scalar."""
        assert self.sizes
        _, height, width, _ = pictures.shape  # as tensors, so that the export leaves them free:
        sides = torch.stack([torch.ones(n, dtype=torch.int64).sum() for n in (height, width)])
        return ((sides < self.sizes.shortest) | (sides > self.sizes.longest)).any()


class DensityModule(nn.Module):
    """`Density`: features (n, D) and head scores (n, 5), float64 -> anomaly scores (n,)."""

    def __init__(self, density: Density) -> None:
        super().__init__()
        mixtures = {name: MixtureModule(one) for name, one in density.mixtures.items()}
        self.mixtures, self.tail = nn.ModuleDict(mixtures), LogTail()
        self.laws = {name: tuple(map(float, law)) for name, law in density.laws.items()}
        self.bounds = {name: one.bound for name, one in density.mixtures.items()}
        self.space, self.sides = density.space, density.sides

    def forward(self, features: Tensor, heads: Tensor) -> Tensor:
        """Anomaly scores (n,)."""
        tables = {"features": features, "heads": heads}
        if not self.laws:
            return -self.mixtures[self.space](tables[self.space])
        score = torch.zeros_like(features[:, 0])
        for name, (mean, deviation) in self.laws.items():
            squared = 2 * (self.bounds[name] - self.mixtures[name](tables[name]))
            z = (squared.clamp_min(np.finfo(np.float64).tiny).log() - mean) / deviation
            upper = self.tail(z.abs())
            if self.sides == "both":
                score = score - np.log(2) - upper
            else:
                score = score - torch.where(z < 0, torch.log1p(-upper.exp()), upper)
        return score


class MixtureModule(nn.Module):
    """`Mixture`: a table (n, D), float64 -> log-likelihoods (n,)."""

    shift: Tensor
    scale: Tensor
    projection: Tensor
    means: Tensor
    cholesky: Tensor
    peaks: Tensor
    residual_variance: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        present = mixture.weights > 0
        kind, cholesky, d = mixture.covariance_type, mixture.precisions_cholesky, mixture.dimensions
        self.is_matrix = kind in ("full", "tied")
        if kind == "tied":
            cholesky = np.repeat(cholesky[None], len(present), axis=0)
        if kind == "spherical":
            cholesky = np.repeat(cholesky[:, None], d, axis=1)
        diagonals = np.einsum("kii->ki", cholesky) if self.is_matrix else cholesky  # (k, d)
        peaks = np.log(diagonals).sum(axis=1) - d / 2 * np.log(2 * np.pi)
        outside = np.log(2 * np.pi * mixture.residual_variance).sum() * (mixture.features - d)
        arrays = {
            "shift": mixture.shift,
            "scale": mixture.scale,
            "projection": mixture.projection,
            "means": mixture.means[present, None],  # (k, 1, d)
            "cholesky": (cholesky if self.is_matrix else cholesky[:, None])[present],
            "peaks": (peaks[present] + np.log(mixture.weights[present]) - outside / 2)[:, None],
            "residual_variance": mixture.residual_variance,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.float64)))

    def forward(self, table: Tensor) -> Tensor:
        """Log-likelihoods (n,)."""
        standard = (table - self.shift) / self.scale
        x = standard @ self.projection.T if len(self.projection) else standard  # (n, d)
        centred = x - self.means  # (k, n, d)
        white = centred @ self.cholesky if self.is_matrix else centred * self.cholesky
        found = torch.logsumexp(self.peaks - white.square().sum(dim=2) / 2, dim=0)
        if len(self.residual_variance):
            left = standard - x @ self.projection
            found = found - left.square().sum(dim=1) / self.residual_variance[0] / 2
        return found


class LogTail(nn.Module):
    """Log of the chance that a standard normal variable exceeds z >= 0, as scipy's `norm.logsf`.

    ONNX has no erfc. With x = z / sqrt(2) and t = 2 / (2 + x) the logarithm of erfc(x) exp(x^2) / t
    is smooth on all of 0 < t <= 1 (Press et al., "Numerical Recipes", section 6.2), and is taken as
    its Chebyshev interpolation there."""

    def __init__(self) -> None:
        super().__init__()
        from scipy.special import erfcx

        u = chebyshev.chebpts1(DEGREE + 1)
        t = (u + 1) / 2
        smooth = np.log(erfcx(2 / t - 2) / t)
        self.coefficients = chebyshev.chebfit(u, smooth, DEGREE).tolist()

    def forward(self, z: Tensor) -> Tensor:
        """z >= 0, float64 (n,), to (n,)."""
        x = z / 2**0.5
        t = 2 / (2 + x)
        u = 2 * t - 1
        above, last = torch.zeros_like(u), torch.zeros_like(u)
        for coefficient in reversed(self.coefficients[1:]):  # Clenshaw's recurrence
            above, last = 2 * u * above - last + coefficient, above
        return (t / 2).log() - x.square() + u * above - last + self.coefficients[0]
