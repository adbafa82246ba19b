"""What `python -m <module>` may import, found in the source without running it."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def closure(module: str, root: Path = ROOT, seen: set[str] | None = None) -> set[str]:
    """Paths, relative to root, of all project modules that a module imports, directly or through
    others.
    """
    seen = set() if seen is None else seen
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        path = _file(tuple(parts[:i]), root)
        if path is None or path.relative_to(root).as_posix() in seen:
            continue
        seen.add(path.relative_to(root).as_posix())
        for name in imports(path):
            if name.split(".")[0] == parts[0]:
                closure(name, root, seen)
    return seen


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names that a source file imports anywhere, inside functions too: modules, and names that
    may be modules.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in _imported(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise ValueError(
                "relative import: write the whole name, so that a reader and this check can follow "
                "it"
            )
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@cache
def _file(parts: tuple[str, ...], root: Path) -> Path | None:
    base = root.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None
