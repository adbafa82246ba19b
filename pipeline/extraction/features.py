"""Features of whole pictures: choose, read, resize, encode in batches, in one process or several."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import processes, terminal
from pipeline.base.schema import FeatureExtraction
from pipeline.common import pictures, process_group, randomness
from pipeline.common.devices import deterministic, select_device
from pipeline.common.names import HEADS
from pipeline.common.read_ahead import read_ahead
from pipeline.encoder import inference
from pipeline.encoder.inference import Inference
from pipeline.encoder.network import Encoder

FACES_PER_CORE = 16  # at a time, on a CPU: more is no faster, and takes memory on every core
PIXELS_ON_DEVICE = (
    2**21
)  # larger pictures are resized before they go to a GPU, so that a batch of them fits there
STATES = (
    "readable",
    "missing",
    "empty",
    "not_a_picture",
    "too_large",
    "truncated",
    "broken",
)  # pictures.UnreadablePicture's
Change = Callable[
    [NDArray[np.uint8], str], NDArray[np.uint8]
]  # a picture (H, W, 3) and its name to a picture (H', W', 3)


@dataclass(frozen=True)
class Extracted:
    """n readable pictures in the order of their names, and how many were left out, by reason."""

    names: list[str]
    features: NDArray[np.float32]  # (n, feature_dim)
    heads: NDArray[np.float32]  # (n, 5) scores in the order of encoder.HEADS
    sha256: list[str]  # of the files' bytes
    unreadable: dict[str, int]


@dataclass(frozen=True)
class Rows:
    """What becomes of each of n pictures; zero until it is known."""

    features: NDArray[np.float32]  # (n, feature_dim)
    heads: NDArray[np.float32]  # (n, 5)
    digests: NDArray[np.uint8]  # (n, 32) SHA-256 of the files' bytes
    states: NDArray[np.uint8]  # (n,) into STATES

    @classmethod
    def zeros(cls, n: int, feature_dim: int) -> "Rows":
        """Of n pictures about which nothing is known."""
        single, byte = np.float32, np.uint8
        features, heads = np.zeros((n, feature_dim), single), np.zeros((n, len(HEADS)), single)
        return cls(features, heads, np.zeros((n, 32), byte), np.zeros(n, byte))


@dataclass(frozen=True)
class Batch:
    """The readable pictures of one part: their rows (n,), and in that order the pictures, together
    where alike in shape.
    """

    rows: list[int]
    groups: list[torch.Tensor]  # float32 (k, 3, size, size), resized, or uint8 (k, H, W, 3)


@dataclass(frozen=True)
class Job:
    """Whose features, of which pictures, how, and where they go."""

    model: Inference
    input_size: int
    root: Path
    names: list[str]
    settings: FeatureExtraction
    device: torch.device
    results: Rows
    change: Change | None = None


def choose(names: Sequence[str], maximum: int, *, seed: int) -> list[str]:
    """At most `maximum` distinct names, sorted; a keyed hash chooses, so that the order on disk has
    no influence.
    """
    distinct = sorted(set(names))
    draw = randomness.uniforms(seed, "extract_features", randomness.hashes(distinct))
    return [distinct[i] for i in np.sort(np.argsort(draw, kind="stable")[:maximum])]


def extract(
    encoder: Encoder,
    input_size: int,
    root: Path,
    names: Sequence[str],
    settings: FeatureExtraction,
    *,
    change: Change | None = None,
) -> Extracted:
    """Features of the pictures `names`, paths relative to `root`; unreadable ones are counted and
    left out.

    Each picture is resized as a whole to input_size x input_size, as the authors do with cropped
    portraits; `change`, if given, is applied before, to the decoded picture, in several threads at
    once. The digests are of the files. Several processes take the batches of the first one's names
    in turn, and each returns the whole. The result depends neither on the number of processes nor
    on that of threads (terminal.workers). Takes 6 kB of memory per picture of 768 features."""
    device = select_device(settings.device, key="features.device", number=processes.local_rank())
    with process_group.group(device) as team, deterministic(), single_threaded():
        every: list[str] = json.loads(team.broadcast(json.dumps(list(names)).encode()))
        n, model = len(every), Inference(encoder.eval()).to(device).eval()
        results = Rows.zeros(n, encoder.feature_dim)
        job = Job(model, input_size, root, every, settings, device, results, change)
        size = (
            min(settings.batch_size, FACES_PER_CORE)
            if device.type == "cpu"
            else settings.batch_size
        )
        parts = [range(i, min(i + size, n)) for i in range(0, n, size)][team.rank :: team.count]
        work = on_cpu(job, parts) if device.type == "cpu" else on_gpu(job, parts)
        with terminal.progress(
            (), total=sum(map(len, parts)), what="extract_features", unit="face"
        ) as bar:
            for done in work:
                bar.update(done)
        return gathered(
            every,
            Rows(*(team.assemble(getattr(results, field)) for field in Rows.__dataclass_fields__)),
        )


def on_cpu(job: Job, parts: Sequence[range]) -> Iterator[int]:
    """Fill the rows of the parts, each core on its own with one part after the other; yields how
    many pictures are done.

    Cores that share the work of each layer wait for each other after every one of them.
    """

    def do(part: range) -> int:
        batch = load(job, part, keep=0)
        if batch.rows:
            store(job, batch, encode(job.model, resized(job, batch), job.settings.precision))
        return len(part)

    with ThreadPoolExecutor(
        terminal.workers(), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(do, parts)


def on_gpu(job: Job, parts: Sequence[range]) -> Iterator[int]:
    """As `on_cpu`: files are read two parts ahead, results fetched one part late, so that the
    device never waits.
    """
    with ThreadPoolExecutor(
        terminal.workers(), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        loads = (partial(load, job, part, keep=PIXELS_ON_DEVICE, pool=pool) for part in parts)
        before: tuple[Batch, tuple[torch.Tensor, torch.Tensor]] | None = None
        for part, batch in zip(parts, read_ahead(loads), strict=True):
            outputs = (
                encode(job.model, resized(job, batch), job.settings.precision)
                if batch.rows
                else None
            )
            if before:
                store(job, *before)
            before = (batch, outputs) if outputs else None
            yield len(part)
        if before:
            store(job, *before)


def load(job: Job, part: range, *, keep: int, pool: ThreadPoolExecutor | None = None) -> Batch:
    """Read the pictures of a part and note their digests and states; those of at most `keep` pixels
    are not resized yet.
    """
    groups: dict[tuple[int, ...], list[tuple[int, torch.Tensor]]] = {}
    for row, picture in zip(
        part, (pool.map if pool else map)(partial(read, job, keep=keep), part), strict=True
    ):
        if picture is not None:
            groups.setdefault(tuple(picture.shape), []).append((row, picture))
    stacks = [torch.stack([picture for _, picture in group]) for group in groups.values()]
    if job.device.type == "cuda":
        stacks = [stack.pin_memory() for stack in stacks]
    return Batch([row for group in groups.values() for row, _ in group], stacks)


def read(job: Job, row: int, *, keep: int) -> torch.Tensor | None:
    """One picture, changed and resized, float32 (3, size, size), or not resized, uint8 (H, W, 3),
    of at most `keep` pixels.
    """
    path = job.root / job.names[row]
    try:
        content = pictures.read_picture_file(path)
        decoded = pictures.decode_picture(content, path)
    except pictures.UnreadablePicture as error:
        job.results.states[row] = STATES.index(error.reason)
        return None
    job.results.digests[row] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    picture = torch.from_numpy(job.change(decoded, job.names[row]) if job.change else decoded)
    return picture if picture.shape[0] * picture.shape[1] <= keep else resize(job, picture[None])[0]


def resize(job: Job, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 (n, H, W, 3) at the encoder's size, float32 (n, 3, size, size) in 0..255."""
    return inference.resize(
        pictures, job.input_size, mode=job.settings.resize, antialias=job.settings.antialias
    )


