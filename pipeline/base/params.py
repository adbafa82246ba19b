"""Reading params.yaml: a wrong, missing or unknown parameter stops a stage at once."""

import reprlib
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError, create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.base.agreement import faults
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Params, Section

# What reading YAML may raise beside its own errors, as for a date that is none
_DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
_SHORT = reprlib.Repr()  # of values that stand for others, nine in nine in nine, a full one is GBs
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 1000


def load(*sections: str, path: str | Path = "params.yaml") -> Any:
    """The named top-level sections of a params file; the others are not visible.

    Named as in dvc.yaml's `params:`, so that a stage sees what DVC watches. All sections that are
    there are validated, so that the first stage finds what would stop the last one. Raises
    PipelineError with file, key and value."""
    tree = read_yaml(path)
    params = validate(tree, path, {*sections, *tree})
    return SimpleNamespace(**{name: getattr(params, name) for name in sections})


def load_all(path: str | Path = "params.yaml") -> Params:
    """All sections of a params file."""
    return validate(read_yaml(path), path, Params.model_fields)


def validate(tree: dict[str, Any], path: str | Path, sections: Iterable[str]) -> Any:
    """Params with these sections, all of which must be in the tree. PipelineError names `path`."""
    fields: Any = {n: (f.annotation, f) for n, f in Params.model_fields.items() if n in sections}
    try:
        params = create_model("Params", __base__=Section, **fields).model_validate(tree)
    except ValidationError as error:
        problems = "\n".join(_explain(problem) for problem in error.errors())
        raise PipelineError(f"{path}: wrong parameters\n{problems}") from None
    if found := faults(params):
        problems = "\n".join(f"  {fault}" for fault in found)
        raise PipelineError(f"{path}: parameters that do not agree\n{problems}")
    return params


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML 1.2 mapping as DVC reads it: 1e-3 is a number, `no` a text. No Python objects."""
    try:
        tree = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run in the repository's root") from None
    except (YAMLError, *_DAMAGE) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else path
        problem = getattr(error, "problem", error)
        raise PipelineError(f"{place}: not valid YAML: {problem}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return tree


def _explain(problem: Any) -> str:
    """One line: the key, its value, and what is allowed."""
    parts = [str(part) for part in problem["loc"]]
    # pydantic's names for a choice between types are in parentheses here
    key = ".".join(part for part in parts if not part.startswith("("))
    value = _SHORT.repr(problem["input"])
    if problem["type"] == "missing":
        return f"  {key}: missing; params.yaml's comments say what is allowed"
    if problem["type"] == "extra_forbidden":
        return f"  {key}: unknown key; correct its spelling or remove it"
    return f"  {key} = {value:.60}: {problem['msg'].removeprefix('Value error, ')}"
