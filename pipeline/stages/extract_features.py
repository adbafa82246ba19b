"""Compute the features of one face set's pictures, as they are and with histories."""

import argparse
from dataclasses import replace
from pathlib import Path

from pipeline.base import params, processes, terminal
from pipeline.base.perturbation_names import CLEAN
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import face_list, feature_sets
from pipeline.perturbation.pictures import perturb


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data root of the faces' names")
    parser.add_argument(
        "--faces", type=Path, required=True, help="list that list_faces wrote, .csv"
    )
    parser.add_argument("--encoder", type=Path, required=True, help="encoder, .safetensors")
    parser.add_argument("--output", type=Path, required=True, help="features to write, .npz")
    parser.add_argument(
        "--histories", action="store_true", help="with each history of calibration.histories too"
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "features", "calibration")

    name = options.faces.stem
    view = View(*load_encoder(options.encoder))
    faces = {name: face_list.read(options.faces)}
    histories = p.calibration.histories[1:] if options.histories else []
    views = {CLEAN: view} | {h: replace(view, change=perturb(h, p.seed)) for h in histories}
    found = {h: sets[name] for h, sets in extract(views, options.root, faces, p.features).items()}
    features = found.pop(CLEAN)
    if processes.rank() > 0:  # of several processes the first prints and writes
        return
    feature_sets.write(options.output, features, found)
    row = {"set": name, "faces": len(features), "features": features.features.shape[1]}
    terminal.table([row], "Features")


if __name__ == "__main__":
    terminal.run(main)
