"""Evaluate one generator: its faces against the same test photographs as every other generator's.

Nothing is chosen here: the thresholds come from calibrate. Label 1 = AI-generated, anomaly score
higher = more anomalous."""

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.calibration.decisions import Decisions
from pipeline.calibration.thresholds import VERDICTS
from pipeline.common import artifacts, names
from pipeline.common.contact_sheet import contact_sheet
from pipeline.common.names import HEADS
from pipeline.common.pictures import read_picture
from pipeline.density.mixture import Mixture
from pipeline.evaluation import aggregation, bootstrap
from pipeline.evaluation import measures as evaluation
from pipeline.evaluation.aggregation import Counts
from pipeline.evaluation.bootstrap import Sample
from pipeline.face_sets import feature_sets

Columns = dict[str, np.ndarray]  # of one class, each (n,)


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "data", "evaluation", "bootstrap")
    params.check_generator(options.generator)

    mixture = Mixture.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    files = options.threshold, options.calibration
    decisions = Decisions.from_contents(
        artifacts.read_json(files[0]), artifacts.read_npz(files[1]), files
    )
    sets = {"photographic_test": options.photographs, options.generator: options.features}
    photographs, faces = (
        judged(feature_sets.read(path, name), mixture, decisions, p.data.person_pattern)
        for name, path in sets.items()
    )
    found, replicates = measured(
        photographs, faces, decisions, resamples=p.bootstrap.resamples, seed=p.seed
    )

    _write_scores(options.scores, photographs, faces)
    artifacts.write_npz(options.bootstrap, **replicates)
    written = {
        "scores_sha256": artifacts.sha256(options.scores),
        "bootstrap_sha256": artifacts.sha256(options.bootstrap),
    }
    artifacts.write_json(options.metrics, {"generator": options.generator, **found, **written})
    scores = photographs["anomaly_score"], faces["anomaly_score"]
    false_alarms, detections = evaluation.roc_curve(*scores)
    artifacts.write_csv(options.roc, {"fpr": false_alarms.tolist(), "tpr": detections.tolist()})
    histogram = evaluation.histogram(*scores, p.evaluation.histogram_bins)
    artifacts.write_csv(
        options.histogram, {name: column.tolist() for name, column in histogram.items()}
    )
    _write_pictures(
        options.pictures, options.root, faces["name"], scores[1], p.evaluation.faces_shown
    )
    _show(options.generator, found, decisions.review)


def judged(
    faces: feature_sets.FeatureSet, mixture: Mixture, decisions: Decisions, person_pattern: str
) -> Columns:
    """All that is said about each face of a set, by name."""
    faces = faces[np.argsort(faces.names)]
    return {
        "set": np.full(len(faces), faces.name),
        "name": faces.names,
        "group": faces.people(person_pattern),
        "label": np.full(len(faces), int(faces.name not in names.PHOTOGRAPHIC)),
        "source_sha256": faces.digests,
        **decisions.columns(mixture.anomaly_score(faces.features), faces.heads),
    }


def measured(
    photographs: Columns, faces: Columns, decisions: Decisions, *, resamples: int, seed: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The generator's metrics with intervals, and the replicates (resamples,) of each measure that
    has an interval.
    """
    photographic, generated = (
        Sample(one["anomaly_score"], one["group"]) for one in (photographs, faces)
    )
    thresholds = {**decisions.thresholds, aggregation.PAPER: decisions.paper_threshold}
    values = evaluation.measures(photographic.scores, generated.scores, thresholds)
    replicates, reasons = bootstrap.computable(
        photographic, generated, thresholds, resamples=resamples, seed=seed
    )
    if np.ptp(np.concatenate([photographic.scores, generated.scores])) == 0:
        reasons["ranking"] = (
            "all faces of both classes have the same anomaly score: no measure can tell the "
            "classes apart"
        )
    reasons |= {
        f"head_z.{head}": "all calibration photographs have the same score"
        for head in decisions.constant_heads
    }
    faces_of = Counts(len(photographic.scores), len(generated.scores))
    groups = Counts(*(len(np.unique(sample.groups)) for sample in (photographic, generated)))
    ends, without = aggregation.intervals(values, replicates, faces_of, groups)
    z = {head: float(faces[f"z_{head}"].mean()) for head in HEADS}
    metrics = {
        **{f"{label}_faces": count for label, count in faces_of._asdict().items()},
        **{f"{label}_groups": count for label, count in groups._asdict().items()},
        "photographic_list_sha256": sha256(
            "".join(f"{name}\n" for name in photographs["name"]).encode()
        ).hexdigest(),
        "values": aggregation.nested(values),
        **{end: aggregation.nested(found) for end, found in ends.items()},
        "verdicts": {verdict: int((faces["verdict"] == verdict).sum()) for verdict in VERDICTS},
        "head_z": {
            head: None if head in decisions.constant_heads else mean for head, mean in z.items()
        },
        "not_computed": reasons | without,
        "cautions": bootstrap.cautions(photographic, generated),
    }
    return metrics, replicates


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True, help="its name")
    parser.add_argument("--gmm", type=Path, required=True, help="mixture, .npz")
    parser.add_argument("--threshold", type=Path, required=True, help="thresholds, .json")
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        help="scores of the calibration photographs, .npz",
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="features of the test photographs, .npz"
    )
    parser.add_argument(
        "--features", type=Path, required=True, help="features of the generator's faces, .npz"
    )
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root, which names in the feature files are relative to",
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    parser.add_argument("--roc", type=Path, required=True, help="ROC curve to write, .csv")
    parser.add_argument(
        "--histogram", type=Path, required=True, help="score histogram to write, .csv"
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, help="most and least anomalous faces to write, .png"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        required=True,
        help="what is said about every face, to write, .parquet",
    )
    parser.add_argument(
        "--bootstrap", type=Path, required=True, help="measures of every resample to write, .npz"
    )
    return parser.parse_args(argv)


def _write_scores(path: Path, photographs: Columns, faces: Columns) -> None:
    import pandas as pd

    artifacts.write_table(
        path, pd.DataFrame({key: np.concatenate([photographs[key], faces[key]]) for key in faces})
    )


def _write_pictures(
    path: Path, root: Path, names: np.ndarray, scores: np.ndarray, count: int
) -> None:
    """Contact sheet of the `count` most and least anomalous faces, most extreme first; equal scores
    by name.
    """
    order = np.argsort(-scores, kind="stable")
    rows: list[list[Any]] = [
        [read_picture(root / name) for name in names[picked]]
        for picked in (order[:count], order[::-1][:count])
    ]
    contact_sheet(rows, None, path, row_titles=["most anomalous", "least anomalous"])


def _show(generator: str, found: dict[str, Any], review: str) -> None:
    values, low, high = found["values"], found["low"], found["high"]
    row = {"generator": generator, "faces": found["generated_faces"], "AUC": values["auc"]}
    row |= {"low": low["auc"], "high": high["auc"], "EER": values["eer"]}
    row |= {
        "false alarms": values[review]["false_alarm_rate"],
        "detected": values[review]["detection_rate"],
    }
    terminal.table(
        [row], f"Against {found['photographic_faces']:,} test photographs; 95 % interval of the AUC"
    )
    for what, reason in found["not_computed"].items():
        print(f"{what}: {reason}")
    for caution in found["cautions"]:
        print(f"caution: {caution}")


if __name__ == "__main__":
    terminal.run(main)
