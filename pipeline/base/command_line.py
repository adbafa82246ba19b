"""The command lines of stages: paths alone, which dvc.yaml writes."""

from argparse import ArgumentParser
from pathlib import Path


def paths(doc: str | None, **meanings: str) -> ArgumentParser:
    """A parser with a required option for each name, whose value is a path."""
    parser = ArgumentParser(description=doc)
    for name, meaning in meanings.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=meaning)
    return parser
