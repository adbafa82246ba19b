"""Extraction of perturbed pictures, faces per second: `python -m benchmarks.robustness`, one row
for each kind of perturbation.

The ceiling is plain extraction of the same files; on the sample's small encoder, where a
perturbation shows most: ResNet-50 at 224 pixels computes twenty-seven times as long for each face.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import harness
from benchmarks.extract_features import Case, cases, pictures
from pipeline.base import params, terminal
from pipeline.encoder.network import Encoder
from pipeline.extraction import features
from pipeline.perturbation.pictures import perturb

PERTURBATIONS = (
    "jpeg_75",
    "double_jpeg_75",
    "webp_80",
    "resize_0.5",
    "crop_0.9",
    "blur_2",
    "noise_5",
)
FACES, ROUNDS = 256, 7


def measure(quick: bool = False) -> list[harness.Row]:
    """A row robustness_<kind> for each kind: ours = perturbed, ceiling = plain."""
    case = cases(quick)[0] if quick else replace(cases(quick)[0], faces=FACES, rounds=ROUNDS)
    encoder = Encoder(case.architecture, case.feature_dim, seed=1).eval()
    with tempfile.TemporaryDirectory() as folder:
        names = pictures(Path(folder), case)
        ways = {
            name: extraction(case, encoder, Path(folder), names, name)
            for name in ("plain", *PERTURBATIONS)
        }
        rates = harness.interleaved(ways, case.rounds)
    note = f"{case.architecture}, {case.size} px"
    return [
        harness.row(
            f"robustness_{name}",
            "faces/s",
            ours=rates[name],
            baseline=None,
            ceiling=rates["plain"],
            note=note,
        )
        for name in PERTURBATIONS
    ]


def extraction(
    case: Case, encoder: Encoder, root: Path, names: list[str], perturbation: str
) -> Callable[[], float]:
    """Faces per second of one extraction of all pictures, `plain` or perturbed."""
    settings = params.load("features").features.model_copy(update={"device": "cpu"})
    change = None if perturbation == "plain" else perturb(perturbation, seed=1)

    def once() -> float:
        begun = time.perf_counter()
        found = features.extract(encoder, case.size, root, names, settings, change=change)
        assert len(found.names) == len(names)
        return len(names) / (time.perf_counter() - begun)

    return once


def main() -> None:
    """Print the table."""
    harness.show(measure(quick="--quick" in sys.argv[1:]))


if __name__ == "__main__":
    terminal.run(main)
