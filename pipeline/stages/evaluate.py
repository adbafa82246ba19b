"""Evaluate one generator: its faces against the same test photographs as every other generator's.

Nothing is chosen here: the thresholds come from calibrate. Label 1 = AI-generated, anomaly score higher = more anomalous.
"""

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifacts, console, evaluation, params
from pipeline.errors import PipelineError
from pipeline.layout import read_picture
from pipeline.mixture import Mixture, feature_set
from pipeline.plots import contact_sheet


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("evaluation")
    params.check_generator(options.generator)

    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    threshold, paper_threshold = _thresholds(options.threshold)
    sets = []
    for path in (options.photographs, options.features):
        names, features = feature_set(artifacts.read_npz(path), str(path))
        sets.append((names, mixture.anomaly_score(features)))
    (photographs, photographic), (faces, generated) = sets

    ap_generated, ap_photographic = evaluation.average_precisions(photographic, generated)
    metrics = {
        "generator": options.generator,
        "photographic_faces": len(photographic),
        "generated_faces": len(generated),
        "photographic_list_sha256": sha256("".join(f"{name}\n" for name in sorted(photographs)).encode()).hexdigest(),
        "auc": evaluation.roc_auc(photographic, generated),
        "ap_generated": ap_generated,
        "ap_photographic": ap_photographic,
        **evaluation.at_threshold(photographic, generated, threshold),
        "paper_protocol": evaluation.at_threshold(photographic, generated, paper_threshold),
    }
    artifacts.write_json(options.metrics, metrics)
    false_alarms, detections = evaluation.roc_curve(photographic, generated)
    artifacts.write_csv(options.roc, {"fpr": false_alarms.tolist(), "tpr": detections.tolist()})
    histogram = evaluation.histogram(photographic, generated, p.evaluation.histogram_bins)
    artifacts.write_csv(options.histogram, {name: column.tolist() for name, column in histogram.items()})
    _write_scores(options.scores, sets, threshold)
    _write_pictures(options.pictures, options.root, faces, generated, p.evaluation.faces_shown)
    shown = ("generator", "generated_faces", "auc", "ap_generated", "accuracy", "false_alarm_rate", "detection_rate")
    console.table([{name: metrics[name] for name in shown}], f"Against {len(photographic):,} test photographs")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True, help="its name")
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument("--photographs", type=Path, required=True, help="features of the test photographs, .npz")
    parser.add_argument("--features", type=Path, required=True, help="features of the generator's faces, .npz")
    parser.add_argument("--root", type=Path, required=True, help="data root, which names in the feature files are relative to")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    parser.add_argument("--roc", type=Path, required=True, help="ROC curve to write, .csv")
    parser.add_argument("--histogram", type=Path, required=True, help="score histogram to write, .csv")
    parser.add_argument("--pictures", type=Path, required=True, help="most and least anomalous faces to write, .png")
    parser.add_argument("--scores", type=Path, required=True, help="score of every face to write, .parquet")
    return parser.parse_args(argv)


def _thresholds(path: Path) -> tuple[float, float]:
    """The calibrated threshold and the authors'."""
    content = artifacts.read_json(path)
    try:
        return float(content["threshold"]), float(content["paper_protocol"]["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{path}: no number at 'threshold' or 'paper_protocol.threshold' ({error}): run calibrate again"
        ) from None


def _write_scores(path: Path, sets: list[tuple[np.ndarray, np.ndarray]], threshold: float) -> None:
    """Table of name, label (1 = AI-generated), anomaly_score, flagged, from names and scores of both classes."""
    import pandas as pd

    names = np.concatenate([names for names, _ in sets])
    scores = np.concatenate([scores for _, scores in sets])
    labels = np.repeat([0, 1], [len(names) for names, _ in sets])
    frame = pd.DataFrame({"name": names, "label": labels, "anomaly_score": scores, "flagged": scores > threshold})
    artifacts.write_table(path, frame)


def _write_pictures(path: Path, root: Path, names: np.ndarray, scores: np.ndarray, count: int) -> None:
    """Contact sheet of the `count` most and least anomalous faces, most extreme first; equal scores by name."""
    order = np.argsort(-scores, kind="stable")
    rows: list[list[Any]] = [
        [read_picture(root / name) for name in names[picked]] for picked in (order[:count], order[::-1][:count])
    ]
    contact_sheet(rows, None, path, row_titles=["most anomalous", "least anomalous"])


if __name__ == "__main__":
    console.run(main)
