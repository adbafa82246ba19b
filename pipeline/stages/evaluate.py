"""Evaluate all generators: the faces of each against the same photographic test faces.

Nothing is chosen here: the thresholds come from calibrate. Label 1 = AI-generated, anomaly score
higher = more anomalous. The figures of a generator do not depend on the other generators."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import command_line, params, terminal
from pipeline.calibration.decisions import Decisions
from pipeline.calibration.thresholds import VERDICTS
from pipeline.common import artifacts
from pipeline.common.contact_sheet import contact_sheet
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.density.density import TYPICAL, Density
from pipeline.evaluation import generator, measures, table
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.generator import Figures
from pipeline.face_sets import feature_sets
from pipeline.face_sets.face_list import read_picture
from pipeline.face_sets.feature_sets import FeatureSet

Columns = dict[str, np.ndarray]  # about the faces of one set, each (n,)
TEST = PHOTOGRAPHIC[-1]
BINS = 40  # of the histograms: about as many as a figure's width shows
FACES_SHOWN = 8  # most and least anomalous ones each, a row of the contact sheet


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "bootstrap", "generators")
    density = Density.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    files = options.threshold, options.calibration
    decisions = Decisions.from_contents(
        artifacts.read_json(files[0]), artifacts.read_npz(files[1]), files
    )
    sets = feature_sets.read_all(options.features, [*PHOTOGRAPHIC, *p.generators])
    columns = {name: judged(sets[name], density, decisions) for name in (TEST, *p.generators)}

    thresholds = {**decisions.thresholds, table.PAPER: decisions.paper_threshold}
    samples = {name: Sample(c["anomaly_score"], c["person"]) for name, c in columns.items()}
    figures = {
        name: generator.figures(
            samples[TEST], samples[name], thresholds, resamples=p.bootstrap.resamples, seed=p.seed
        )
        for name in terminal.progress(p.generators, what="evaluate", unit="generator")
    }
    contents = {name: content(name, figures[name], columns[name], decisions) for name in figures}
    rows = table.table(figures)

    _write_scores(options.output / "scores.parquet", columns)
    curves, histograms = {}, {}
    for name in p.generators:
        scores = samples[TEST].scores, samples[name].scores
        curves[name] = measures.roc_curve(*scores)
        histograms[name] = measures.histogram(*scores, BINS)
        sheet = options.output / "faces" / f"{name}.png"
        _write_faces(sheet, options.root, sets[name], scores[1])
    _write_parts(options.roc, curves)
    _write_parts(options.output / "histograms.csv", histograms)
    artifacts.write_json(options.output / "generators.json", contents)
    artifacts.write_json(options.output / "table.json", rows)
    artifacts.write_json(options.metrics, table.headline(rows))
    _show(contents, rows, decisions.review)


def judged(faces: FeatureSet, density: Density, decisions: Decisions) -> Columns:
    """All that is said about each face of a set: a row of scores.parquet, by column."""
    return {
        "set": np.full(len(faces), faces.name),
        "name": faces.names,
        "person": faces.persons,
        "label": np.full(len(faces), int(faces.name not in PHOTOGRAPHIC)),
        "source_sha256": faces.digests,
        "side": density.side(faces.features, faces.heads),
        **decisions.columns(density.anomaly_score(faces.features, faces.heads), faces.heads),
    }


def content(name: str, figures: Figures, columns: Columns, decisions: Decisions) -> dict[str, Any]:
    """A generator's part of generators.json: figures, verdicts, and how far the heads deviate."""
    reasons = {
        f"head_z.{head}": "all calibration photographs have the same score"
        for head in decisions.constant_heads
    }
    parts = figures.content()
    constant = decisions.constant_heads
    z = {h: None if h in constant else columns[f"z_{h}"] for h in decisions.head_names}
    return {
        "generator": name,
        **parts,
        "not_computed": reasons | parts["not_computed"],
        "too_typical": int((columns["side"][columns["verdict"] != "pass"] == TYPICAL).sum()),
        "verdicts": {verdict: int((columns["verdict"] == verdict).sum()) for verdict in VERDICTS},
        "head_z": {h: None if values is None else float(values.mean()) for h, values in z.items()},
    }


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.paths(
        __doc__,
        root="data root, which the names of faces are relative to",
        features="folder with the features of all face sets, .npz",
        gmm="mixture, .npz",
        threshold="thresholds, .json",
        calibration="scores of the calibration photographs, .npz",
        output="folder to write: figures, scores, histograms, faces",
        metrics="headline figures to write, .json",
        roc="ROC curves to write, .csv",
    )
    return parser.parse_args(argv)


def _write_scores(path: Path, columns: Mapping[str, Columns]) -> None:
    import pandas as pd

    sets = list(columns.values())
    artifacts.write_table(
        path, pd.DataFrame({key: np.concatenate([c[key] for c in sets]) for key in sets[0]})
    )


def _write_parts(path: Path, parts: Mapping[str, Columns]) -> None:
    """One table of the columns of all generators, below each other."""
    columns = list(next(iter(parts.values())))
    generators = [name for name, part in parts.items() for _ in part[columns[0]]]
    joined = {key: [x for part in parts.values() for x in part[key]] for key in columns}
    artifacts.write_csv(path, {"generator": generators, **joined})


def _write_faces(path: Path, root: Path, faces: FeatureSet, scores: np.ndarray) -> None:
    """Contact sheet of the most and least anomalous faces, most extreme first."""
    order = np.argsort(-scores, kind="stable")
    rows = [
        [read_picture(root, faces.face(i)) for i in picked]
        for picked in (order[:FACES_SHOWN], order[::-1][:FACES_SHOWN])
    ]
    contact_sheet(rows, None, path, row_titles=["most anomalous", "least anomalous"])


def _show(contents: Mapping[str, Any], rows: Mapping[str, Any], review: str) -> None:
    lines = [
        {
            "generator": name,
            "AUC": row["auc"],
            "low": row["auc_low"],
            "high": row["auc_high"],
            "detected": row.get(review, {}).get("detection_rate"),
            "false alarms": row.get(review, {}).get("false_alarm_rate"),
        }
        for name, row in rows.items()
    ]
    terminal.table(lines, f"AUC with its 95 % interval, rates {review.replace('_', ' ')}")
    for name, part in contents.items():
        for what, reason in part["not_computed"].items():
            print(f"{name}, {what}: {reason}")
        for caution in part["cautions"]:
            print(f"caution, {name}: {caution}")


if __name__ == "__main__":
    terminal.run(main)
