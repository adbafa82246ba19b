"""Batches of the pretext task: which face, as photograph or as which manipulation, in which order."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.common import randomness
from pipeline.common.names import TAGS
from pipeline.common.read_ahead import read_ahead
from pipeline.pretext import losses

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
PHOTOGRAPH = -1  # in place of a row of the manipulated pictures
BLOCK = 4096  # pictures that go to a device at once


class Pictures(Protocol):
    """Stored pictures: `len(pictures)`, `pictures[rows]` -> uint8 (n, H, W, 3), in memory or on a
    device.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8] | torch.Tensor: ...


class DevicePictures:
    """Pictures that lie as a whole in a device's memory, so that a batch is picked there."""

    def __init__(self, pictures: Pictures, device: torch.device) -> None:
        self.pixels: torch.Tensor | None = None
        for start in range(0, len(pictures), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(pictures)))
            block = torch.as_tensor(pictures[rows])
            if self.pixels is None:
                self.pixels = torch.empty(
                    (len(pictures), *block.shape[1:]), dtype=torch.uint8, device=device
                )
            self.pixels[start : start + len(rows)].copy_(block)

    def __len__(self) -> int:
        return 0 if self.pixels is None else len(self.pixels)

    def __getitem__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Pictures of the given rows, as a copy."""
        assert self.pixels is not None, "there are no pictures"
        return self.pixels.index_select(
            0, torch.from_numpy(rows).to(self.pixels.device, non_blocking=True)
        )


@dataclass(frozen=True)
class Batch:
    """n faces as they leave memory, of which this process computes m; crop, resize and
    normalisation follow on the device.
    """

    pixels: torch.Tensor  # (m, H, W, 3) uint8, whole stored pictures
    boxes: (
        torch.Tensor
    )  # (m, 4) float32, enlarged face boxes x0, y0, x1, y1 in pixels; stays on the CPU
    tags: torch.Tensor  # (n, 4) float32, in stops, in the order of TAGS
    manipulated: torch.Tensor  # (n,) float32, 1 = manipulated

    def __len__(self) -> int:
        return len(self.tags)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; the boxes stay, since crop_resize checks them without waiting for
        the device.
        """
        moved = [
            part.to(device, non_blocking=True)
            for part in (self.pixels, self.tags, self.manipulated)
        ]
        return Batch(moved[0], self.boxes, *moved[1:])


@dataclass(frozen=True)
class FaceSet:
    """Faces of one split with their tags, and where the pictures of each and of its manipulations
    are stored.
    """

    photographs: Pictures
    manipulations: Pictures
    hashes: NDArray[np.uint64]  # (n,) of the face ids
    rows: NDArray[np.int64]  # (n,) into photographs
    boxes: NDArray[np.float32]  # (n, 4)
    tags: NDArray[np.float32]  # (n, 4) in stops
    manipulated_rows: NDArray[
        np.int64
    ]  # (n, k) into manipulations; the first `manipulated_counts` of a row are used
    manipulated_counts: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        return len(self.rows)

    def load(
        self, faces: NDArray[np.int64], chosen: NDArray[np.int64], share: slice = slice(None)
    ) -> Batch:
        """Batch of the given faces (n,), each as photograph or as the manipulation row in `chosen`
        (n,).

        share: those of the n whose pixels are loaded.
        """
        manipulated = chosen != PHOTOGRAPH
        pixels = torch.as_tensor(self.photographs[self.rows[faces[share]]])  # (m, H, W, 3)
        where = np.flatnonzero(manipulated[share])
        if len(where):
            shown = torch.as_tensor(self.manipulations[chosen[share][where]])
            pixels.index_copy_(
                0, torch.from_numpy(where).to(pixels.device, non_blocking=True), shown
            )
        return Batch(
            pixels,
            torch.from_numpy(self.boxes[faces[share]]),
            torch.from_numpy(self.tags[faces]),
            torch.from_numpy(manipulated.astype(np.float32)),
        )


def near(sets: Sequence[FaceSet], device: torch.device) -> list[FaceSet]:
    """The sets (of the same stores) with their pictures on a GPU, if they fill half its free memory
    at most; else unchanged.
    """
    if device.type != "cuda" or not sets:
        return list(sets)
    stores = (sets[0].photographs, sets[0].manipulations)
    size = sum(
        len(store) * math.prod(store[np.zeros(1, np.int64)].shape) for store in stores if len(store)
    )
    if size > torch.cuda.mem_get_info(device)[0] / 2:
        return list(sets)
    photographs, manipulations = (DevicePictures(store, device) for store in stores)
    return [
        dataclasses.replace(one, photographs=photographs, manipulations=manipulations)
        for one in sets
    ]


