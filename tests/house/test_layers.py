"""The house: one package per step of the method, and imports that go down only."""

import ast
from functools import cache

import pytest

from tests.closure import ROOT, imports

# Lowest first; a package imports those of lower layers, and evaluation imports calibration.
LAYERS = [
    {"base"},
    {"common", "face_detection"},
    {"calibration", "density", "encoder", "exif", "face_sets"},
    {
        "attribution",
        "evaluation",
        "import_checkpoint",
        "manipulation",
        "perturbation",
        "simulation",
    },
    {"extraction", "pretext"},
    {"audit", "comparison", "explanation", "report"},
    {"detect"},
    {"export", "stages"},
]
MOST_ARROWS = 62  # besides those into base, which can change no result


@cache
def arrows() -> dict[str, set[str]]:
    """The packages that each package imports."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "pipeline").glob("*/**/*.py"):
        package = path.relative_to(ROOT / "pipeline").parts[0]
        names = {i.split(".")[1] for i in imports(path) if i.startswith("pipeline.")}
        found.setdefault(package, set()).update(names - {package})
    return found


def test_every_package_lies_in_one_layer_and_says_what_it_is_for():
    assert set(arrows()) == set().union(*LAYERS)
    assert len(arrows()) == sum(map(len, LAYERS))
    for package in arrows():
        text = (ROOT / "pipeline" / package / "__init__.py").read_text(encoding="utf-8")
        doc = ast.get_docstring(ast.parse(text))
        assert doc and doc.endswith(".") and len(ast.parse(text).body) == 1, package


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_imports_go_strictly_down(level):
    below = set().union(*LAYERS[:level])
    for package in LAYERS[level]:
        assert arrows()[package] <= below, f"{package} imports {arrows()[package] - below}"


def test_the_plan_of_the_house_can_be_drawn():
    assert sum(len(names - {"base"}) for names in arrows().values()) <= MOST_ARROWS


def test_no_stage_imports_another():
    for path in (ROOT / "pipeline/stages").glob("*.py"):
        assert not [i for i in imports(path) if i.startswith("pipeline.stages")], path.name
