"""Judge what could fake the result (controls, file formats) and what it survives (perturbations).

Encodes nothing: reads the features of extract_features and extract_variants. Label 1 =
AI-generated, anomaly score higher = more anomalous."""

import argparse
import textwrap
from collections.abc import Mapping
from typing import Any

from pipeline.audit import confounds, harmonised, robustness, verdicts
from pipeline.audit.scoring import TEST, Sets, samples, tested
from pipeline.base import command_line, params, terminal
from pipeline.base.atomic import atomic
from pipeline.base.perturbation_names import parse
from pipeline.calibration import decisions
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.density.density import Density
from pipeline.face_sets import feature_sets


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "gmm", "bootstrap")
    draws = {"resamples": p.bootstrap.resamples, "seed": p.seed}
    details = artifacts.read_json(options.variants / "details.json")
    sets = feature_sets.read_all(options.features, (*PHOTOGRAPHIC, *details["generators"]))
    density = Density.from_arrays(artifacts.read_npz(options.gmm), str(options.gmm))
    gmm = {**p.gmm.model_dump(), "sides": density.sides}
    threshold = artifacts.read_json(options.threshold)
    thresholds, review, _ = decisions.thresholds(threshold, options.threshold)

    def variant(name: str, among: Sets = sets) -> tuple[Sets, Sets]:
        """The faces of a variant as they are, and with the variant's features and heads."""
        return feature_sets.split(artifacts.read_npz(options.variants / f"{name}.npz"), among)

    names = details["perturbations"]
    perturbed = {name: variant(f"perturbed/{name}", tested(sets)) for name in names}
    robust = robustness.compare(perturbed, density, thresholds, **draws)
    for name, content in robust.items():
        content["kind"], content["strength"] = parse(name)

    states = dict(zip(confounds.STATES, variant("harmonised"), strict=True))
    rate = threshold["rates"][review]["false_alarm_rate"]
    figures, absent = harmonised.figures(states, gmm, rate, **draws)
    files = artifacts.read_table(options.variants / "files.parquet")
    confounded = confounds.judge(files, states["as_found"], **draws)
    confounded["harmonised"] = {**details["harmonisation"], **figures}
    confounded["not_computed"] |= absent

    inputs = verdicts.Inputs(
        density,
        samples(sets, density)[TEST],
        states["as_found"],
        {name: variant(name)[1] for name in ("random_weights", "shuffled_exif")},
        confounded,
        details,
    )
    controls = verdicts.controls(inputs, gmm, **draws)
    with atomic(options.output) as folder:
        artifacts.write_json(folder / "robustness.json", robust)
        artifacts.write_json(folder / "confounds.json", confounded)
        artifacts.write_json(folder / "controls.json", controls)
    artifacts.write_csv(options.curves, robustness.curves(robust, review))
    _show_robustness(robust, review)
    _show_confounds(confounded)
    _show_controls(controls)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.paths(
        __doc__,
        features="folder of the sets' features",
        variants="folder of extract_variants",
        gmm="the detector's mixture, .npz",
        threshold="thresholds, .json",
        output="folder to write",
        curves="what perturbations do, to write for a plot, .csv",
    )
    return parser.parse_args(argv)


def _show_robustness(robust: Mapping[str, Any], review: str) -> None:
    rows = [
        {
            "perturbation": "(clean)" if state == "clean" else name,
            "AUC": content["mean"]["auc"][state],
            "detected": content["mean"][review][state],
            "false alarms": content["photographs"][review][state]["false_alarm_rate"],
        }
        for i, (name, content) in enumerate(robust.items())
        for state in (["perturbed"] if i else ["clean", "perturbed"])
    ]
    terminal.table(rows, "Perturbed faces at the clean threshold, mean of the generators")
    _notes(
        *(f"{what}: {why}" for one in robust.values() for what, why in one["not_computed"].items())
    )


def _show_confounds(confounded: Mapping[str, Any]) -> None:
    rows = []
    for name, one in confounded["harmonised"]["generators"].items():
        row: dict[str, Any] = {"generator": name}
        for state, mark in (("as_found", ""), ("harmonised", " h")):
            classifier = confounded["metadata_classifier"]["generators"][name][state]
            row[f"files{mark}"] = classifier["auc"]
            row[f"AUC{mark}"] = one["auc"][state]["value"]
            row[f"detected{mark}"] = one["detection_rate"][state]["value"]
        rows.append(row)
    terminal.table(rows, "AUC of file metadata; AUC and detection of the detector (h: harmonised)")
    warnings = [*confounded["warnings"], *confounded["harmonised"]["warnings"]]
    _notes(*(f"warning: {warning}" for warning in warnings))
    _notes(*(f"{what}: {why}" for what, why in confounded["not_computed"].items()))


def _show_controls(controls: Mapping[str, Any]) -> None:
    detector = controls["detector"]
    rows = [{**detector, "title": "(the detector, fitted alike)", "judged": ""}]
    rows += controls["controls"]
    shown = ("auc", "low", "high", "judged")
    table = [{"control": row["title"], **{name: row[name] for name in shown}} for row in rows]
    terminal.table(table, "Controls: mean AUC over generators with its 95 % interval")
    for row in rows[1:]:
        if row["judged"] != "in order":
            high = row["judged"] in ("suspicious", verdicts.TRIVIAL)
            _notes(f"{row['title']}: {row['if_high'] if high else ''} {row['detail']}")
    left_out = {name: why for row in rows for name, why in row["left_out"].items()}
    _notes(*(f"left out: {name}: {why}" for name, why in left_out.items()))


def _notes(*sentences: str) -> None:
    for sentence in dict.fromkeys(sentences):
        print(textwrap.fill(" ".join(sentence.split()), terminal.WIDTH))


if __name__ == "__main__":
    terminal.run(main)
