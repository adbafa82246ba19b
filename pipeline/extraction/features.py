"""Features of whole pictures: read, verified, resized and encoded in batches.

Results depend neither on the number of processes nor on that of threads (processes.workers)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import processes, terminal
from pipeline.base.schema import FeatureExtraction
from pipeline.common import process_group
from pipeline.common.devices import arithmetic, resolve_precision, select_device
from pipeline.common.read_ahead import read_ahead
from pipeline.encoder import inference
from pipeline.encoder.network import Encoder
from pipeline.encoder.preprocessing import Preprocessing
from pipeline.face_sets.face_list import ListedFace, read_picture
from pipeline.face_sets.feature_sets import FeatureSet

FACES_PER_CORE = 16  # in a batch on a CPU: more is no faster, and takes memory on every core
# Larger pictures are resized before they go to a GPU, so that a batch of them fits there.
PIXELS_ON_DEVICE = 2**21
Picture = NDArray[np.uint8]  # (H, W, 3)
Change = Callable[[Picture, str], Picture]  # of a picture, given its name
Fetched = tuple[torch.Tensor, Callable[[], None]]  # rows on the CPU, and what waits until they are


@dataclass(frozen=True)
class View:
    """One way to see faces: the encoder, and what is done to each picture before."""

    encoder: Encoder
    preprocessing: Preprocessing
    change: Change | None = None


@dataclass(frozen=True)
class Job:
    """Which faces, seen in which ways, and the outputs to fill."""

    views: Mapping[str, View]
    models: Mapping[str, Encoder]  # by view, fused
    root: Path
    faces: Sequence[ListedFace]
    precision: str
    device: torch.device
    outputs: Mapping[str, NDArray[np.float32]]  # by view: (n, output_dim), zero until known


def extract(
    views: Mapping[str, View],
    root: Path,
    sets: Mapping[str, Sequence[ListedFace]],
    settings: FeatureExtraction,
) -> dict[str, dict[str, FeatureSet]]:
    """The face sets by view, then by set; every file is read and decoded once for all views.

    Each picture is resized as a whole to the encoder's input, as the authors do with cropped
    portraits. Processes started by torchrun take batches in turn, and each returns the whole.
    Raises PipelineError for a file that is not the one that list_faces read."""
    faces = [face for listed in sets.values() for face in listed]
    device = select_device(settings.device, key="features.device", number=processes.local_rank())
    with process_group.group(device) as group, arithmetic(), single_threaded():
        models = _models(views, device)
        width = {name: view.encoder.output_dim for name, view in views.items()}
        outputs = {name: np.zeros((len(faces), width[name]), np.float32) for name in views}
        precision = resolve_precision(settings.precision, device)
        job = Job(views, models, root, faces, precision, device, outputs)
        on_cpu = device.type == "cpu"
        size = min(settings.batch_size, FACES_PER_CORE) if on_cpu else settings.batch_size
        starts = range(0, len(faces), size)[group.rank :: group.count]
        batches = [range(start, min(start + size, len(faces))) for start in starts]
        total = len(views) * sum(map(len, batches))
        with terminal.progress((), total=total, what="features") as bar:
            for done in _on_cpu(job, batches) if on_cpu else _on_gpu(job, batches):
                bar.update(done)
        whole = {name: group.assemble(rows) for name, rows in outputs.items()}
    heads = {name: view.encoder.head_names for name, view in views.items()}
    return {name: _by_set(sets, rows, heads[name]) for name, rows in whole.items()}


@torch.inference_mode()
def encode(
    model: Encoder, pixels: torch.Tensor, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, feature_dim) and head scores (n, heads), float32, of pixels (n, 3, size, size)
    in 0..255.
    """
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return model(pixels)


