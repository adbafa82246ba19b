"""Train the encoder on the pretext task: rank EXIF tags, detect manipulations; nothing in it is
AI-generated. With --shuffled the tags are shuffled among the training faces, for a control.

Asked to end, the stage saves a checkpoint and exits with status 75; started again with the same
parameters, faces and code it resumes from there, to the same bytes."""

import argparse
from typing import Any

from pipeline.base import command_line, ending, params, processes, terminal
from pipeline.common import artifacts
from pipeline.encoder import checkpoints
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.pretext import results
from pipeline.pretext.checkpoint import CheckpointFile
from pipeline.pretext.faces import read_faces, shuffle_tags
from pipeline.pretext.fingerprint import fingerprint
from pipeline.pretext.optimisation import warn_of_a_rising_rate
from pipeline.pretext.tags import check_weights, rankable, warn_of_constant_tags
from pipeline.pretext.training import resolved, train

RESUME = ".resume"  # folder of checkpoints beside the encoder
ENDED_ON_REQUEST = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run again


def arguments(argv: list[str] | None) -> Any:
    """The command line."""
    parser = command_line.paths(
        __doc__,
        faces="folder that filter_exif wrote",
        manipulated="folder that manipulate_faces wrote",
        encoder="encoder to write, .safetensors",
        details="all results of the last epoch to write, .json",
        metrics="the main ones to write, .json",
        history="one row per epoch to write, .csv",
    )
    flag, text = argparse.BooleanOptionalAction, "shuffle the tags, for a control"
    parser.add_argument("--shuffled", action=flag, default=False, help=text)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    options = arguments(argv)
    p = params.load("seed", "pretext", "shuffled")
    settings, _ = resolved(p.pretext)  # first: what is missing is said before any work
    faces, validation_set = read_faces(options.faces, options.manipulated, settings.face_scale)
    check_weights(faces.ranked, settings.loss_weights)
    ranked, constant = rankable(faces.tags, faces.ranked, settings.tie_stops)
    faces, validation_set = (each.with_tags(ranked) for each in (faces, validation_set))
    if options.shuffled:
        epochs = min(p.shuffled.epochs, settings.epochs or p.shuffled.epochs)
        control = {"epochs": epochs, "schedule_epochs": max(1, epochs)}
        settings, faces = settings.model_copy(update=control), shuffle_tags(faces, p.seed)
    encoder = checkpoints.start_encoder(
        settings.start,
        Architecture.of(settings),
        faces.heads,
        seed=p.seed,
        dropout=settings.dropout,
        stochastic_depth=settings.stochastic_depth,
    )
    described = results.describe(settings, p.seed, shuffled=options.shuffled)
    if first := processes.rank() == 0:
        warn_of_a_rising_rate(settings)
        warn_of_constant_tags(constant)
    path = options.encoder.parent / RESUME / f"{options.encoder.stem}.checkpoint"
    with ending.requests_to_end() as asked_to_end:
        inputs = [options.faces, options.manipulated]
        saved = CheckpointFile(path, fingerprint(described, encoder, inputs))
        result = train(
            encoder,
            faces,
            validation_set,
            settings,
            seed=p.seed,
            checkpoint=saved,
            asked_to_end=asked_to_end,
        )
        if result is None:
            if first:
                print("ended on request: run again (dvc repro) to resume", flush=True)
            raise SystemExit(ENDED_ON_REQUEST)
        if not first:
            return
        details = {**result.metrics, "precision": settings.precision, "no_head": constant}
        artifacts.write_json(options.details, details)
        artifacts.write_json(options.metrics, results.flat(result.metrics))
        columns = {name: [row[name] for row in result.history] for name in result.history[0]}
        artifacts.write_csv(options.history, columns)
        # Last: an encoder whose figures cannot be written is none to go on with.
        preprocessing = Preprocessing(settings.input_size, antialias=settings.antialias)
        meta = {"face_scale": settings.face_scale, "tags": faces.heads[:-1]}
        checkpoints.save_encoder(options.encoder, encoder, preprocessing, params=described, **meta)
        saved.clear()
    results.show(result, shuffled=options.shuffled)


if __name__ == "__main__":
    terminal.run(main)
