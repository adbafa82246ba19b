"""Fit the Gaussian mixture of photographic features, and report how it carries over to photographs
it has not seen.

The held-out photographs are the calibration set. They are only reported on: nothing is chosen by
them, so that the threshold that calibrate takes from them keeps its guarantee (as long as nobody
tunes gmm.* by these figures)."""

import argparse
from pathlib import Path
from typing import Any

from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.density import fitting as density
from pipeline.density.mixture import feature_set


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fit", type=Path, required=True, help="features of the photographs to fit, .npz"
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        required=True,
        help="features of photographs to report on only, .npz",
    )
    parser.add_argument("--gmm", type=Path, required=True, help="mixture to write, .npz")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    options = parser.parse_args(argv)
    p = params.load("seed", "gmm")

    _, fit_features = feature_set(artifacts.read_npz(options.fit), str(options.fit))
    _, held_out_features = feature_set(artifacts.read_npz(options.held_out), str(options.held_out))
    result = density.fit(fit_features, **p.gmm.model_dump(), seed=key(p.seed, "fit_gmm"))
    mixture = result.mixture
    figures, warnings = density.generalisation(
        mixture.anomaly_score(fit_features), mixture.anomaly_score(held_out_features)
    )
    metrics: dict[str, Any] = {
        "components": len(mixture.weights),
        "covariance_type": mixture.covariance_type,
        "features": mixture.features,
        "dimensions": mixture.dimensions,
        "faces": result.faces,
        "held_out_faces": len(held_out_features),
        "n_over_k_d": result.faces / (len(mixture.weights) * mixture.dimensions),
        "converged": result.converged,
        "iterations": result.iterations,
        **figures,
        "warnings": [*result.warnings, *warnings],
    }
    artifacts.write_npz(options.gmm, **mixture.to_arrays())
    artifacts.write_json(options.metrics, metrics)
    shown = (
        "components",
        "dimensions",
        "faces",
        "n_over_k_d",
        "iterations",
        "log_likelihood_fit",
        "log_likelihood_held_out",
    )
    terminal.table(
        [{"figure": name, "value": metrics[name]} for name in shown],
        "Gaussian mixture of photographic faces",
    )
    for warning in metrics["warnings"]:
        print(f"warning: {warning}")


if __name__ == "__main__":
    terminal.run(main)