def resized(job: Job, batch: Batch) -> torch.Tensor:
    """The pictures of a batch on the device, float32 (n, 3, size, size)."""
    moved = [group.to(job.device, non_blocking=True) for group in batch.groups]
    return torch.cat(
        [resize(job, group) if group.dtype == torch.uint8 else group for group in moved]
    )


def store(job: Job, batch: Batch, outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Put the features and scores of a batch into their rows; waits for the device."""
    job.results.features[batch.rows], job.results.heads[batch.rows] = (
        output.cpu().numpy() for output in outputs
    )


@torch.inference_mode()
def encode(
    model: Inference, pixels: torch.Tensor, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, feature_dim) and head scores (n, 5), float32, of pixels (n, 3, size, size) in
    0..255.
    """
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        features, scores = model(pixels)
    return features.float(), scores.float()


def gathered(names: list[str], results: Rows) -> Extracted:
    """The readable pictures, and the others counted by reason."""
    readable = np.flatnonzero(results.states == 0).tolist()
    unreadable = Counter(STATES[state] for state in results.states if state)
    digests = [digest.tobytes().hex() for digest in results.digests[readable]]
    found = [names[row] for row in readable]
    return Extracted(
        found,
        results.features[readable],
        results.heads[readable],
        digests,
        dict(sorted(unreadable.items())),
    )


@contextmanager
def single_threaded() -> Iterator[None]:
    """PyTorch computes with one thread inside: the bits of a convolution depend on how many share
    it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
