"""What file formats give away, and the evaluation without them: every face through one resize and
one JPEG compression.

In both states the mixture is fitted anew and the threshold calibrated anew, on the very same faces
with the same seed, so that only harmonisation differs between the figures. Label 1 = AI-generated,
anomaly score higher = more anomalous."""

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.audit import confounds, formats
from pipeline.audit.confounds import STATES, File, Files
from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.calibration import thresholds as calibration
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.common.pictures import read_picture_file
from pipeline.common.randomness import key
from pipeline.density import fitting as density
from pipeline.encoder import checkpoints
from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.estimates import Estimates, estimate, missing
from pipeline.extraction import variants as changed_faces
from pipeline.face_sets import feature_sets
from pipeline.face_sets.feature_sets import FeatureSet
from pipeline.perturbation.pictures import harmonise

FIT, CALIBRATION, TEST = PHOTOGRAPHIC
Sets = Mapping[str, FeatureSet]


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load(
        "seed",
        "data",
        "features",
        "gmm",
        "calibration",
        "bootstrap",
        "harmonisation",
        "controls",
        "generators",
    )
    every = feature_sets.read_all(options.features, options.counts, [*PHOTOGRAPHIC, *p.generators])
    files = {name: _described(options.root, faces) for name, faces in every.items()}
    # The purpose is that of controls, which compares its figures with these: they are of the same
    # faces.
    chosen = {
        name: faces.at_most(_maximum(name, p.controls), seed=p.seed, purpose="controls")
        for name, faces in every.items()
    }
    after, harmonised_files = _harmonised(options, chosen, p)
    figures = _figures(dict(zip(STATES, (chosen, after), strict=True)), p)

    states = {"as_found": {name: files[name] for name in chosen}, "harmonised": harmonised_files}
    classes = {
        name: _by_state(faces, states, p.data.person_pattern) for name, faces in chosen.items()
    }
    classified = confounds.classify(
        classes[TEST],
        {name: classes[name] for name in p.generators},
        resamples=p.bootstrap.resamples,
        seed=p.seed,
    )
    metrics = {
        "sets": {
            name: formats.summary(list(described.values())) for name, described in files.items()
        },
        **classified,
        "harmonised": {
            **p.harmonisation.model_dump(),
            "fit_faces": len(chosen[FIT]),
            "calibration_faces": len(chosen[CALIBRATION]),
            "faces": {
                name: len(faces) for name, faces in chosen.items() if name not in (FIT, CALIBRATION)
            },
            **confounds.side_by_side(
                figures.found, p.generators, calibration.rate_key(p.calibration.review_rate)
            ),
            "warnings": figures.warnings,
        },
        "not_computed": figures.not_computed | classified["not_computed"],
    }
    artifacts.write_json(options.metrics, metrics)
    _show(metrics)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root, which names in the feature files are relative to",
    )
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument(
        "--counts",
        type=Path,
        required=True,
        help="folder of the sets' counts, which tell the features' SHA-256",
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="encoder that the features come from"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    return parser.parse_args(argv)


def _maximum(name: str, controls: Any) -> int:
    return int(controls.fit_faces if name in (FIT, CALIBRATION) else controls.faces)


def _described(root: Path, faces: FeatureSet) -> dict[str, File]:
    """What the file of each face says of itself, by name."""
    bar = terminal.progress(faces.names.tolist(), what=f"files of {faces.name}")
    return {name: _description(read_picture_file(root / name)) for name in bar}


def _description(content: bytes) -> File:
    try:
        return formats.describe(content)
    except formats.UnreadableHeader as error:
        return error


def _harmonised(
    options: argparse.Namespace, chosen: Sets, p: Any
) -> tuple[dict[str, FeatureSet], dict[str, dict[str, File]]]:
    """The faces with features of their harmonised pictures, and what the harmonised files say of
    themselves.
    """
    described: dict[str, File] = {}
    how = (p.harmonisation.side, p.harmonisation.kernel, p.harmonisation.jpeg_quality)

    def change(picture: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        after, content = harmonise(picture, *how)
        described[name] = _description(content)
        return after

    encoder, meta = checkpoints.load_encoder(options.encoder)
    sets = changed_faces.extract(
        encoder, meta["input_size"], options.root, chosen, p.features, change=change
    )
    return sets, {
        name: {face: described[face] for face in faces.names.tolist()}
        for name, faces in chosen.items()
    }


class Figures(NamedTuple):
    """Of the detector, fitted and calibrated anew in each state."""

    found: dict[
        str, Estimates
    ]  # by state; none where the chosen photographs cannot carry a mixture or a threshold
    warnings: list[str]  # of the fits
    not_computed: dict[str, str]


def _figures(states: Mapping[str, Sets], p: Any) -> Figures:
    found, warnings, absent = {}, [], {}
    for state, sets in states.items():
        title = state.replace("_", " ")
        try:
            # The seed is fit_gmm's: with all photographs chosen, the mixture as found is the
            # pipeline's own.
            fitted = density.fit(
                sets[FIT].features, **p.gmm.model_dump(), seed=key(p.seed, "fit_gmm")
            )
            scores = {
                name: fitted.mixture.anomaly_score(faces.features) for name, faces in sets.items()
            }
            threshold = calibration.conformal_threshold(
                scores[CALIBRATION], p.calibration.review_rate
            )
        except PipelineError as error:
            faces = f"{len(sets[FIT])} faces to fit, {len(sets[CALIBRATION])} to calibrate with, see controls.fit_faces"
            absent[f"{title} figures"] = f"{error} ({faces})"
            continue
        warnings += [f"{title}: {warning}" for warning in fitted.warnings]
        tested = [faces for name, faces in sets.items() if name not in (FIT, CALIBRATION)]
        samples = {faces.name: Sample(scores[faces.name], faces.persons) for faces in tested}
        thresholds = {calibration.rate_key(p.calibration.review_rate): threshold}
        photographs = samples.pop(TEST)
        found[state] = estimate(
            photographs, samples, thresholds, resamples=p.bootstrap.resamples, seed=p.seed
        )
    reasons = missing({state: one.not_computed for state, one in found.items()}) if found else {}
    return Figures(found, warnings, absent | reasons)


def _by_state(
    faces: FeatureSet, states: Mapping[str, Mapping[str, Mapping[str, File]]], pattern: str
) -> dict[str, Files]:
    groups = faces.people(pattern)
    return {
        state: Files([files[faces.name][name] for name in faces.names.tolist()], groups)
        for state, files in states.items()
    }


def _show(metrics: dict[str, Any]) -> None:
    rows = []
    for name, one in metrics["harmonised"]["generators"].items():
        classifier = metrics["metadata_classifier"]["generators"][name]
        row: dict[str, Any] = {"generator": name}
        for state, mark in (("as_found", ""), ("harmonised", " h")):
            row[f"files{mark}"] = classifier[state]["auc"]
            row[f"AUC{mark}"] = one["auc"][state]["value"]
            row[f"detected{mark}"] = one["detection_rate"][state]["value"]
        rows.append(row)
    terminal.table(
        rows, "AUC of the files' metadata; AUC and detection of the detector (h: harmonised)"
    )
    for warning in [*metrics["warnings"], *metrics["harmonised"]["warnings"]]:
        print(textwrap.fill(f"warning: {warning}", terminal.WIDTH))
    for what, reason in metrics["not_computed"].items():
        print(textwrap.fill(f"{what}: {reason}", terminal.WIDTH))


if __name__ == "__main__":
    terminal.run(main)
