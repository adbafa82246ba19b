"""Compute the features of photographs, as they are and with each of calibration.histories."""

import argparse
from dataclasses import replace

from pipeline.base import command_line, params, processes, terminal
from pipeline.base.perturbation_names import CLEAN
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import face_list, feature_sets
from pipeline.perturbation.pictures import perturb


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        root="data root of the faces' names",
        faces="list that list_faces wrote, .csv",
        encoder="encoder, .safetensors",
        output="features to write, .npz",
    )
    flag = argparse.BooleanOptionalAction
    parser.add_argument("--histories", action=flag, default=False, help="not only as they are")
    options = parser.parse_args(argv)
    p = params.load("seed", "features", "calibration")

    name, view = options.faces.stem, View(*load_encoder(options.encoder))
    histories = p.calibration.histories[1:] if options.histories else []
    views = {CLEAN: view} | {h: replace(view, change=perturb(h, p.seed)) for h in histories}
    listed = {name: face_list.read(options.faces)}
    found = {h: sets[name] for h, sets in extract(views, options.root, listed, p.features).items()}
    if processes.rank() > 0:  # of several processes the first prints and writes
        return
    features = found.pop(CLEAN)
    feature_sets.write(options.output, features, found)
    rows = [{"set": name, "faces": len(features), "histories": len(found) + 1}]
    terminal.table(rows, "Features of photographs")


if __name__ == "__main__":
    terminal.run(main)
