"""What a stage loads when it starts, seen by Python itself: no stage waits for a library that it
does not use.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.common import artifacts
from pipeline.density.mixture import Mixture
from tests.closure import ROOT

STAGES = sorted(path.stem for path in (ROOT / "pipeline/stages").glob("[a-z]*.py"))
# Each costs between a tenth of a second and several seconds of CPU time.
HEAVY = {
    *(
        "torch",
        "torchvision",
        "sklearn",
        "scipy",
        "pandas",
        "pyarrow",
        "matplotlib",
        "PIL",
        "jinja2",
        "safetensors",
    ),
    *("ijson", "dvc", "cv2", "skimage", "hypothesis", "pytest"),
}
WITH_AN_ENCODER = (
    *(
        "train_pretext",
        "train_shuffled",
        "extract_features",
        "extract_perturbed",
        "confounds",
        "controls",
        "explain",
    ),
)
AT_ONCE = {"simulate_sample": {"scipy"}, **{name: {"torch"} for name in WITH_AN_ENCODER}}
AT_ONCE |= {name: {"torch", "PIL"} for name in ("extract_perturbed", "confounds")}


# Each --help in a process split off from one that has its libraries already: importing torch takes
# seconds.
HELPS = """
import contextlib, io, json, multiprocessing, runpy, sys

def show(name, results):
    before, printed = set(sys.modules), io.StringIO()
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        runpy.run_module(f"pipeline.stages.{name}", run_name="__main__", alter_sys=True)
    results.send((sorted(set(sys.modules) - before), printed.getvalue()))

def each(name):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=show, args=(name, theirs))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found

library, *names = sys.argv[1:]
if library:
    __import__(library)
print(json.dumps([sorted(sys.modules), {name: each(name) for name in names}]))
"""


def packages(modules):
    """Top-level packages."""
    return {name.split(".")[0] for name in modules}


def helps_of(names, library=""):
    """By stage: the packages that its --help loads, and what it prints, where only this library is
    there before.
    """
    command = [sys.executable, "-c", HELPS, library, *names]
    there, found = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    assert packages(there) & (HEAVY | {"pipeline"}) == ({library} if library else set())
    return {name: (packages(loaded), printed) for name, (loaded, printed) in found.items()}


@pytest.fixture(scope="module")
def helps():
    """Every stage's --help."""
    others = [name for name in STAGES if name not in WITH_AN_ENCODER]
    with ThreadPoolExecutor() as pool:
        without, with_torch = pool.map(helps_of, (others, WITH_AN_ENCODER), ("", "torch"))
    return without | with_torch


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_starts_with_what_it_needs_at_once(helps, name):
    loaded, printed = helps[name]
    assert printed.startswith("usage: ") and "pipeline" in loaded
    assert loaded & HEAVY <= AT_ONCE.get(name, set())


def test_calibrating_loads_neither_torch_nor_sklearn_nor_pandas(tmp_path):
    mixture = Mixture(
        "spherical",
        np.zeros(3),
        np.ones(3),
        np.zeros((0, 3)),
        np.ones(1),
        np.zeros((1, 3)),
        np.ones(1),
    )
    artifacts.write_npz(tmp_path / "gmm.npz", **mixture.to_arrays())
    sets = []
    for seed, name in enumerate(("fit", "calibration", "test")):
        features = np.random.default_rng(seed).normal(size=(100, 3)).astype(np.float32)
        names = np.array([f"{name}/{i}" for i in range(100)])
        heads = np.zeros((100, 5), dtype=np.float32)
        artifacts.write_npz(
            tmp_path / f"{name}.npz",
            names=names,
            features=features,
            heads=heads,
            source_sha256=names,
        )
        sets += [f"--{name}", f"{name}.npz"]
    (tmp_path / "params.yaml").write_text(
        "{seed: 1, data: {root: data, person_pattern: ''}, "
        "calibration: {false_alarm_rates: [0.05], review_rate: 0.05, flag_rate: 0.05, curve_draws: 5}}\n"
    )
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipeline.stages import calibrate; calibrate.main()"
    written = ["--threshold", "threshold.json", "--metrics", "calibration.json"]
    written += ["--calibration-scores", "scores.npz", "--sizes", "sizes.csv"]
    command = [sys.executable, "-X", "importtime", "-c", code, "--gmm", "gmm.npz", *sets, *written]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert (tmp_path / "calibration.json").exists()
    assert packages(line.rsplit("|", 1)[1].strip() for line in lines) & HEAVY == {"scipy"}