def face_set(
    faces: "pd.DataFrame",
    photographs: Pictures,
    manipulated: "pd.DataFrame",
    manipulations: Pictures,
    boxes: NDArray[np.floating],
) -> FaceSet:
    """Build the set from rows of the faces table, the table of manipulations, both stores and face
    boxes (n, 4).
    """
    for name, table, pictures in (
        ("faces", faces, photographs),
        ("manipulated", manipulated, manipulations),
    ):
        if len(table) and table["row"].max() >= len(pictures):
            raise PipelineError(
                f"{name}: the table names row {table['row'].max()} but {len(pictures)} pictures "
                "are stored; "
                "table and pixels are of different runs, run `dvc repro`"
            )
    of_face = manipulated.sort_values("row").groupby("face_row")["row"].agg(list).to_dict()
    rows = faces["row"].to_numpy(np.int64)
    lists = [of_face.get(int(row), []) for row in rows]
    counts = np.array([len(one) for one in lists], dtype=np.int64)
    padded = np.zeros((len(rows), max([1, *counts])), dtype=np.int64)
    for i, one in enumerate(lists):
        padded[i, : len(one)] = one
    tags = [losses.stops(tag, faces[tag].to_numpy(np.float64)) for tag in TAGS]
    return FaceSet(
        photographs=photographs,
        manipulations=manipulations,
        hashes=randomness.hashes(faces["face_id"].astype(str)),
        rows=rows,
        boxes=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        tags=np.stack(tags, axis=1).astype(np.float32),
        manipulated_rows=padded,
        manipulated_counts=counts,
    )


def epoch_plan(
    faces: FaceSet, *, seed: int, epoch: int, photograph_probability: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of the faces (n,) and, in that order, what each is shown as (n,): PHOTOGRAPH or a
    manipulated row.

    Every face comes once. It is a photograph with the given probability, else one of its
    manipulations, equally likely; a face without any stays a photograph. Keyed by (seed, face id,
    epoch): other faces have no influence."""
    order = np.argsort(
        randomness.uniforms(seed, "pretext order", faces.hashes, epoch), kind="stable"
    )
    as_photograph = (
        randomness.uniforms(seed, "pretext photograph", faces.hashes, epoch)
        < photograph_probability
    )
    which = (
        randomness.uniforms(seed, "pretext manipulation", faces.hashes, epoch)
        * faces.manipulated_counts
    )
    rows = faces.manipulated_rows[np.arange(len(faces)), which.astype(np.int64)]
    chosen = np.where(as_photograph | (faces.manipulated_counts == 0), PHOTOGRAPH, rows)
    return order, chosen[order]


def held_out_plan(
    faces: FaceSet, *, per_face: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every face as photograph, in order, then every face as its manipulations; two arrays as from
    `epoch_plan`.

    per_face limits the manipulations to that many per face, walking through them from face to face,
    so that all kinds stay in the selection."""
    n, k = faces.manipulated_rows.shape
    column = np.arange(k)
    start = np.arange(n)[:, None] if per_face is not None else 0  # (n, 1)
    counts = faces.manipulated_counts[:, None]  # (n, 1)
    picked = (column - start) % np.maximum(counts, 1) < (
        k if per_face is None else per_face
    )  # (n, k)
    owner, which = np.nonzero(picked & (column < counts))
    shown = faces.manipulated_rows[owner, which]
    return np.concatenate([np.arange(n), owner]), np.concatenate([np.full(n, PHOTOGRAPH), shown])


def cut(n: int, batch_size: int) -> list[slice]:
    """Slices of 0..n of batch_size each. The last one is shorter; a single left-over face joins the
    batch before it.

    Batch normalisation and ranking both need two faces.
    """
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    return [
        slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=False)
    ]  # no slice for n = 0


def batches(
    faces: FaceSet,
    plan: tuple[NDArray[np.int64], NDArray[np.int64]],
    parts: Sequence[slice],
    *,
    share: Callable[[int], slice] = lambda n: slice(None),
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches of the given parts of a plan in order, read ahead by one thread.

    share: which of n faces this process loads. pin: into page-locked memory, from which a GPU
    copies while it computes."""
    order, chosen = plan

    def load(part: slice) -> Batch:
        batch = faces.load(order[part], chosen[part], share(part.stop - part.start))
        if not pin or batch.pixels.is_cuda:
            return batch
        return dataclasses.replace(batch, pixels=batch.pixels.pin_memory())

    yield from read_ahead(functools.partial(load, part) for part in parts)
