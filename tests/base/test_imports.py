"""pipeline/base can change no result, so no stage depends on it: it computes with no library."""

import ast
import sys
from pathlib import Path

BASE = Path(__file__).resolve().parents[2] / "pipeline/base"
ALLOWED = {"pipeline", "pydantic", "ruamel", "threadpoolctl", "tqdm"} | sys.stdlib_module_names


def test_base_imports_base_and_no_library_that_computes_not_even_inside_functions():
    imported = set()
    for path in BASE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
    assert imported and {name.split(".")[0] for name in imported} <= ALLOWED
    ours = {name for name in imported if name.split(".")[0] == "pipeline"}
    assert all(name.startswith("pipeline.base") for name in ours)
