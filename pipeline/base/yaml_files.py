"""YAML files read by the rules of YAML 1.2, as DVC reads them, and without any Python objects."""

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import PipelineError


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars, as DVC reads them: 1e-3 is a number, `no` a text, 010 is ten, and a key
    stands once.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key given twice is an error instead of the last one winning."""
        keys = [str(k.value) for k, _ in node.value]
        twice = sorted({k for k in keys if keys.count(k) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {twice[0]!r} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_SCALARS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^[-+]?[0-9]+$", "-+0123456789"),
    "float": (
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|nan)$",
        "-+0123456789.",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] not in _SCALARS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in _SCALARS.items():  # in this order: the first that matches wins
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping read by YAML 1.2's rules for numbers and booleans, without any Python objects."""
    try:
        tree = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file; run in the repository's root, or copy profiles/*.yaml there"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return tree
