"""Train the encoder on the pretext task: rank EXIF tags, detect manipulations; nothing in it is AI-generated."""

import argparse
import contextlib
import hashlib
from pathlib import Path
from typing import Any

import torch

from pipeline import artifacts, checkpoints, console, params, processes, resume, schema
from pipeline.datasets import FaceSet, face_set
from pipeline.encoder import CLIP_MEAN, CLIP_STD, HEADS, Encoder
from pipeline.errors import PipelineError
from pipeline.faces import BOX_COLUMNS, square_box
from pipeline.training import Interrupted, Result, train

RESUME = ".resume"  # folder of saved states beside the encoder
ENDED_ON_REQUEST = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run again


def main(argv: list[str] | None = None) -> None:
    """Run the stage with the given command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder that filter_exif wrote")
    parser.add_argument("--manipulated", type=Path, required=True, help="folder that manipulate_faces wrote")
    parser.add_argument("--encoder", type=Path, required=True, help="encoder to write, .safetensors")
    parser.add_argument("--metrics", type=Path, required=True, help="held-out metrics to write, .json")
    parser.add_argument("--history", type=Path, required=True, help="one row per epoch to write, .csv")
    parser.add_argument("--speed", type=Path, required=True, help="faces per second to write, .json (differs from run to run)")
    options = parser.parse_args(argv)
    p = params.load("seed", "pretext")

    training, held_out = read_faces(options.faces, options.manipulated, p.pretext.face_scale)
    start = p.pretext.start
    encoder = checkpoints.start_encoder(start, p.pretext.architecture, p.pretext.feature_dim, seed=p.seed)
    states, first = options.encoder.parent / RESUME, processes.rank() == 0
    with resume.lock(states) if first else contextlib.nullcontext(), console.requests_to_end() as asked_to_end:
        store = resume.Store(states, fingerprint(encoder, p, [options.faces, options.manipulated])) if first else None
        try:
            result = train(encoder, training, held_out, p.pretext, seed=p.seed, store=store, asked_to_end=asked_to_end)
        except Interrupted:
            if first:
                print("ended on request, the state is saved: run again (dvc repro), and training goes on from here", flush=True)
            raise SystemExit(ENDED_ON_REQUEST) from None
        if store is None:
            return
        checkpoints.save_encoder(options.encoder, encoder, describe(p.pretext, p.seed))
        artifacts.write_json(options.metrics, result.metrics)
        artifacts.write_csv(options.history, {name: [row[name] for row in result.history] for name in result.history[0]})
        artifacts.write_json(options.speed, {"train_pretext": {"faces_per_second": result.faces_per_second}})
        store.clear()
    show(result)


def fingerprint(start: Encoder, p: Any, inputs: list[Path]) -> str:
    """The name of this run's saved states: another one for any other parameters, start weights, faces or code."""
    weights = hashlib.sha256()
    for tensor in start.state_dict().values():
        weights.update(tensor.contiguous().numpy().tobytes())
    settings = {**p.model_dump(mode="json"), "start": weights.hexdigest(), "torch": torch.__version__}
    return resume.fingerprint(settings, inputs)


def read_faces(faces: Path, manipulated: Path, face_scale: float) -> tuple[FaceSet, FaceSet]:
    """The training and the held-out faces with their manipulations."""
    table = artifacts.read_table(faces / "faces.parquet")
    operations = artifacts.read_table(manipulated / "manipulated.parquet")
    photographs, manipulations = artifacts.read_shards(faces), artifacts.read_shards(manipulated)
    height, width, _ = photographs.shape
    sets = []
    for split in ("train", "validation"):
        part = table[table["split"] == split]
        try:
            boxes = square_box(part[list(BOX_COLUMNS)].to_numpy(float), face_scale, width, height)
        except ValueError as error:
            raise PipelineError(f"{faces}/faces.parquet, split {split}: {error}; filter_exif should reject it") from error
        sets.append(face_set(part, photographs, operations, manipulations, boxes))
    return sets[0], sets[1]


def describe(pretext: schema.Pretext, seed: int) -> dict[str, Any]:
    """Metadata with which the encoder file can be used without this repository's params.yaml."""
    return {
        "input_size": pretext.input_size,
        "face_scale": pretext.face_scale,
        "resize": "bilinear",
        "antialias": pretext.antialias,
        "mean": CLIP_MEAN,
        "std": CLIP_STD,
        "tags": HEADS[:4],
        "heads": HEADS,
        "params": {"seed": seed, "pretext": pretext.model_dump(mode="json")},
    }


def show(result: Result) -> None:
    """Print the held-out metrics, and why any is missing."""
    metrics, losses = result.metrics, result.metrics["losses"]
    rows = [
        {
            "head": name,
            "training loss": losses["train"][name],
            "held-out loss": losses["held_out"][name],
            "ranking accuracy": metrics["ranking_accuracy"].get(name),
            "AUC": metrics["manipulation_auc"] if name == "manipulation" else None,
        }
        for name in losses["train"]
    ]
    rows.append(dict.fromkeys(rows[0]) | {"head": "mean", "ranking accuracy": metrics["ranking_accuracy"]["mean"]})
    console.table(rows, "Pretext task on {train:,} training and {held_out:,} held-out faces".format(**metrics["faces"]))
    for name, reason in metrics["not_computed"].items():
        print(f"not computed: {name}: {reason}")
    if result.faces_per_second:
        print(f"{result.faces_per_second:.0f} faces per second")


if __name__ == "__main__":
    console.run(main)
