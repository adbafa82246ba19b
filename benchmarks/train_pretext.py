"""Training, faces per second: `python -m benchmarks train_pretext`, on ResNet-50 at 224 px and on
the sample's encoder.

- ours: `training.train` on shards;
- baseline: the published recipe, PNG files opened by PIL in DataLoader workers, float32,
  channels-first;
- ceiling: forward, losses, backward and optimiser on one batch that lies ready."""

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from benchmarks import harness
from pipeline.base import params, schema
from pipeline.common import randomness, shards
from pipeline.common.devices import select_device
from pipeline.common.names import MANIPULATION
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import square_box
from pipeline.pretext import losses, optimisation, training
from pipeline.pretext.faces import FaceSet
from pipeline.pretext.tags import RankedTag

SIDE, STORED = 128, 512  # of FDF's pictures; how many different ones are stored
BOX = np.array([[28.0, 24.0, 100.0, 104.0]])  # a face in its picture, pixels


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

    @property
    def device(self) -> torch.device:
        """Where all ways compute."""
        return select_device(self.settings.device, key="pretext.device")


def cases(quick: bool) -> list[Case]:
    """The paper's encoder, in batches that two cores finish in seconds, and the sample's."""
    sample = settings(epochs=1, device="cpu")
    large = {"architecture": "resnet50", "levels": "last", "feature_dim": 768, "input_size": 224}
    paper = sample.model_copy(update=large | {"batch_size": 8, "antialias": False})
    if quick:
        small = {"architecture": "resnet18", "input_size": 32, "batch_size": 4}
        paper, sample = (case.model_copy(update=small) for case in (paper, sample))
        return [Case("train_pretext", paper, 2, 1), Case("train_pretext_sample", sample, 2, 1)]
    return [Case("train_pretext", paper, 2, 3), Case("train_pretext_sample", sample, 20, 5)]


def settings(**changes: Any) -> schema.Pretext:
    """Those of params.yaml, changed; all ways see whole faces, so that they do the same work."""
    given = params.load("pretext").pretext
    whole = given.augmentation.model_copy(update={"crop": 1.0})
    return given.model_copy(update={"augmentation": whole, **changes})


def measure(quick: bool = False) -> list[harness.Row]:
    """The rows of ResNet-50 at 224 px and of the encoder of params.yaml."""
    with tempfile.TemporaryDirectory() as name:
        stored = store(Path(name))
        return [compare(case, Path(name), stored) for case in cases(quick)]


def store(folder: Path) -> shards.Shards:
    """Random pictures as PNG files and as shards, both in the folder."""
    writer = shards.ShardWriter(folder, (SIDE, SIDE, 3))
    for number in range(STORED):
        random = np.random.default_rng(number)
        small = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        noisy = np.asarray(small.resize((SIDE, SIDE))) + random.normal(0, 4, (SIDE, SIDE, 3))
        picture = noisy.clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:04}.png")
        writer.append(picture[None])
    writer.close()
    return shards.read_shards(folder)


def compare(case: Case, folder: Path, stored: shards.Shards) -> harness.Row:
    """One row: the three ways in turn."""
    ways = {
        "ours": ours(case, stored),
        "baseline": baseline(case, folder),
        "ceiling": ceiling(case),
    }
    rates, s = harness.interleaved(ways, case.rounds), case.settings
    note = f"{s.architecture}, {s.input_size} px, batches of {s.batch_size}, "
    if case.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e6
        note += f"{s.precision}; memory is the GPU's"
    else:
        memory, threads = harness.peak_memory_mb(), torch.get_num_threads()
        note += f"{threads} threads"
    return harness.row(case.stage, "faces/s", **rates, peak_memory_mb=memory, note=note)


