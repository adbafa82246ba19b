"""Reading params.yaml: a wrong, missing or unknown parameter stops a stage at once."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError, create_model

from pipeline.base.errors import PipelineError
from pipeline.base.schema import Generators, Params, Section
from pipeline.base.yaml_files import read_yaml


def load(*sections: str, path: str | Path = "params.yaml") -> Any:
    """The named top-level sections of a params file; the others are not visible.

    Named as in dvc.yaml's `params:`, so that a stage sees what DVC watches. All sections that are
    there are validated, so that the first stage finds what would stop the last one. Raises
    PipelineError with file, key and value."""
    tree = read_yaml(path)
    if unknown := sorted(map(str, tree.keys() - Params.model_fields.keys())):
        raise PipelineError(
            f"{path}: unknown sections: {', '.join(unknown)}; known are "
            f"{', '.join(Params.model_fields)}"
        )
    _validate(_part(*tree), tree, path)
    return _validate(
        _part(*sections), {name: tree[name] for name in sections if name in tree}, path
    )


def _part(*sections: str) -> type[Section]:
    fields: Any = {
        name: (Params.model_fields[name].annotation, Params.model_fields[name]) for name in sections
    }
    return create_model("Params", __base__=Section, **fields)


def check_generator(name: str) -> str:
    """The name, if `generators` may hold it: it becomes a folder, a file name and a part of a
    command.
    """
    try:
        TypeAdapter(Generators).validate_python([name])
    except ValidationError as error:
        raise PipelineError(
            f"generators: {name!r} is no usable name: {error.errors()[0]['msg']}"
        ) from None
    return name


def load_all(path: str | Path = "params.yaml") -> Params:
    """The whole params file, validated, unknown sections refused."""
    return _validate(Params, read_yaml(path), path)


def _validate(model: type[Section], tree: dict[str, Any], path: str | Path) -> Any:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise PipelineError(
            f"{path}: wrong parameters\n" + "\n".join(_explain(e) for e in error.errors())
        ) from None


def _explain(problem: Any) -> str:
    """One line: the key, its value, and what is allowed."""
    key, value = ".".join(str(part) for part in problem["loc"]), repr(problem["input"])
    if problem["type"] == "missing":
        return f"  {key}: missing; params.yaml's comments say what is allowed"
    if problem["type"] == "extra_forbidden":
        return (
            f"  {key}: unknown key; correct its spelling (params.yaml shows every key) or remove it"
        )
    return f"  {key} = {value:.60}: {problem['msg'].removeprefix('Value error, ')}"
