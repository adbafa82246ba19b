"""Which face comes when, as photograph or as which manipulation; and the batches of such a plan."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base import processes
from pipeline.common import randomness
from pipeline.common.read_ahead import read_ahead
from pipeline.encoder.preprocessing import check_boxes
from pipeline.pretext.augmentation import Change
from pipeline.pretext.faces import PHOTOGRAPH, Batch, FaceSet

# m faces in order, and what each is shown as: PHOTOGRAPH or a row of the manipulations
Plan = tuple[NDArray[np.int64], NDArray[np.int64]]


def epoch_plan(faces: FaceSet, *, seed: int, epoch: int, photograph_probability: float) -> Plan:
    """Every face once, shuffled.

    A face is a photograph with the given probability, else one of its manipulations, equally
    likely; one without any stays a photograph. Keyed by (seed, face id, epoch): other faces have no
    influence."""
    draw = partial(randomness.uniforms, seed)
    order = np.argsort(draw("pretext order", faces.hashes, epoch), kind="stable")
    as_photograph = draw("pretext photograph", faces.hashes, epoch) < photograph_probability
    kind = draw("pretext manipulation", faces.hashes, epoch) * faces.manipulated_counts
    rows = faces.manipulated_rows[np.arange(len(faces)), kind.astype(np.int64)]
    shown = np.where(as_photograph | (faces.manipulated_counts == 0), PHOTOGRAPH, rows)
    return order, shown[order]


def paired_plan(faces: FaceSet, *, seed: int, epoch: int) -> Plan:
    """Half of the faces, shuffled, each as photograph and next to it as one of its manipulations;
    the other half in the next epoch.

    What is compared within a batch then differs in the manipulation alone, and in nothing else of a
    face; half as many faces are ranked. Keyed as `epoch_plan`; a face without any manipulation is
    twice a photograph."""
    draw = partial(randomness.uniforms, seed)
    order = np.argsort(draw("pretext half", faces.hashes, (epoch - 1) // 2), kind="stable")
    half = order[(epoch - 1) % 2 :: 2]
    kind = draw("pretext manipulation", faces.hashes[half], epoch) * faces.manipulated_counts[half]
    rows = faces.manipulated_rows[half, kind.astype(np.int64)]
    rows = np.where(faces.manipulated_counts[half] == 0, PHOTOGRAPH, rows)
    photographs = np.full(len(half), PHOTOGRAPH)
    return np.repeat(half, 2), np.stack([photographs, rows], axis=1).ravel()


def validation_plan(faces: FaceSet, *, per_face: int | None = None) -> Plan:
    """Every face as photograph, in order, then every face as its manipulations.

    per_face limits the manipulations to that many per face, other kinds for each face in turn, so
    that all kinds stay in the selection."""
    n, k = faces.manipulated_rows.shape
    column, counts = np.arange(k), faces.manipulated_counts[:, None]  # (k,), (n, 1)
    used = column < counts  # (n, k)
    if per_face is not None:
        used &= (column - np.arange(n)[:, None]) % np.maximum(counts, 1) < per_face
    owner, kind = np.nonzero(used)
    shown = faces.manipulated_rows[owner, kind]
    return np.concatenate([np.arange(n), owner]), np.concatenate([np.full(n, PHOTOGRAPH), shown])


def batch_slices(n: int, batch_size: int) -> list[slice]:
    """Slices of 0..n of batch_size each; the last one is shorter.

    A single left-over face joins the batch before it: batch normalisation and ranking need two."""
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=False)]


def batches(
    faces: FaceSet,
    plan: Plan,
    slices: Sequence[slice],
    *,
    own: Callable[[int], slice] = lambda n: slice(None),
    change: Change | None = None,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches of these slices of a plan, read ahead by one thread.

    own: which of the n faces of a batch this process computes. change: what is done to their
    pictures, by a pool of threads. pin: into page-locked memory. ValueError for a box that does not
    lie within its picture: found here, where no device has to be waited for."""
    order, shown = plan

    def load(part: slice) -> Batch:
        mine = own(part.stop - part.start)
        batch = faces.load(order[part], shown[part], mine)
        if change:
            hashes = faces.hashes[order[part][mine]]
            pair = change(batch.pixels.numpy(), batch.boxes.numpy(), hashes, each=pool.map)
            pixels, boxes = map(torch.from_numpy, pair)
            batch = dataclasses.replace(batch, pixels=pixels, boxes=boxes)
        check_boxes(batch.boxes.numpy(), *batch.pixels.shape[2:0:-1])
        return batch.pinned() if pin else batch

    with ThreadPoolExecutor(processes.workers()) as pool:
        yield from read_ahead(partial(load, part) for part in slices)
