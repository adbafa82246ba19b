"""Write the report: a picture for the README, a Markdown and an HTML page."""

import argparse
import textwrap
from dataclasses import fields
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.report import document, provenance, reporting, results, summary
from pipeline.report.figures import detection
from pipeline.report.sections import generators


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load(
        "seed", "data", "simulation", "exif", "split", "manipulation", "pretext", "features", "gmm", "calibration",
        "evaluation", "bootstrap", "selection", "robustness", "harmonisation", "controls", "shuffled", "explanation",
        "generators", "perturbations",
    )  # fmt: skip
    sources = results.Sources(
        **{field.name: getattr(options, field.name) for field in fields(results.Sources)}
    )
    found = results.read(sources, p.generators, p.perturbations)
    origin = {"revision": provenance.revision(), "versions": provenance.versions()}
    page = reporting.document(found, p.model_dump(mode="json"), origin, options.root)

    title = f"AI-generated faces as anomalies{', simulated data' if found.simulated else ''}"
    bars, curves = generators.bars(found), generators.curves(found)
    detection.overview(options.figure, bars, curves, generators.rates(found), title)
    with artifacts.atomic(options.output) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(document.to_html(page), encoding="utf-8")
        (folder / "report.md").write_text(document.to_markdown(page), encoding="utf-8")
    if left := results.left_aside(sources, p.generators, p.perturbations):
        print(textwrap.fill(left, terminal.WIDTH, break_long_words=False, break_on_hyphens=False))
    summary.show(found.evaluation, options.output)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="data root, named in the report")
    inputs = {
        "exif": "counts of filter_exif, .json",
        "tags": "distributions of the tags, .csv",
        "manipulations": "counts of manipulate_faces, .json",
        "pretext": "held-out metrics of train_pretext, .json",
        "history": "its row per epoch, .csv",
        "features": "folder with the counts of each face set, .json",
        "gmm": "metrics of fit_gmm, .json",
        "selection": "metrics of select_mixture, .json",
        "selection-table": "the mixtures it compared, .csv",
        "calibration": "metrics of calibrate, .json",
        "calibration-sizes": "its curve over the number of photographs, .csv",
        "generators": "folder with the metrics of each generator, .json",
        "evaluation": "results per generator, their mean and the worst, from aggregate, .json",
        "robustness": "results of the perturbations, .json",
        "perturbed": "folder with the counts of the perturbed faces, .json, to name what is no longer asked for",
        "confounds": "metrics of confounds, .json",
        "controls": "metrics of controls, .json",
        "projection": "map of the features, .csv",
        "explanations": "folder with the explained faces: faces.json, and .png of each generator",
        "roc": "folder with their ROC curves, .csv",
        "histograms": "folder with their score histograms, .csv",
        "pictures": "folder with their most and least anomalous faces, .png",
    }
    for name, meaning in inputs.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=meaning)
    parser.add_argument(
        "--sheets",
        type=Path,
        nargs="*",
        default=[],
        help="contact sheets, .png; absent ones are left out",
    )
    parser.add_argument(
        "--figure", type=Path, required=True, help="overview picture to write, .png"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to write: index.html and report.md"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
