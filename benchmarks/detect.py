"""Scoring files, faces per second: `python -m benchmarks.detect`, with an encoder of random weights
behind the density and the thresholds of any.

- ours: picture files to rows, as `python -m pipeline.detect` makes them;
- baseline: extract_features on the same files, which knows their list and writes no rows;
- ceiling: the files read and decoded on every core, and nothing else.

The sample's encoder on portraits of its size and on photographs of 1,024 px, and ResNet-50 on faces
of 224 px."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import extract_features, harness
from benchmarks.extract_features import Case
from pipeline.base import params, terminal
from pipeline.calibration.decisions import Decisions
from pipeline.common.names import HEADS
from pipeline.density.density import Density
from pipeline.density.mixture import Mixture
from pipeline.detect.computing import computing, in_order
from pipeline.detect.crops import Whole
from pipeline.detect.detector import Detector
from pipeline.detect.model import Model, Rates
from pipeline.detect.reading import read
from pipeline.detect.rows import Rows
from pipeline.detect.scoring import score
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing

LARGE = 1024  # pixels, of a photograph's side


def cases(quick: bool) -> list[Case]:
    """The rows of the table."""
    p = params.load("pretext").pretext
    settings = params.load("features").features.model_copy(update={"device": "cpu"})
    sample, resnet, rounds = Architecture.of(p), Architecture("resnet50"), 1 if quick else 5
    own, large, paper = (((side, side),) * 2 for side in (p.input_size, LARGE, 224))
    faces = [8, 8, 8] if quick else [1024, 128, 64]
    ways = [
        ("detect_sample", sample, p.input_size, own),
        ("detect_large", sample, p.input_size, large),
        ("detect", resnet, 32 if quick else 224, paper),
    ]
    return [Case(*way, n, rounds, settings) for way, n in zip(ways, faces, strict=True)]


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows detect_sample, detect_large and detect."""
    return [compare(case) for case in cases(quick)]


def compare(case: Case) -> harness.Row:
    """One row: the ways in turn."""
    with tempfile.TemporaryDirectory() as name:
        names = extract_features.pictures(Path(name), case)
        encoder = Encoder(case.architecture, seed=1).eval()
        paths = [str(Path(name, one)) for one in names]
        once = ours(Detector(model(encoder, case.size), "cpu"), paths, Path(name, "rows.csv"))
        once()
        peak = harness.peak_memory_mb()  # before the others take theirs
        ways = {
            "ours": once,
            "baseline": extract_features.ours(case, encoder, Path(name), names),
            "ceiling": timed(paths, lambda: list(in_order(read, paths))),
        }
        rates = harness.interleaved(ways, case.rounds)
    note = f"{case.architecture.name}, files of {case.shapes[0][0]} px"
    return harness.row(case.stage, "faces/s", **rates, peak_memory_mb=peak, note=note)


def ours(detector: Detector, paths: Sequence[str], out: Path) -> Callable[[], float]:
    """Files to rows in a file."""

    def work() -> None:
        out.unlink(missing_ok=True)
        rows = Rows(out, detector.identity)
        with computing():
            for some in score(detector, paths, Whole()):
                rows.write(some)
        rows.close()

    return timed(paths, work)


def timed(paths: Sequence[str], work: Callable[[], object]) -> Callable[[], float]:
    """The paths per second at which work is done."""

    def once() -> float:
        begun = time.perf_counter()
        work()
        return len(paths) / (time.perf_counter() - begun)

    return once


def model(encoder: Encoder, size: int) -> Model:
    """A model around an encoder, whose thresholds are of one component and 100 photographs."""
    d = encoder.feature_dim
    mixture = Mixture(
        "full",
        shift=np.zeros(d),
        scale=np.ones(d),
        projection=np.zeros((0, d)),
        weights=np.ones(1),
        means=np.zeros((1, d)),
        precisions_cholesky=np.eye(d)[None],
    )
    of_heads = np.zeros(len(HEADS)), np.ones(len(HEADS))
    scores = np.arange(100.0)[None]
    decisions = Decisions({"review": 94.0, "flag": 98.0}, "review", "flag", 0.0, scores, *of_heads)
    return Model(
        encoder=encoder,
        preprocessing=Preprocessing(size),
        density=Density({"features": mixture}),
        decisions=decisions,
        rates=Rates(0.05, 0.01),
        sizes=None,
        precision="float32",
        identity="a benchmark's",
    )


def main() -> None:
    """Print the table."""
    harness.show(measure(quick="--quick" in sys.argv[1:]))


if __name__ == "__main__":
    terminal.run(main)
