"""Set in params.yaml what profiles/<name>.yaml names, and nothing else (make profile NAME=paper).
A profile does not undo another: git checkout params.yaml before you change to one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.base import command_line, params, terminal
from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.base.schema import Params

OPEN = ("exif.tags.", "pretext.loss_weights.")  # sections to which a profile may add keys


def main(argv: list[str] | None = None) -> None:
    """Change params.yaml in the working folder and print each value that changed."""
    parser = command_line.parser(__doc__)
    parser.add_argument("name", help="a file of profiles/, without .yaml")
    name = parser.parse_args(argv).name
    known = sorted(path.stem for path in Path("profiles").glob("*.yaml"))
    if name not in known:
        raise PipelineError(f"no profile {name!r}; there are {', '.join(known)} (profiles/*.yaml)")
    changes = apply(Path("profiles", f"{name}.yaml"), Path("params.yaml"))
    print("\n".join(changes) or "params.yaml has these values already")


def apply(profile: Path, target: Path) -> list[str]:
    """Write the profile's values into the target, whose comments, quotes and order stay.

    Returns a line for each value that changed. Raises PipelineError, and writes nothing, where the
    profile names an unknown key or the result is not valid."""
    for path in (profile, target):
        params.read_yaml(path)  # says clearly what is no YAML mapping
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # break no line
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(target)
    lines = list(_merge(tree, yaml.load(profile), f"{profile}: "))
    params.validate(tree, f"{target} with {profile}", Params.model_fields)
    with atomic(target) as temporary:
        yaml.dump(tree, temporary)
    return [line.removeprefix(f"{profile}: ") for line in lines]


def _merge(tree: Any, changes: Any, prefix: str) -> Iterator[str]:
    for key, new in changes.items():
        if key not in tree and prefix.rpartition(": ")[2] not in OPEN:
            raise PipelineError(f"{prefix}{key}: unknown key; params.yaml has every key there is")
        old = tree.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _merge(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: {_short(old)} -> {_short(new)}"
            if isinstance(old, list) and isinstance(new, list):
                _replace_items(old, new)
            else:
                tree[key] = new


def _replace_items(old: Any, new: list[Any]) -> None:
    """Of a list read with its comments; what follows the list hangs on its last item."""
    after = old.ca.items.get(len(old) - 1)
    while old:
        old.pop()
    old.extend(new)
    if after and new:
        old.ca.items[len(new) - 1] = after


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= terminal.WIDTH else text[: terminal.WIDTH - 1] + "…"


if __name__ == "__main__":
    terminal.run(main)
