"""Every command has a help, and waits for no library that it does not use: each costs up to
seconds at every start.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENCODERS = {"extract_features", "extract_photographs", "extract_variants", "train_pretext"}
WITH_AN_ENCODER = ENCODERS | {"explain"}
STAGES = {path.stem for path in (ROOT / "pipeline/stages").glob("[a-z]*.py")} - WITH_AN_ENCODER
COMMANDS = [
    *(f"pipeline.stages.{name}" for name in sorted(STAGES)),
    "pipeline.base.profile",
    "pipeline.comparison.__main__",
    "pipeline.comparison.pull_request.__main__",
    "pipeline.density.selection",
    "pipeline.detect.__main__",
    "pipeline.export.__main__",
    "pipeline.import_checkpoint.__main__",
    "pipeline.report.summary",
    "benchmarks.stages",
]
# Imported at once by stages, besides these everything is imported where it is used.
AT_ONCE = {"pipeline.stages.simulate_sample": ["scipy"]}
# Each --help in a process of its own, split off from one that has imported nothing.
HELPS = """
import contextlib, importlib, io, json, multiprocessing, sys

HEAVY = {"PIL", "dvc", "ijson", "jinja2", "matplotlib", "pandas", "pyarrow", "safetensors",
         "scipy", "sklearn", "timm", "torch", "torchvision", "cv2", "hypothesis", "pytest",
         "skimage"}

def start(name):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module(name).main(["--help"])
    return printed.getvalue()[:7], sorted({name.split(".")[0] for name in sys.modules} & HEAVY)

with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
    names = sys.argv[1:]
    print(json.dumps(dict(zip(names, pool.map(start, names, chunksize=1)))))
"""


@pytest.fixture(scope="module")
def started() -> dict[str, tuple[str, list[str]]]:
    command = [sys.executable, "-c", HELPS, *COMMANDS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_starts_with_what_it_needs_at_once(started, name):
    printed, heavy = started[name]
    assert printed == "usage: "
    assert heavy == AT_ONCE.get(name, [])
