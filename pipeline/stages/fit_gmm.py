"""Fit the Gaussian mixture of photographic features, and report how it carries over to photographs
that it has not seen.

These are the calibration photographs. Nothing is chosen by them, so that the threshold that
calibrate takes from them keeps its guarantee, as long as nobody tunes gmm.* by these figures."""

import argparse
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.density.fitting import fit, generalisation
from pipeline.face_sets import feature_sets


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--fit", type=Path, required=True, help="features of the photographs to fit, .npz")
    add("--unseen", type=Path, required=True, help="features of photographs to report on, .npz")
    add("--gmm", type=Path, required=True, help="mixture to write, .npz")
    add("--metrics", type=Path, required=True, help="figures of the fit to write, .json")
    options = parser.parse_args(argv)
    p = params.load("seed", "gmm")

    fitted = feature_sets.read(options.fit, "photographic_fit").features
    unseen = feature_sets.read(options.unseen, "photographic_calibration").features
    result = fit(fitted, **p.gmm.model_dump(), seed=key(p.seed, "fit_gmm"))
    mixture = result.mixture
    figures, warnings = generalisation(mixture.anomaly_score(fitted), mixture.anomaly_score(unseen))
    warnings = [*result.warnings, *warnings]
    sizes = {
        "components": len(mixture.weights),
        "dimensions": mixture.dimensions,
        "faces": len(fitted),
        "n_over_k_d": len(fitted) / (len(mixture.weights) * mixture.dimensions),
        "iterations": result.iterations,
    }
    content = {
        **sizes,
        **figures,
        "covariance_type": mixture.covariance_type,
        "features": mixture.features,
        "unseen_faces": len(unseen),
        "converged": result.converged,
        "warnings": warnings,
    }
    artifacts.write_npz(options.gmm, **mixture.to_arrays())
    artifacts.write_json(options.metrics, content)
    rows = [{"figure": name, "value": value} for name, value in {**sizes, **figures}.items()]
    terminal.table(rows, "Gaussian mixture of photographic faces")
    for warning in warnings:
        print(f"warning: {warning}")


if __name__ == "__main__":
    terminal.run(main)
