"""Compare mixtures on the photographs to fit: BIC, cross-validated likelihood, faces per component
and dimension.

An advice beside the graph: nothing reads it, and the mixture stays the one that gmm.* names. It
looks at fit photographs only, so that choosing gmm.* by it leaves the false alarm rates' guarantee
whole."""

import argparse
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.common.randomness import key
from pipeline.density import selection
from pipeline.density.selection import Candidate
from pipeline.face_sets import feature_sets

COLUMNS = (
    *("components", "covariance_type", "pca_components", "parameters", "n_over_k_d", "bic"),
    *("held_out_log_likelihood", "held_out_standard_error"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fit", type=Path, required=True, help="features of the photographs to fit, .npz"
    )
    parser.add_argument(
        "--table", type=Path, required=True, help="table of the mixtures to write, .csv"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics to write, .json")
    options = parser.parse_args(argv)
    p = params.load("seed", "data", "gmm", "selection")

    if p.selection.components:
        table, metrics = _compare(options.fit, p)
    else:
        table = []
        metrics = {
            "faces": 0,
            "people": 0,
            "folds": 0,
            "current": None,
            "best": None,
            "not_fitted": [],
        }
        metrics["advice"] = [
            "not run: name numbers of components in selection.components to compare mixtures"
        ]
    artifacts.write_csv(options.table, {name: [row.get(name) for row in table] for name in COLUMNS})
    artifacts.write_json(options.metrics, metrics)
    _show(table, metrics)


def _compare(path: Path, p: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of all candidates, those without figures that cannot be fitted, and the content of the
    metrics.
    """
    fit = feature_sets.read(path, "photographic_fit")
    people = fit.persons
    fold = selection.folds(people, p.selection.folds, p.seed)
    settings = p.gmm.model_dump()
    current = Candidate(**{name: settings.pop(name) for name in Candidate._fields})
    grid = selection.candidates(
        p.selection.components, p.selection.covariance_types, p.selection.pca_components, current
    )

    table, judged, not_fitted = [], [], []
    for candidate in terminal.progress(grid, what="mixtures", unit="mixture"):
        try:  # the seed of fit_gmm, so that the current mixture is the very one of the pipeline
            seed = key(p.seed, "fit_gmm")
            judged.append(
                selection.judge(fit.features, people, fold, candidate, settings=settings, seed=seed)
            )
            row = judged[-1].row
        except PipelineError as error:
            row = candidate._asdict()
            not_fitted.append({**row, "reason": str(error)})
        table.append(row)
    fitted, here = [one.row for one in judged], selection.beside_the_best(judged, current, people)
    return table, {
        "faces": len(fit),
        "people": len(np.unique(people)),
        "folds": p.selection.folds,
        "current": here,
        "best": selection.best(fitted, current.pca_components),
        "advice": selection.advice(fitted, here, current, len(fit)),
        "not_fitted": not_fitted,
    }


def _show(table: list[dict[str, Any]], metrics: dict[str, Any]) -> None:
    short = {
        "components": "k",
        "covariance_type": "covariance",
        "pca_components": "pca",
        "n_over_k_d": "n/(k d)",
    }
    short |= {
        "held_out_log_likelihood": "held-out log-lik.",
        "held_out_standard_error": "std. error",
    }
    rows = [{title: row.get(name) for name, title in short.items()} for row in table]
    for shown, row in zip(rows, table, strict=True):
        shown["BIC"] = round(row["bic"]) if "bic" in row else None
    terminal.table(
        rows,
        f"Mixtures of {metrics['faces']:,} photographic faces, {metrics['folds']} folds by person",
    )
    for candidate in metrics["not_fitted"]:
        print(textwrap.fill(f"not fitted: {candidate['reason']}", terminal.WIDTH))
    for sentence in metrics["advice"]:
        print(textwrap.fill(f"advice: {sentence}", terminal.WIDTH))


if __name__ == "__main__":
    terminal.run(main)
