"""Training, faces per second: `python -m benchmarks.train_pretext`, on ResNet-50 at 224 px and on
the sample's encoder.

- ours: `training.train` on shards that the stages before it wrote;
- baseline: the published recipe, PNG files opened by PIL in DataLoader workers, float32,
channels-first;
- ceiling: forward, losses, backward and optimiser on one batch that lies ready, with our memory
layout."""

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from benchmarks import harness, synthetic
from pipeline.base import params, schema, terminal
from pipeline.common.layout import Layout
from pipeline.encoder.crop import square_box
from pipeline.encoder.network import CLIP_MEAN, CLIP_STD, Encoder
from pipeline.pretext import losses, training
from pipeline.pretext.batches import FaceSet
from pipeline.stages import filter_exif, manipulate_faces
from pipeline.stages.train_pretext import read_faces

FACES = 1200  # in the folder; a way takes as many as its steps need


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    stage: str
    settings: schema.Pretext
    steps: int  # timed, of each way and turn
    rounds: int

    @property
    def faces(self) -> int:
        """Faces of the timed steps."""
        return self.steps * self.settings.batch_size


def cases(quick: bool) -> list[Case]:
    """The paper's encoder and the sample's; the batch of the paper's is cut to what two cores
    finish in seconds.
    """
    sample = params.load("pretext").pretext.model_copy(update={"epochs": 1})
    large = {
        "architecture": "resnet50",
        "feature_dim": 768,
        "input_size": 224,
        "antialias": False,
        "batch_size": 8,
    }
    paper = sample.model_copy(update=large)
    if quick:
        small = {"architecture": "resnet10", "input_size": 32, "batch_size": 4}
        paper, sample = (one.model_copy(update=small) for one in (paper, sample))
        return [Case("train_pretext", paper, 2, 1), Case("train_pretext_sample", sample, 2, 1)]
    return [Case("train_pretext", paper, 2, 3), Case("train_pretext_sample", sample, 20, 5)]


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows train_pretext (ResNet-50, 224 px) and train_pretext_sample (the encoder of params.yaml)."""
    with tempfile.TemporaryDirectory() as name:
        layout, faces = make_faces(Path(name), 200 if quick else FACES)
        return [compare(case, layout, faces) for case in cases(quick)]


def make_faces(folder: Path, count: int) -> tuple[Layout, FaceSet]:
    """A folder of faces, and its training faces from the shards that the stages before training
    make of it.
    """
    layout = synthetic.pretext(folder / "root", count)
    root, faces, manipulated = (str(folder / name) for name in ("root", "faces", "manipulated"))
    outputs = [f"--metrics={folder}/m.json", f"--tags={folder}/t.csv"]
    filter_exif.main([f"--root={root}", f"--faces={faces}", *outputs])
    outputs = [f"--metrics={folder}/m.json", f"--sheet={folder}/s.png"]
    manipulate_faces.main(
        [f"--root={root}", f"--faces={faces}", f"--output={manipulated}", *outputs]
    )
    return layout, read_faces(
        Path(faces), Path(manipulated), params.load("pretext").pretext.face_scale
    )[0]


def compare(case: Case, layout: Layout, faces: FaceSet) -> harness.Row:
    """One row: the three ways in turn."""
    rates = harness.interleaved(
        {"ours": ours(case, faces), "baseline": baseline(case, layout), "ceiling": ceiling(case)},
        case.rounds,
    )
    s = case.settings
    note = f"{s.architecture}, {s.input_size} px, batches of {s.batch_size}, {torch.get_num_threads()} threads"
    return harness.row(
        case.stage, "faces/s", **rates, peak_memory_mb=harness.peak_memory_mb(), note=note
    )


def ours(case: Case, faces: FaceSet) -> Callable[[], float]:
    """One epoch of training, nothing held out; its first step is left out."""
    encoder, s = start(case), case.settings
    few = first(faces, s.batch_size * (case.steps + 1))

    def once() -> float:
        ends: list[float] = []  # of the steps

        def asked_to_end() -> bool:
            ends.append(time.perf_counter())
            return False

        training.train(encoder, few, first(faces, 0), s, seed=1, asked_to_end=asked_to_end)
        return case.faces / (ends[case.steps] - ends[0])

    return once


def first(faces: FaceSet, count: int) -> FaceSet:
    """The first faces of a set; as many as there are, again and again, where it has fewer."""
    rows = np.arange(count) % max(1, len(faces))
    arrays = {f.name: getattr(faces, f.name) for f in dataclasses.fields(faces)}
    return dataclasses.replace(
        faces, **{k: v[rows] for k, v in arrays.items() if isinstance(v, np.ndarray)}
    )


def ceiling(case: Case) -> Callable[[], float]:
    """The bare step on one batch, already resized and normalised."""
    s = case.settings
    encoder = start(case).to(memory_format=training.memory_format(s))  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(encoder.parameters(), fused=True, **adam(s))
    inputs = torch.randn(s.batch_size, 3, s.input_size, s.input_size).contiguous(
        memory_format=training.memory_format(s)
    )
    tags, labels = torch.randn(s.batch_size, 4), torch.arange(s.batch_size).remainder(2).float()

    def once() -> float:
        begun = time.perf_counter()
        for _ in range(case.steps):
            step(encoder, optimiser, inputs, tags, labels)
        return case.faces / (time.perf_counter() - begun)

    return once


def baseline(case: Case, layout: Layout) -> Callable[[], float]:
    """The published recipe; an epoch's first step is left out, while which the workers begin."""
    s = case.settings
    encoder = start(case)
    optimiser = torch.optim.Adam(encoder.parameters(), **adam(s))
    data = Pictures(layout, s, s.batch_size * (case.steps + 1))
    workers = len(os.sched_getaffinity(0))
    loader = DataLoader(
        data, s.batch_size, shuffle=True, num_workers=workers, persistent_workers=True
    )

    def once() -> float:
        batches: Iterator[Any] = iter(loader)
        step(encoder, optimiser, *next(batches))
        begun = time.perf_counter()
        for batch in batches:
            step(encoder, optimiser, *batch)
        return case.faces / (time.perf_counter() - begun)

    return once


