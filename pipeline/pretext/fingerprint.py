"""A name for all that decides what a training run results in, so that only the same run resumes."""

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

PIPELINE = Path(__file__).parents[1]
# Not base, which cannot change a result
CODE = ("common", "encoder", "perturbation", "pretext", "stages/train_pretext.py")


def fingerprint(
    description: Mapping[str, Any],
    start: nn.Module,
    inputs: Sequence[Path],
    pipeline: Path = PIPELINE,
) -> str:
    """16 hexadecimal digits of: the description (JSON values), the start weights, PyTorch's
    version, sizes and modification times of the input files and folders, and the code.
    """
    weights = hashlib.sha256()
    for value in start.state_dict().values():
        weights.update(value.contiguous().numpy().tobytes())
    content = {
        "description": description,
        "start": weights.hexdigest(),
        "torch": torch.__version__,
        "inputs": {str(path): _stamps(path) for path in inputs},
        "code": {name: _code(pipeline / name) for name in CODE},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and modification time of a file, or of each below a folder; none is read."""
    return [
        (file.relative_to(path).as_posix(), file.stat().st_size, file.stat().st_mtime_ns)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
    ]


def _code(path: Path) -> list[tuple[str, str]]:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [(file.name, normalised(file.read_text(encoding="utf-8"))) for file in files]


def normalised(source: str) -> str:
    """The syntax tree of a module without what cannot change a result: comments, layout,
    docstrings, what is printed, and the texts of errors.
    """
    return ast.dump(_WithoutTexts().visit(ast.parse(source)))


class _WithoutTexts(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "print" or name.endswith("Error"):  # errors by the custom of naming them
            return ast.Call(func=node.func, args=[], keywords=[])
        return self.generic_visit(node)
