"""Write the report: one JSON of all generators' results, a picture for the README, a Markdown and an HTML page."""

import argparse
from dataclasses import fields
from pathlib import Path

from pipeline import artifacts, console, document, figures, params, provenance, reporting, results, summary


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load(
        "seed", "data", "simulation", "exif", "split", "manipulation", "pretext", "features", "gmm", "calibration",
        "evaluation", "generators",
    )  # fmt: skip
    sources = results.Sources(**{field.name: getattr(options, field.name) for field in fields(results.Sources)})
    found = results.read(sources, p.generators)
    origin = {"revision": provenance.revision(), "versions": provenance.versions()}
    page = reporting.document(found, p.model_dump(mode="json"), origin, options.root)

    artifacts.write_json(options.evaluation, found.evaluation)
    artifacts.write_csv(options.roc_all, roc_all(found))
    rate = found.calibration["chosen_false_alarm_rate"]
    title = f"AI-generated faces as anomalies{', simulated data' if found.simulated else ''}"
    figures.overview(options.figure, reporting.bars(found), reporting.curves(found), rate, title)
    with artifacts.atomic(options.output) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(document.to_html(page), encoding="utf-8")
        (folder / "report.md").write_text(document.to_markdown(page), encoding="utf-8")
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
        "calibration": "metrics of calibrate, .json",
        "generators": "folder with the metrics of each generator, .json",
        "roc": "folder with their ROC curves, .csv",
        "histograms": "folder with their score histograms, .csv",
        "pictures": "folder with their most and least anomalous faces, .png",
    }
    for name, meaning in inputs.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=meaning)
    parser.add_argument("--sheets", type=Path, nargs="*", default=[], help="contact sheets, .png; absent ones are left out")
    parser.add_argument("--evaluation", type=Path, required=True, help="results per generator and mean to write, .json")
    parser.add_argument("--roc-all", type=Path, required=True, help="all ROC curves to write, .csv")
    parser.add_argument("--figure", type=Path, required=True, help="overview picture to write, .png")
    parser.add_argument("--output", type=Path, required=True, help="folder to write: index.html and report.md")
    return parser.parse_args(argv)


def roc_all(found: results.Results) -> dict[str, list[str] | list[float]]:
    """All ROC curves as one table for dvc plots."""
    names = [name for name, curve in found.roc.items() for _ in curve["fpr"]]
    columns = {column: [value for curve in found.roc.values() for value in curve[column]] for column in ("fpr", "tpr")}
    return {"generator": names, **columns}


if __name__ == "__main__":
    console.run(main)
