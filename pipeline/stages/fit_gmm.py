"""Fit the density of photographic features, and report how its mixtures carry over to photographs
that they have not seen.

These are the calibration photographs. Nothing is chosen by them, so that the threshold that
calibrate takes from them keeps its guarantee, as long as nobody tunes gmm.* by these figures."""

from typing import Any

import numpy as np

from pipeline.base import command_line, params, terminal
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.density.density import fit_density
from pipeline.density.fitting import Fit, generalisation
from pipeline.face_sets import feature_sets


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        fit="features of the photographs to fit, .npz",
        unseen="features of photographs to report on, .npz",
        gmm="density to write, .npz",
        metrics="figures of the fit to write, .json",
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "gmm", "calibration")

    seen = feature_sets.read(options.fit, "photographic_fit")
    unseen = feature_sets.read(options.unseen, "photographic_calibration")
    seed = key(p.seed, "fit_gmm")
    settings = {**p.gmm.model_dump(), "sides": p.calibration.sides}
    fitted = fit_density(seen.features, seen.heads, seen.persons, settings, seed)
    warnings = fitted.warnings
    mixtures = {}
    for name, fit in fitted.fits.items():
        mixtures[name], sentences = _figures(
            fit, getattr(seen, name), getattr(unseen, name), shrunk=p.gmm.shrinkage != "none"
        )
        warnings += [f"{name}: {one}" if len(fitted.fits) > 1 else one for one in sentences]
    artifacts.write_npz(options.gmm, **fitted.density.to_arrays())
    artifacts.write_json(options.metrics, {"mixtures": mixtures, "warnings": warnings})
    for name, figures in mixtures.items():
        numbers = {n: v for n, v in figures.items() if not isinstance(v, str | bool)}
        rows = [{"figure": figure, "value": value} for figure, value in numbers.items()]
        terminal.table(rows, f"Gaussian mixture of photographic faces, {name}")
    for warning in warnings:
        print(f"warning: {warning}")


def _figures(
    fit: Fit, fitted: np.ndarray, unseen: np.ndarray, *, shrunk: bool
) -> tuple[dict[str, Any], list[str]]:
    """What is written of a mixture, and warnings, from the table (n, D) that it was fitted on and
    one (m, D) of unseen photographs.
    """
    mixture = fit.mixture
    scores = mixture.anomaly_score(fitted), mixture.anomaly_score(unseen)
    figures, warnings = generalisation(*scores, shrunk=shrunk)
    return {
        "components": len(mixture.weights),
        "dimensions": mixture.dimensions,
        "residual": len(mixture.residual_variance) > 0,
        "faces": len(fitted),
        "n_over_k_d": len(fitted) / (len(mixture.weights) * mixture.dimensions),
        "iterations": fit.iterations,
        **figures,
        "covariance_type": mixture.covariance_type,
        "features": mixture.features,
        "unseen_faces": len(unseen),
        "converged": fit.converged,
    }, warnings


if __name__ == "__main__":
    terminal.run(main)
