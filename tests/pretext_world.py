"""Faces of the pretext task that a small network learns in seconds: bright where tags are large."""

import numpy as np
import pandas as pd
import torch
from ruamel import yaml

from pipeline.base.schema import Pretext
from pipeline.common import artifacts, shards
from pipeline.common.names import TAGS
from pipeline.pretext.faces import face_set
from pipeline.pretext.tags import RankedTag

FOUR = tuple(RankedTag(tag, "log2", 2.0 if tag == "f_number" else 1.0) for tag in TAGS)
PARAMS = """
seed: 3
pretext: {architecture: native, widths: [8, 16, 32], blocks: 1, levels: last, pooling: mean,
  feature_dim: 8, start: none, input_size: 32, face_scale: 1.3,
  antialias: true, augmentation: {flip: false, crop: 1, histories: 0},
  photograph_probability: 0.5, tie_stops: 0.1667, loss_weights: {iso: 1, f_number: 1,
  exposure_time_s: 1, focal_length_mm: 1, manipulation: 1}, dropout: 0, stochastic_depth: 0,
  epochs: 2, batch_size: 16, optimiser: adam, learning_rate: 0.001, betas: [0.9, 0.98],
  epsilon: 1e-6, weight_decay: 1e-4, schedule: cosine, schedule_epochs: 2, warmup: 0,
  minimum_learning_rate: 1e-7, device: cpu, precision: float32, tf32: false, deterministic: true,
  compile: false}
shuffled: {epochs: 1}
"""


def pretext(**changes):
    """Settings with eight faces a batch and one epoch; changes: of the values above."""
    values = yaml.YAML(typ="safe").load(PARAMS)["pretext"]
    values |= {"epochs": 1, "batch_size": 8, "schedule_epochs": 4, "minimum_learning_rate": 1e-5}
    return Pretext(**{**values, **changes})


def bright_faces(n, name="t"):
    """A face set in memory; a manipulation blackens the upper half."""
    level = np.random.default_rng(n).uniform(size=n)
    pixels = (40 + 180 * level[:, None, None, None] + np.zeros((n, 48, 48, 3))).astype(np.uint8)
    manipulations = pixels.repeat(4, axis=0)
    manipulations[:, :24] = 0
    faces = pd.DataFrame({"face_id": [f"{name}{i}" for i in range(n)], "row": np.arange(n)})
    for tag in TAGS:
        faces[tag] = 50 * 2 ** (4 * level)
    table = pd.DataFrame({"row": np.arange(4 * n), "face_row": np.arange(4 * n) // 4})
    return face_set(
        faces, pixels, table, manipulations, np.tile([4.0, 4, 44, 44], (n, 1)), ranked=FOUR
    )


def write_inputs(folder, faces=60, validation=5, box=(30.0, 30.0, 90.0, 100.0)):
    """Faces and manipulations as the stages before write them."""
    rng = np.random.default_rng(0)
    level = rng.uniform(size=faces)
    table = pd.DataFrame({"face_id": [f"f{i}" for i in range(faces)], "row": np.arange(faces)})
    table["split"] = ["validation" if i < validation else "train" for i in range(faces)]
    for name, value in zip(("box_x0", "box_y0", "box_x1", "box_y1"), box, strict=True):
        table[name] = value
    for tag in TAGS:
        table[tag] = 50 * 2 ** (4 * level)
    operations = pd.DataFrame({"row": np.arange(4 * faces), "face_row": np.arange(4 * faces) // 4})
    noise = rng.uniform(0, 9, (faces, 128, 128, 3))
    pixels = (40 + 180 * level[:, None, None, None] + noise).astype(np.uint8)
    for name, rows, pictures in (
        ("faces", table, pixels),
        ("manipulated", operations, pixels.repeat(4, axis=0)[:, ::-1]),
    ):
        writer = shards.ShardWriter(folder / name, (128, 128, 3))
        writer.append(pictures)
        writer.close()
        artifacts.write_table(folder / name / f"{name}.parquet", rows)
    described = {"tags": [tag._asdict() for tag in FOUR]}
    artifacts.write_json(folder / "faces/exif.json", described)


def weights_of(encoder):
    return [value.clone() for value in encoder.state_dict().values()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
