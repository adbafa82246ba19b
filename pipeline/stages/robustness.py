"""Judge perturbed faces of both classes at the thresholds of clean ones, beside the very same faces clean.

Label 1 = AI-generated, anomaly score higher = more anomalous.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import detector, feature_sets, robustness
from pipeline.base import artifacts, console, params
from pipeline.base.perturbation_names import parse
from pipeline.bootstrap import Sample
from pipeline.feature_sets import FeatureSet
from pipeline.mixture import Mixture

PHOTOGRAPHS = "photographic_test"


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "bootstrap", "generators", "perturbations")

    mixture, thresholds, review = detector.read(options.gmm, options.threshold)
    sets = feature_sets.read_all(options.features, options.counts, [PHOTOGRAPHS, *p.generators])
    found = {}
    for name in console.progress(p.perturbations, what="robustness", unit="perturbation"):
        recorded = options.perturbed_counts / f"{name}.json"
        path = feature_sets.check(options.perturbed / f"{name}.npz", artifacts.read_json(recorded), recorded)
        pair = feature_sets.changed(artifacts.read_npz(path), sets, str(path))
        before, after = (_scored(mixture, faces, p.data.person_pattern) for faces in pair)
        kind, strength = parse(name)
        compared = robustness.compare(before, after, thresholds, resamples=p.bootstrap.resamples, seed=p.seed)
        found[name] = {"kind": kind, "strength": strength, **compared}
    artifacts.write_json(options.metrics, found)
    _show(found, review)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument("--counts", type=Path, required=True, help="folder of their counts, which tell the features' SHA-256")
    parser.add_argument("--perturbed", type=Path, required=True, help="folder of the perturbed faces' features")
    parser.add_argument("--perturbed-counts", type=Path, required=True, help="folder of their counts, with the SHA-256")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


def _scored(mixture: Mixture, sets: Mapping[str, FeatureSet], pattern: str) -> robustness.Pair:
    """The photographs' sample, and the generators'."""
    samples = {name: Sample(mixture.anomaly_score(faces.features), faces.people(pattern)) for name, faces in sets.items()}
    return samples.pop(PHOTOGRAPHS), samples


def _show(found: dict[str, Any], review: str) -> None:
    rate = review.removeprefix("at_").removesuffix("_percent").replace("_", ".")
    rows = [_row("(clean faces)", one, review, "clean") for one in list(found.values())[:1]]
    rows += [_row(name, one, review, "perturbed") for name, one in found.items()]
    console.table(rows, f"Mean of the generators, and false alarms, at the clean threshold for {rate} %")
    for what, reason in {what: why for one in found.values() for what, why in one["not_computed"].items()}.items():
        print(f"{what}: {reason}")


def _row(name: str, one: dict[str, Any], review: str, state: str) -> dict[str, Any]:
    return {
        "perturbation": name,
        "AUC": one["mean"]["auc"][state],
        "detected": one["mean"][review][state],
        "false alarms": one["photographs"][review][state]["false_alarm_rate"],
    }


if __name__ == "__main__":
    console.run(main)