@contextmanager
def single_threaded() -> Iterator[None]:
    """PyTorch computes with one thread inside: the bits of a convolution depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _models(views: Mapping[str, View], device: torch.device) -> dict[str, Encoder]:
    """The model of each view; views of the same encoder share one."""

    @cache
    def model(encoder: Encoder) -> Encoder:
        return inference.fused(encoder).to(device)

    return {name: model(view.encoder) for name, view in views.items()}


def _on_cpu(job: Job, batches: Sequence[range]) -> Iterator[int]:
    """Fill the rows of the batches; yields how many faces are done, times views.

    Each core computes a batch on its own: cores that share a layer wait for each other after it."""

    def compute(batch: range) -> int:
        decoded = [_decode(job, row) for row in batch]
        for name in job.views:
            inputs = torch.stack(list(map(partial(_input, job, name), batch, decoded)))
            _store(job, name, batch, _fetch(encode(job.models[name], inputs, job.precision)))
        return len(job.views) * len(batch)

    with _threads() as pool:
        yield from pool.map(compute, batches)


def _on_gpu(job: Job, batches: Sequence[range]) -> Iterator[int]:
    """As `_on_cpu`: inputs are prepared two batches ahead and outputs waited for one batch late, so
    that the device never waits.
    """

    def prepare(name: str, batch: range, decode: Callable[[], list[Picture]]) -> list[torch.Tensor]:
        inputs = pool.map(partial(_input, job, name), batch, decode())
        return [tensor.pin_memory() if job.device.type == "cuda" else tensor for tensor in inputs]

    def loads() -> Iterator[Callable[[], list[torch.Tensor]]]:
        for batch in batches:
            decode = cache(lambda batch=batch: list(pool.map(partial(_decode, job), batch)))
            for name in job.views:
                yield partial(prepare, name, batch, decode)

    tasks = [(name, batch) for batch in batches for name in job.views]
    late: list[tuple[str, range, Fetched]] = []
    with _threads() as pool:
        for (name, batch), inputs in zip(tasks, read_ahead(loads()), strict=True):
            moved = [tensor.to(job.device, non_blocking=True) for tensor in inputs]
            pixels = torch.stack([_resized(job, name, tensor) for tensor in moved])
            outputs = encode(job.models[name], pixels, job.precision)
            late.append((name, batch, _fetch(outputs)))
            if len(late) > 1:
                _store(job, *late.pop(0))
            yield len(batch)
    for last in late:
        _store(job, *last)


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processes.workers(), initializer=torch.set_num_threads, initargs=(1,))


def _decode(job: Job, row: int) -> Picture:
    face = job.faces[row]
    return read_picture(job.root, face)


def _input(job: Job, name: str, row: int, picture: Picture) -> torch.Tensor:
    """The changed picture, resized: float32 (3, size, size); for a GPU as it is, uint8 (H, W, 3),
    unless it is large.
    """
    change = job.views[name].change
    tensor = torch.from_numpy(change(picture, job.faces[row].name) if change else picture)
    on_device = job.device.type != "cpu" and tensor[..., 0].numel() <= PIXELS_ON_DEVICE
    return tensor if on_device else _resized(job, name, tensor)


def _resized(job: Job, name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype != torch.uint8:
        return tensor
    return inference.resize(tensor[None], job.views[name].preprocessing)[0]


def _fetch(outputs: tuple[torch.Tensor, torch.Tensor]) -> Fetched:
    """Outputs (n, feature_dim) and (n, heads), side by side and on their way to the CPU.

    From a GPU the copy stands in line before what is computed next, and alone is waited for."""
    rows = torch.cat(outputs, dim=1)
    if rows.device.type != "cuda":
        return rows.cpu(), lambda: None
    there, done = rows.to("cpu", non_blocking=True), torch.cuda.Event()
    done.record(torch.cuda.current_stream(rows.device))
    return there, done.synchronize


def _store(job: Job, name: str, batch: range, fetched: Fetched) -> None:
    """Put the outputs of a batch into their rows, once they are there."""
    rows, wait = fetched
    wait()
    job.outputs[name][batch.start : batch.stop] = rows.numpy()


def _by_set(
    sets: Mapping[str, Sequence[ListedFace]],
    outputs: NDArray[np.float32],
    head_names: tuple[str, ...],
) -> dict[str, FeatureSet]:
    """Outputs (n, feature_dim + heads) of all faces, one set after the other, as face sets."""
    ends = np.cumsum([len(listed) for listed in sets.values()])[:-1]
    result = {}
    for (name, listed), rows in zip(sets.items(), np.split(outputs, ends), strict=True):
        names, persons, digests = (np.array(column) for column in zip(*listed, strict=True))
        features, heads = np.split(rows.astype(np.float64), [-len(head_names)], axis=1)
        result[name] = FeatureSet(name, names, persons, features, heads, digests, head_names)
    return result
