"""Score perturbed faces of both classes at the thresholds of clean ones: one perturbation, the same faces for each.

The clean scores beside them are those of the very same faces. Label 1 = AI-generated, anomaly score higher = more anomalous.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import changed_faces, checkpoints, detector, feature_sets, robustness
from pipeline.base import artifacts, console, params
from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import parse
from pipeline.bootstrap import Sample
from pipeline.feature_sets import FeatureSet
from pipeline.mixture import Mixture
from pipeline.perturbations import perturb

PHOTOGRAPHS = "photographic_test"


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "features", "bootstrap", "robustness", "generators")
    try:
        kind, strength = parse(options.perturbation)
    except ValueError as error:
        raise PipelineError(f"perturbations: {options.perturbation!r}: {error}") from None

    mixture, thresholds, review = detector.read(options.gmm, options.threshold)
    found = feature_sets.read_all(options.features, options.counts, [PHOTOGRAPHS, *p.generators])
    clean = {name: faces.at_most(p.robustness.faces, seed=p.seed, purpose="robustness") for name, faces in found.items()}
    change = perturb(options.perturbation, p.seed)
    encoder, meta = checkpoints.load_encoder(options.encoder)
    perturbed = changed_faces.extract(encoder, meta["input_size"], options.root, clean, p.features, change=change)
    before, after = (_scored(mixture, faces, p.data.person_pattern) for faces in (clean, perturbed))
    compared = robustness.compare(before, after, thresholds, resamples=p.bootstrap.resamples, seed=p.seed)
    named = {"perturbation": options.perturbation, "kind": kind, "strength": strength}
    artifacts.write_json(options.metrics, {**named, **compared})
    _show(options.perturbation, compared, review)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perturbation", required=True, help="its name, as in params.yaml's perturbations")
    parser.add_argument("--root", type=Path, required=True, help="data root, which names in the feature files are relative to")
    parser.add_argument("--encoder", type=Path, required=True, help="encoder that the features come from")
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument(
        "--counts", type=Path, required=True, help="folder of the sets' counts, which tell the features' SHA-256"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


def _scored(mixture: Mixture, sets: Mapping[str, FeatureSet], pattern: str) -> robustness.Pair:
    """The photographs' sample, and the generators'."""
    samples = {name: Sample(mixture.anomaly_score(faces.features), faces.people(pattern)) for name, faces in sets.items()}
    return samples.pop(PHOTOGRAPHS), samples


def _show(perturbation: str, compared: dict[str, Any], review: str) -> None:
    alarms, rate = compared["photographs"], review.removeprefix("at_").removesuffix("_percent").replace("_", ".")
    rows = [_row("photographs", alarms["faces"], None, alarms[review], "false_alarm_rate")]
    for name, one in compared["generators"].items():
        rows.append(_row(name, one["faces"], one["auc"], one[review], "detection_rate"))
    console.table(rows, f"{perturbation}: AUC, and share above the clean threshold for {rate} % false alarms")
    for what, reason in compared["not_computed"].items():
        print(f"{what}: {reason}")


def _row(name: str, faces: int, auc: dict[str, Any] | None, rate: dict[str, Any], measure: str) -> dict[str, Any]:
    aucs = {state: auc[state]["value"] if auc else None for state in ("clean", "perturbed")}
    return {
        "faces of": name,
        "faces": faces,
        "AUC clean": aucs["clean"],
        "perturbed": aucs["perturbed"],
        "above, clean": rate["clean"][measure],
        "above, perturbed": rate["perturbed"][measure],
    }


if __name__ == "__main__":
    console.run(main)
