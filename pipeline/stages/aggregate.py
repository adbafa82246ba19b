"""Put the generators together: their measures with mean and worst, all faces' scores, and all ROC
curves.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import artifacts
from pipeline.evaluation import aggregation
from pipeline.face_sets import feature_sets
from pipeline.report import summary
from pipeline.report.results import per_set

if TYPE_CHECKING:
    import pandas as pd

NEEDED = (
    *("values", "low", "high", "generated_faces", "photographic_faces"),
    *("photographic_list_sha256", "scores_sha256", "bootstrap_sha256"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--generators",
        type=Path,
        required=True,
        help="folder with the metrics of each generator, .json",
    )
    parser.add_argument(
        "--scores", type=Path, required=True, help="folder with the scores of each, .parquet"
    )
    parser.add_argument(
        "--bootstrap", type=Path, required=True, help="folder with the replicates of each, .npz"
    )
    parser.add_argument(
        "--roc", type=Path, required=True, help="folder with the ROC curve of each, .csv"
    )
    parser.add_argument(
        "--evaluation",
        type=Path,
        required=True,
        help="measures of all, mean and worst to write, .json",
    )
    parser.add_argument(
        "--all-scores", type=Path, required=True, help="scores of all faces to write, .parquet"
    )
    parser.add_argument("--roc-all", type=Path, required=True, help="all ROC curves to write, .csv")
    options = parser.parse_args(argv)
    generators = params.load("generators").generators

    metrics, curves = per_set(
        (options.generators, ".json", generators), (options.roc, ".csv", generators)
    )
    contents = {name: _content(path) for name, path in metrics.items()}
    arrays = _recorded(options.bootstrap, ".npz", contents, "bootstrap_sha256", options.generators)
    tables = _recorded(options.scores, ".parquet", contents, "scores_sha256", options.generators)
    table = aggregation.table(
        contents, {name: artifacts.read_npz(path) for name, path in arrays.items()}
    )

    artifacts.write_table(
        options.all_scores, all_scores([artifacts.read_table(path) for path in tables.values()])
    )
    artifacts.write_csv(options.roc_all, roc_all(curves))
    artifacts.write_json(options.evaluation, table)
    print(summary.text(table))


def all_scores(tables: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    """The rows of all generators' tables, those of the photographs once. Raises PipelineError for
    different photographs.
    """
    import pandas as pd

    photographs = tables[0][tables[0].label == 0]
    for table in tables[1:]:
        others = table[table.label == 0]
        alike = list(table.columns) == list(photographs.columns) and list(others.name) == list(
            photographs.name
        )
        if not alike or not np.allclose(
            others.anomaly_score, photographs.anomaly_score
        ):  # processors differ in the last bits
            raise PipelineError(
                f"the photographs of {table.set.iloc[-1]} and of {tables[0].set.iloc[-1]} were not "
                "judged alike: "
                "run `dvc repro --force evaluate`"
            )
    return pd.concat(
        [photographs, *(table[table.label == 1] for table in tables)], ignore_index=True
    )


def roc_all(curves: Mapping[str, Path]) -> dict[str, list[str]]:
    """All ROC curves as one table for dvc plots, the numbers as they were written."""
    columns: dict[str, list[str]] = {"generator": [], "fpr": [], "tpr": []}
    for name, path in curves.items():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, cell in {"generator": name, **row}.items():
                    columns[column].append(cell)
    return columns


def _content(path: Path) -> dict[str, Any]:
    content = artifacts.read_json(path)
    if not isinstance(content, dict) or not set(NEEDED) <= set(content):
        raise PipelineError(
            f"{path}: not all of {', '.join(NEEDED)} are there: run `dvc repro`, which evaluates "
            "again"
        )
    return content


def _recorded(
    folder: Path, suffix: str, contents: Mapping[str, Mapping[str, Any]], key: str, source: Path
) -> dict[str, Path]:
    """The file of each generator, which must be the one whose SHA-256 its metrics give."""
    return {
        name: feature_sets.check(
            folder / f"{name}{suffix}", {"sha256": content[key]}, source / f"{name}.json"
        )
        for name, content in contents.items()
    }


if __name__ == "__main__":
    terminal.run(main)
