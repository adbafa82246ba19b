"""Judge perturbed faces of both classes at the thresholds of clean ones, beside the very same faces
clean.

Label 1 = AI-generated, anomaly score higher = more anomalous.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audit import robustness
from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import parse
from pipeline.calibration import detector
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import Estimates, estimate
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet

TEST = PHOTOGRAPHIC[2]


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "bootstrap", "generators", "perturbations")

    mixture, thresholds, review = detector.read(options.gmm, options.threshold)
    sets = feature_sets.read_all(options.features, options.counts, [TEST, *p.generators])

    def judged(sets: Mapping[str, FeatureSet]) -> tuple[robustness.Scored, Estimates]:
        samples = {
            name: Sample(mixture.anomaly_score(faces.features), faces.persons)
            for name, faces in sets.items()
        }
        scored = samples.pop(TEST), samples
        return scored, estimate(*scored, thresholds, resamples=p.bootstrap.resamples, seed=p.seed)

    found = {}
    clean: dict[
        bytes, Estimates
    ] = {}  # by the names of the faces, which are the same for all perturbations of one run
    for name in terminal.progress(p.perturbations, what="robustness", unit="perturbation"):
        arrays = _extracted(options, name, [*sets])
        scored, perturbed = judged(feature_sets.changed(arrays, sets))
        faces = arrays["names"].tobytes()
        if faces not in clean:
            clean[faces] = judged(feature_sets.unchanged(arrays, sets))[1]
        kind, strength = parse(name)
        compared = robustness.compare(clean[faces], perturbed, scored, thresholds)
        found[name] = {"kind": kind, "strength": strength, **compared}
    artifacts.write_json(options.metrics, found)
    _show(found, review)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument(
        "--counts",
        type=Path,
        required=True,
        help="folder of their counts, which tell the features' SHA-256",
    )
    parser.add_argument(
        "--perturbed", type=Path, required=True, help="folder of the perturbed faces' features"
    )
    parser.add_argument(
        "--perturbed-counts",
        type=Path,
        required=True,
        help="folder of their counts, with the SHA-256",
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


def _extracted(options: argparse.Namespace, name: str, sets: list[str]) -> dict[str, np.ndarray]:
    """What extract_perturbed wrote, of the very features and sets that there are now."""
    source = options.perturbed_counts / f"{name}.json"
    recorded = artifacts.read_json(source)
    path = feature_sets.check(options.perturbed / f"{name}.npz", recorded, source)
    if recorded.get("features_sha256") != feature_sets.sums(options.counts, sets):
        raise PipelineError(
            f"{source}: made from other features or generators than those of {options.counts}: run "
            "`dvc repro`"
        )
    return artifacts.read_npz(path)


def _show(found: dict[str, Any], review: str) -> None:
    rate = review.removeprefix("at_").removesuffix("_percent").replace("_", ".")
    rows = [_row("(clean faces)", one, review, "clean") for one in list(found.values())[:1]]
    rows += [_row(name, one, review, "perturbed") for name, one in found.items()]
    terminal.table(
        rows, f"Mean of the generators, and false alarms, at the clean threshold for {rate} %"
    )
    for what, reason in {
        what: why for one in found.values() for what, why in one["not_computed"].items()
    }.items():
        print(f"{what}: {reason}")


def _row(name: str, one: dict[str, Any], review: str, state: str) -> dict[str, Any]:
    return {
        "perturbation": name,
        "AUC": one["mean"]["auc"][state],
        "detected": one["mean"][review][state],
        "false alarms": one["photographs"][review][state]["false_alarm_rate"],
    }


if __name__ == "__main__":
    terminal.run(main)
