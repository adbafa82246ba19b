"""Train an encoder as train_pretext does, but with the EXIF tags shuffled among the training faces:
what is left without them?

A control. The manipulation task, the start and the schedule (as long as this training) are those of
train_pretext. The metrics are taken with the true tags of held-out faces: the ranking accuracies
must be near 0.5."""

import argparse
from pathlib import Path

from pipeline.base import params, terminal
from pipeline.common import artifacts
from pipeline.pretext.task import RESUME, Task, read_faces, save, show, shuffle_tags, trained


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
    options = parser.parse_args(argv)
    p = params.load("seed", "pretext", "shuffled")

    epochs = p.shuffled.epochs
    settings = p.pretext.model_copy(update={"epochs": epochs, "schedule_epochs": max(1, epochs)})
    faces, held_out = read_faces(options.faces, options.manipulated, p.pretext.face_scale)
    task = Task(settings, p.seed, [options.faces, options.manipulated], shuffled=True)
    with trained(
        task, shuffle_tags(faces, p.seed), held_out, states=options.encoder.parent / RESUME
    ) as outcome:
        if outcome is None:
            return
        encoder, result = outcome
        save(encoder, task, options.encoder)
        artifacts.write_json(options.metrics, result.metrics)
    show(result, "Pretext task with shuffled EXIF tags,")


if __name__ == "__main__":
    terminal.run(main)
