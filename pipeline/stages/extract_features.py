"""Compute the features of one generator's pictures."""

from pipeline.base import command_line, params, processes, terminal
from pipeline.encoder.checkpoints import load_encoder
from pipeline.extraction.features import View, extract
from pipeline.face_sets import face_list, feature_sets


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = command_line.paths(
        __doc__,
        root="data root of the faces' names",
        faces="list that list_faces wrote, .csv",
        encoder="encoder, .safetensors",
        output="features to write, .npz",
    )
    options = parser.parse_args(argv)
    p = params.load("features")

    name = options.faces.stem
    view = View(*load_encoder(options.encoder))
    faces = {name: face_list.read(options.faces)}
    features = extract({"as they are": view}, options.root, faces, p.features)["as they are"][name]
    if processes.rank() > 0:  # of several processes the first prints and writes
        return
    feature_sets.write(options.output, features)
    row = {"set": name, "faces": len(features), "features": features.features.shape[1]}
    terminal.table([row], "Features")


if __name__ == "__main__":
    terminal.run(main)
