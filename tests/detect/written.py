"""Rows that the command wrote."""

import csv
import json

import pandas as pd

from pipeline.detect.rows import COLUMNS


def read(path):
    """Rows of an output file as text, None as ''."""
    if path.suffix.lower() == ".csv":
        return list(csv.DictReader(path.open(newline="")))
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.open()]
    else:
        rows = pd.read_parquet(path).astype(object).to_dict("records")
    plain = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]
    whole = [name for name, kind in COLUMNS.items() if kind is int]
    return [
        {k: "" if v is None else str(int(v)) if k in whole else str(v) for k, v in row.items()}
        for row in plain
    ]
