"""What `python -m <module>` may import, found in the source without running it."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def closure(module: str, seen: set[str] | None = None) -> set[str]:
    """Names of all project modules that a module imports, directly or through others."""
    seen = set() if seen is None else seen
    parts = module.split(".")
    for name in (".".join(parts[:i]) for i in range(1, len(parts) + 1)):
        path = source(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        for imported in imports(path):
            if imported.split(".")[0] == "pipeline":
                closure(imported, seen)
    return seen


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names that a source file imports anywhere, inside functions too: modules or names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in _imported(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError("relative import: write the whole name, so that a reader can follow")
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@cache
def source(module: str) -> Path | None:
    """The file of a module of this project, None where there is none."""
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None
