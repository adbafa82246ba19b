"""Put all results on one HTML page, draw a picture for the README, print a summary."""

import argparse

from pipeline.base import command_line, params, terminal
from pipeline.common import artifacts
from pipeline.report import page, provenance, results, summary
from pipeline.report.figures import detection


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load_all(options.params)
    every = results.read(options.data, options.metrics, p.generators, p.perturbations)
    code = {"code (last commit that touched it)": provenance.revision()}
    written = params.read_yaml(options.params)
    parameters = {name: written[name] for name in vars(p) if name != "launcher"}
    html = page.html(every, parameters, code | provenance.versions(), options.root)

    title = f"AI-generated faces as anomalies{', simulated data' if every.simulated else ''}"
    detection.readme(options.figure, every, title)
    with artifacts.atomic(options.output) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(html, encoding="utf-8")
    summary.show(every.table, options.output)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = command_line.paths(
        __doc__,
        data="folder of the other stages' outputs",
        metrics="folder of their metrics and plots, and of sample.png",
        params="params.yaml",
        figure="picture for the README to write, .png",
        output="folder to write: index.html",
    )
    parser.add_argument("--root", required=True, help="data root, named on the page")
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
