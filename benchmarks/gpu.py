"""On a GPU: the tests marked `cuda`, then one table of speeds: `python -m benchmarks.gpu`.

It needs neither dvc nor git, and takes some minutes on one card. ResNet-50 at 224 px against the
published recipe on the same card (float32, files read by DataLoader workers) and against the bare
step; the mixture of the paper's size against scikit-learn on this machine's processor. What fails
is named at the end and keeps nothing else from running; the exit status is then 1."""

import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks import extract_features, fit_gmm, harness, train_pretext
from benchmarks.__main__ import machine
from pipeline.base import command_line, params, terminal
from pipeline.base.errors import PipelineError
from pipeline.encoder.backbones import Architecture

ROOT = Path(__file__).resolve().parents[1]
# By name: others import what only the pipeline's own environment has.
FILES = ["tests/cuda", "tests/encoder/test_preprocessing.py"]
TESTS = [sys.executable, "-m", "pytest", "-m", "cuda", *FILES]
RESNET = {"architecture": "resnet50", "levels": "last", "feature_dim": 768, "input_size": 224}
ON_GPU = {"device": "cuda", "precision": "bfloat16"}


def main(argv: list[str] | None = None) -> None:
    """Run the tests, measure, print."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--no-tests", action="store_true", help="measure only")
    options = parser.parse_args(argv)
    import torch

    if not torch.cuda.is_available():
        raise PipelineError("PyTorch sees no CUDA device here: run this on a machine with a GPU")
    passed = options.no_tests or not subprocess.run(TESTS, cwd=ROOT, check=False).returncode
    failed = [] if passed else ["the tests marked cuda"]
    rows = []
    for measure in (training, extraction, fit_gmm.on_gpu):
        try:
            rows.append(measure())
        except Exception:  # the others are worth their minutes all the same
            traceback.print_exc()
            failed.append(f"{measure.__module__}.{measure.__name__}")
    print(machine())
    harness.show(rows)
    if failed:
        raise PipelineError(f"{', '.join(failed)} failed, see above")


def training() -> harness.Row:
    """Training in batches of 256; ours and the bare step compiled."""
    how = {**RESNET, **ON_GPU, "batch_size": 256, "epochs": 1, "antialias": False, "compile": True}
    case = train_pretext.Case("train_pretext_gpu", train_pretext.settings(**how), 40, 3)
    with tempfile.TemporaryDirectory() as name:
        stored = train_pretext.store(Path(name))
        return train_pretext.compare(case, Path(name), stored)


def extraction() -> harness.Row:
    """Features of portraits as CelebA's and a generator's files are."""
    p = params.load("features").features
    shapes = extract_features.CELEBA, extract_features.GENERATED
    case = extract_features.Case(
        stage="extract_features_gpu",
        architecture=Architecture("resnet50"),
        size=224,
        shapes=shapes,
        faces=4096,
        rounds=3,
        settings=p.model_copy(update={**ON_GPU, "batch_size": 256}),
    )
    return extract_features.compare(case)


if __name__ == "__main__":
    terminal.run(main)
