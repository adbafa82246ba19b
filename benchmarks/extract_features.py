"""Extraction, faces per second: `python -m benchmarks extract_features`, on the sample's encoder
and on ResNet-50 at 224 px.

- ours: `features.extract` on picture files, half of them JPEG, half PNG;
- baseline: the published recipe, files opened by PIL in DataLoader workers, resized, float32,
  channels-first;
- ceiling: our model on pixels that lie ready, on every core."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from benchmarks import harness
from pipeline.base import params, processes
from pipeline.base.schema import FeatureExtraction
from pipeline.common.devices import resolve_precision, select_device
from pipeline.encoder.backbones import Architecture
from pipeline.encoder.inference import fused
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.extraction import features
from pipeline.face_sets.face_list import ListedFace

CELEBA, GENERATED = (218, 178), (256, 256)  # height and width of the large case's JPEGs and PNGs
BASELINE_BATCH = 64


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    stage: str
    architecture: Architecture
    size: int  # of the encoder's input, pixels
    shapes: tuple[tuple[int, int], tuple[int, int]]  # of the JPEG and of the PNG files
    faces: int  # of each way and turn
    rounds: int
    settings: FeatureExtraction

    @property
    def device(self) -> torch.device:
        """Where all ways compute."""
        return select_device(self.settings.device, key="features.device")


def cases(quick: bool) -> list[Case]:
    """The sample's encoder on portraits of its own size, and the paper's."""
    p = params.load("pretext").pretext
    settings = params.load("features").features.model_copy(update={"device": "cpu"})
    side = p.input_size
    square = ((side, side), (side, side))
    sample = ("extract_features_sample", Architecture.of(p), side, square)
    resnet = Architecture("resnet50")
    paper = ("extract_features", resnet, 32 if quick else 224, (CELEBA, GENERATED))
    return [
        Case(*sample, 8 if quick else 1024, 1 if quick else 5, settings),
        Case(*paper, 8 if quick else 128, 1 if quick else 3, settings),
    ]


def measure(quick: bool = False) -> list[harness.Row]:
    """Rows extract_features_sample (the encoder of params.yaml) and extract_features (ResNet-50,
    224 px).
    """
    return [compare(case) for case in cases(quick)]


def compare(case: Case) -> harness.Row:
    """One row: the ways in turn."""
    with tempfile.TemporaryDirectory() as name:
        names = pictures(Path(name), case)
        encoder = Encoder(case.architecture, seed=1).eval()
        once = ours(case, encoder, Path(name), names)
        once()
        peak = harness.peak_memory_mb()  # before the others take theirs
        ways = {
            "ours": once,
            "baseline": baseline(case, encoder, [Path(name) / one for one in names]),
            "ceiling": ceiling(case, encoder),
        }
        rates = harness.interleaved(ways, case.rounds)
    note = f"{case.architecture.name}, {case.size} px"
    return harness.row(case.stage, "faces/s", **rates, peak_memory_mb=peak, note=note)


def pictures(folder: Path, case: Case) -> list[str]:
    """Smooth pictures with noise, as slow to decode as photographs: the names of the files."""
    names = [f"{i:04}.{'png' if i % 2 else 'jpg'}" for i in range(case.faces)]
    for i, name in enumerate(names):
        random, (height, width) = np.random.default_rng(i), case.shapes[i % 2]
        smooth = Image.fromarray(
            random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        ).resize((width, height))
        noisy = np.asarray(smooth) + random.normal(0, 4, (height, width, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name, quality=95)
    return names


def ours(case: Case, encoder: Encoder, root: Path, names: list[str]) -> Callable[[], float]:
    """The stage's work but for writing."""
    settings = case.settings
    views = {"plain": features.View(encoder, Preprocessing(case.size))}
    digests = [hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names]
    sets = {"faces": [ListedFace(*face) for face in zip(names, names, digests, strict=True)]}

    def once() -> float:
        begun = time.perf_counter()
        features.extract(views, root, sets, settings)
        return len(names) / (time.perf_counter() - begun)

    return once


def ceiling_on_gpu(case: Case, encoder: Encoder) -> Callable[[], float]:
    """As `ceiling`, one batch after the other."""
    model, batch = fused(encoder).to(case.device), case.settings.batch_size
    precision = resolve_precision(case.settings.precision, case.device)
    pixels = 255 * torch.rand(batch, 3, case.size, case.size, device=case.device)
    steps = max(1, case.faces // batch)

    def once() -> float:
        torch.cuda.synchronize(case.device)
        begun = time.perf_counter()
        for _ in range(steps):
            features.encode(model, pixels, precision)
        torch.cuda.synchronize(case.device)
        return steps * batch / (time.perf_counter() - begun)

    return once


class Files(Dataset[torch.Tensor]):
    """Picture files, opened, resized and made a tensor one by one."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            small = image.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        return functional.pil_to_tensor(small).float()


def baseline(case: Case, encoder: Encoder, paths: list[Path]) -> Callable[[], float]:
    """The published recipe; its workers begin in the turn that is not counted, and stay."""
    device = case.device
    encoder = deepcopy(encoder).to(device)
    workers = len(os.sched_getaffinity(0))
    loader = DataLoader(
        Files(paths, case.size), BASELINE_BATCH, num_workers=workers, persistent_workers=True
    )

    @torch.no_grad()
    def once() -> float:
        begun = time.perf_counter()
        torch.cat([encoder(batch.to(device))[0].cpu() for batch in loader])
        return len(paths) / (time.perf_counter() - begun)

    return once


def ceiling(case: Case, encoder: Encoder) -> Callable[[], float]:
    """The bare step on one batch, with our model and its settings, as often as its pictures need:
    on every core, or on a GPU.
    """
    if case.device.type == "cuda":
        return ceiling_on_gpu(case, encoder)
    model = fused(encoder)
    batch = features.FACES_PER_CORE
    pixels = 255 * torch.rand(batch, 3, case.size, case.size)
    steps = max(1, case.faces // batch)

    def once() -> float:
        with (
            features.single_threaded(),
            ThreadPoolExecutor(
                processes.workers(), initializer=torch.set_num_threads, initargs=(1,)
            ) as pool,
        ):
            begun = time.perf_counter()
            list(pool.map(lambda _: features.encode(model, pixels, "float32"), range(steps)))
            return steps * batch / (time.perf_counter() - begun)

    return once
