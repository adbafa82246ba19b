"""Train the encoder on the pretext task: rank EXIF tags, detect manipulations; nothing in it is
AI-generated.
"""

import argparse
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.pretext.task import RESUME, Task, read_faces, save, show, trained


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder that filter_exif wrote")
    parser.add_argument(
        "--manipulated", type=Path, required=True, help="folder that manipulate_faces wrote"
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="encoder to write, .safetensors"
    )
    parser.add_argument(
        "--metrics", type=Path, required=True, help="held-out metrics to write, .json"
    )
    parser.add_argument(
        "--history", type=Path, required=True, help="one row per epoch to write, .csv"
    )
    parser.add_argument(
        "--speed",
        type=Path,
        required=True,
        help="faces per second to write, .json (differs from run to run)",
    )
    options = parser.parse_args(argv)
    p = params.load("seed", "pretext")

    faces, held_out = read_faces(options.faces, options.manipulated, p.pretext.face_scale)
    task = Task(p.pretext, p.seed, [options.faces, options.manipulated])
    with trained(task, faces, held_out, states=options.encoder.parent / RESUME) as outcome:
        if outcome is None:
            return
        encoder, result = outcome
        save(encoder, task, options.encoder)
        artifacts.write_json(options.metrics, result.metrics)
        artifacts.write_csv(
            options.history,
            {name: [row[name] for row in result.history] for name in result.history[0]},
        )
        artifacts.write_json(
            options.speed, {"train_pretext": {"faces_per_second": result.faces_per_second}}
        )
    show(result)


if __name__ == "__main__":
    terminal.run(main)