class Pictures(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Faces as PNG files: opened by PIL, cropped, made a tensor, resized and normalised, one by
    one.
    """

    def __init__(self, layout: Layout, settings: schema.Pretext, count: int) -> None:
        known = synthetic.metainfo(0)["bounding_box"]
        box = square_box(
            synthetic.SIDE * np.array([known]), settings.face_scale, synthetic.SIDE, synthetic.SIDE
        )[0]
        x0, y0, x1, y1 = (int(value) for value in box.round())
        self.box = (x0, y0, x1, y1)
        self.paths = sorted(layout.images.glob("[0-9]*.png"))[:FACES]
        self.tags = torch.randn(count, 4)
        self.size, self.antialias, self.count = settings.input_size, settings.antialias, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        from PIL import Image

        picture = Image.open(self.paths[index % len(self.paths)]).convert("RGB").crop(self.box)
        tensor = functional.resize(
            functional.to_tensor(picture), [self.size, self.size], antialias=self.antialias
        )
        label = torch.tensor(float(index % 2))
        return (
            functional.normalize(tensor, list(CLIP_MEAN), list(CLIP_STD)),
            self.tags[index],
            label,
        )


def start(case: Case) -> Encoder:
    """The encoder with random weights, ready to train."""
    return Encoder(case.settings.architecture, case.settings.feature_dim, seed=1).train()


def adam(s: schema.Pretext) -> dict[str, Any]:
    """Adam's settings in the recipe."""
    return {
        "lr": s.learning_rate,
        "betas": s.betas,
        "eps": s.epsilon,
        "weight_decay": s.weight_decay,
    }


def step(
    encoder: Encoder,
    optimiser: torch.optim.Optimizer,
    inputs: torch.Tensor,
    tags: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    """One training step on a batch of inputs (n, 3, size, size), tags (n, 4) and labels (n,), 1 =
    manipulated.
    """
    _, scores = encoder(inputs)
    terms = [losses.ranking_loss(scores[:, i], tags[:, i]) for i in range(tags.shape[1])]
    loss = torch.stack([*terms, losses.manipulation_loss(scores[:, -1], labels)]).sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def main() -> None:
    """Print the table."""
    harness.show(measure(quick="--quick" in sys.argv[1:]))


if __name__ == "__main__":
    terminal.run(main)
