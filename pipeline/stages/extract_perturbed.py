"""Extract features of the same faces perturbed: photographs and all generators, one perturbation.

robustness judges them. Another mixture, threshold or false alarm rate so encodes no picture again.
"""

import argparse
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import parse
from pipeline.common import artifacts
from pipeline.common.names import PHOTOGRAPHIC
from pipeline.encoder import checkpoints
from pipeline.extraction import variants as changed_faces
from pipeline.face_sets import feature_sets
from pipeline.perturbation.pictures import perturb


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = _options(argv)
    p = params.load("seed", "features", "robustness", "generators")
    try:
        parse(options.perturbation)
    except ValueError as error:
        raise PipelineError(f"perturbations: {options.perturbation!r}: {error}") from None

    found = feature_sets.read_all(
        options.features, options.counts, [PHOTOGRAPHIC[2], *p.generators]
    )
    clean = {
        name: faces.at_most(p.robustness.faces, seed=p.seed, purpose="robustness")
        for name, faces in found.items()
    }
    encoder, meta = checkpoints.load_encoder(options.encoder)
    change = perturb(options.perturbation, p.seed)
    perturbed = changed_faces.extract(
        encoder, meta["input_size"], options.root, clean, p.features, change=change
    )
    artifacts.write_npz(options.output, **feature_sets.changed_arrays(perturbed))
    faces = {name: len(one) for name, one in perturbed.items()}
    of = {"faces": faces, "features_sha256": feature_sets.sums(options.counts, [*perturbed])}
    artifacts.write_json(options.metrics, {**of, "sha256": artifacts.sha256(options.output)})
    terminal.table(
        [{"set": name, "faces": count} for name, count in faces.items()],
        f"Features, {options.perturbation}",
    )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--perturbation", required=True, help="its name, as in params.yaml's perturbations"
    )
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="data root, which names in the feature files are relative to",
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="encoder that the features come from"
    )
    parser.add_argument("--features", type=Path, required=True, help="folder of the sets' features")
    parser.add_argument(
        "--counts",
        type=Path,
        required=True,
        help="folder of the sets' counts, which tell the features' SHA-256",
    )
    parser.add_argument("--output", type=Path, required=True, help="features to write, .npz")
    parser.add_argument(
        "--metrics",
        type=Path,
        required=True,
        help="counts and the output's SHA-256 to write, .json",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