def ours(case: Case, stored: shards.Shards) -> Callable[[], float]:
    """One epoch of training without a validation set; what comes before the first reading of the
    losses, such as compiling, is left out.
    """
    encoder, s = start(case), case.settings
    every = training.READ_EVERY[case.device.type]
    steps = case.steps + every
    faces, nobody = face_set(stored, s, s.batch_size * steps), face_set(stored, s, 0)

    def once() -> float:
        ends: list[float] = []  # of the readings, after every so many steps

        def asked_to_end() -> bool:
            ends.append(time.perf_counter())
            return False

        training.train(encoder, faces, nobody, s, seed=1, asked_to_end=asked_to_end)
        return case.faces / (ends[case.steps // every] - ends[0])

    return once


def face_set(stored: shards.Shards, settings: schema.Pretext, count: int) -> FaceSet:
    """`count` faces, each with four stored pictures as its manipulations."""
    rows = np.arange(count) % STORED
    box = square_box(BOX, settings.face_scale, SIDE, SIDE)
    ranked = tuple(RankedTag(name, "log2", 1.0) for name in tags_of(settings))
    return FaceSet(
        photographs=stored,
        manipulations=stored,
        hashes=randomness.hashes(map(str, range(count))),
        rows=rows,
        boxes=np.repeat(box, count, axis=0).astype(np.float32),
        tags=np.random.default_rng(0).normal(size=(count, len(ranked))).astype(np.float32),
        manipulated_rows=(rows[:, None] + np.arange(4)) % STORED,
        manipulated_counts=np.full(count, 4),
        ranked=ranked,
    )


def tags_of(settings: schema.Pretext) -> list[str]:
    """The tags that are ranked."""
    return [name for name in settings.loss_weights if name != MANIPULATION]


def ceiling(case: Case) -> Callable[[], float]:
    """The bare step on one batch, already resized and on the device."""
    s, device = case.settings, case.device
    encoder: Any = start(case)
    encoder.to(device, memory_format=training.LAYOUT)
    optimiser = optimisation.optimiser(encoder, s)
    inputs = 255 * torch.rand(s.batch_size, 3, s.input_size, s.input_size)
    inputs = inputs.to(device, memory_format=training.LAYOUT)
    tags = torch.randn(s.batch_size, len(tags_of(s)))
    labels = torch.arange(s.batch_size).remainder(2).float()
    batch = inputs, tags.to(device), labels.to(device)
    model = torch.compile(encoder) if s.compile else encoder
    bfloat16 = torch.autocast(device.type, torch.bfloat16, enabled=s.precision == "bfloat16")

    def once() -> float:
        finish(device)
        begun = time.perf_counter()
        for _ in range(case.steps):
            with bfloat16:
                step(model, optimiser, *batch)
        finish(device)
        return case.faces / (time.perf_counter() - begun)

    return once


def baseline(case: Case, folder: Path) -> Callable[[], float]:
    """The published recipe; an epoch's first step, while which the workers begin, is left out."""
    s, device = case.settings, case.device
    encoder = start(case).to(device)
    optimiser = torch.optim.Adam(
        encoder.parameters(),
        lr=s.learning_rate,
        betas=s.betas,
        eps=s.epsilon,
        weight_decay=s.weight_decay,
    )
    data = Pictures(folder, s, s.batch_size * (case.steps + 1))
    workers = {"num_workers": len(os.sched_getaffinity(0)), "persistent_workers": True}
    loader = DataLoader(data, s.batch_size, shuffle=True, **workers)  # type: ignore[arg-type]

    def once() -> float:
        batches = ([part.to(device) for part in batch] for batch in loader)
        step(encoder, optimiser, *next(batches))
        finish(device)
        begun = time.perf_counter()
        for batch in batches:
            step(encoder, optimiser, *batch)
        finish(device)
        return case.faces / (time.perf_counter() - begun)

    return once


class Pictures(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Faces as PNG files, opened, cropped and resized one by one."""

    def __init__(self, folder: Path, settings: schema.Pretext, count: int) -> None:
        self.paths, self.count = sorted(folder.glob("*.png")), count
        x0, y0, x1, y1 = square_box(BOX, settings.face_scale, SIDE, SIDE)[0].round().astype(int)
        self.box = (int(x0), int(y0), int(x1), int(y1))
        self.settings, self.tags = settings, torch.randn(count, len(tags_of(settings)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        picture = Image.open(self.paths[index % STORED]).convert("RGB").crop(self.box)
        size = [self.settings.input_size] * 2
        pixels = functional.pil_to_tensor(picture).float()
        inputs = functional.resize(pixels, size, antialias=self.settings.antialias)
        return inputs, self.tags[index], torch.tensor(float(index % 2))


def start(case: Case) -> Encoder:
    """The encoder with random weights, ready to train."""
    heads = (*tags_of(case.settings), MANIPULATION)
    return Encoder(Architecture.of(case.settings), heads, seed=1).train()


def finish(device: torch.device) -> None:
    """Wait for what a GPU has still to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step(
    encoder: Any,
    optimiser: torch.optim.Optimizer,
    inputs: torch.Tensor,
    tags: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    """One training step on inputs (n, 3, size, size), tags (n, t) and labels (n,)."""
    _, scores = encoder(inputs)
    ranking = losses.ranking_losses(scores, tags, 0.0)
    loss = ranking.sum() + losses.manipulation_loss(scores[:, -1], labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
