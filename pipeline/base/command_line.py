"""Command lines: a help that names the module, and the paths that dvc.yaml writes for stages."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path


def parser(doc: str | None) -> ArgumentParser:
    """A parser for what runs as `python -m <module>`, with that name and the module's text."""
    module = getattr(sys.modules["__main__"].__spec__, "name", "").removesuffix(".__main__")
    return ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=RawDescriptionHelpFormatter
    )


def paths(doc: str | None, **meanings: str) -> ArgumentParser:
    """A parser with a required option for each name, whose value is a path."""
    stage = parser(doc)
    for name, meaning in meanings.items():
        option = f"--{name.replace('_', '-')}"
        stage.add_argument(option, type=Path, required=True, help=meaning)
    return stage
