"""The house: which module lies in which layer, that imports go down only, and that cheap stages
stay cheap.
"""

import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter

import pytest

from tests.closure import ROOT, closure, imports

# The layers of the house, lowest first; a module may import its own layer (but for stages) and
# those below.
GROUND = {"base.errors", "base.randomness"}
NOUNS = {
    *(
        "exif",
        "faces",
        "landmarks",
        "piecewise_affine",
        "manipulations",
        "losses",
        "devices",
        "encoder",
        "inference",
    ),
    *(
        "mixture",
        "density",
        "selection",
        "calibration",
        "calibration_size",
        "ranking",
        "evaluation",
        "bootstrap",
    ),
    *(
        "decisions",
        "aggregation",
        "estimates",
        "robustness",
        "confounds",
        "control_questions",
        "controls",
        "comparison",
    ),
    *(
        "explanation",
        "perturbations",
        "formats",
        "people",
        "failing_rules",
        "base.perturbation_names",
        "report.wording",
    ),
    *(
        f"simulation.{name}"
        for name in ("scene", "shots", "parts", "head", "camera", "generators", "sample")
    ),
}
SECTIONS = (
    "worries",
    "generators",
    "calibration",
    "controls",
    "robustness",
    "confounds",
    "feature_space",
    "background",
)
EDGES = {
    *(
        f"base.{name}"
        for name in ("yaml_files", "values", "schema", "params", "atomic", "artifacts", "shards")
    ),
    *(f"base.{name}" for name in ("processes", "console")),
    *(
        "feature_sets",
        "detector",
        "compare",
        "tables",
        "layout",
        "records",
        "checkpoints",
        "plots",
        "resume",
    ),
    *("results", "summary", "report.document", "report.reporting", "report.provenance"),
    *(f"report.figures.{name}" for name in ("canvas", "detection", "checks", "background")),
    *(f"report.sections.{name}" for name in SECTIONS),
}
LOOPS = {
    *("negatives", "datasets", "held_out", "global_batch", "training_state", "training", "pretext"),
    *("features", "changed_faces", "occlusion"),
}
LAYERS = [GROUND, NOUNS, EDGES, LOOPS]

ONLY_EDGES_KNOW = {
    "yaml",
    "pyarrow",
    "safetensors",
    "matplotlib",
    "jinja2",
    "tqdm",
    "PIL",
    "orjson",
    "ijson",
    "pickle",
}
# Import torch inside a function, for what is asked for rarely: several processes, a GPU.
TORCH_WHERE_ASKED = {
    "pipeline/base/processes.py",
    "pipeline/density/fitting.py",
    "pipeline/common/devices.py",
}
WITHOUT_TORCH = (
    *(
        "simulate_sample",
        "check_inputs",
        "fit_gmm",
        "select_mixture",
        "calibrate",
        "evaluate",
        "aggregate",
        "robustness",
    ),
    "report",
)


@cache
def modules() -> dict[str, set[str]]:
    """What each module of the package imports from the package, both without the leading
    `pipeline.`.
    """
    files = {
        p.relative_to(ROOT / "pipeline").with_suffix("").as_posix().replace("/", "."): p
        for p in (ROOT / "pipeline").rglob("*.py")
        if p.name != "__init__.py"
    }
    return {
        name: {i.removeprefix("pipeline.") for i in imports(path)} & set(files)
        for name, path in files.items()
    }


def test_every_module_lies_in_one_layer():
    found = {name for name in modules() if not name.startswith("stages.")}
    assert found == set().union(*LAYERS), "say in this test in which layer a new module lies"
    assert len(found) == sum(map(len, LAYERS))


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_down(name):
    here = next((i for i, layer in enumerate(LAYERS) if name in layer), len(LAYERS))
    allowed = set().union(*LAYERS[: here + 1])
    assert modules()[name] <= allowed, (
        "a noun imports no edge, an edge no loop, and nothing imports a stage"
    )


def test_no_circles():
    list(TopologicalSorter(modules()).static_order())


@pytest.mark.parametrize("name", sorted(GROUND | NOUNS))
def test_nouns_know_no_disk_format_and_no_terminal(name):
    known = {
        i.split(".")[0] for i in imports(ROOT / f"pipeline/{name.replace('.', '/')}.py")
    } & ONLY_EDGES_KNOW
    if name in ("simulation.camera", "perturbations", "formats"):
        known -= {"PIL"}  # compression is a part of what cameras and people do to pictures
    assert not known


# --- cheap stages stay cheap


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_cheap_stages_never_import_torch(name):
    for path in closure(f"pipeline.stages.{name}") - TORCH_WHERE_ASKED:
        assert "torch" not in {i.split(".")[0] for i in imports(ROOT / path)}, (
            f"{name} through {path}"
        )


def test_starting_a_cheap_stage_loads_neither_torch_nor_sklearn_nor_matplotlib():
    cheap = [f"pipeline.stages.{name}" for name in (*WITHOUT_TORCH, "filter_exif")]
    code = f"import sys, {', '.join(cheap)}; print({{'torch', 'sklearn', 'matplotlib', 'pandas', 'pyarrow'}} & set(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "set()"
