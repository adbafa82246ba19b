"""The faces of one split, their tags, and where the pictures of each are stored."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, randomness, shards
from pipeline.common.names import BOX_COLUMNS, MANIPULATION
from pipeline.encoder.preprocessing import square_box
from pipeline.pretext.tags import RankedTag

if TYPE_CHECKING:
    import pandas as pd

PHOTOGRAPH = -1  # in place of a row of the manipulated pictures


@dataclass(frozen=True)
class Batch:
    """n faces, of which this process computes m. They are cropped and resized on the device."""

    pixels: torch.Tensor  # (m, H, W, 3) uint8, whole stored pictures
    boxes: torch.Tensor  # (m, 4) float32, enlarged face boxes x0, y0, x1, y1 in pixels
    tags: torch.Tensor  # (n, t) float32, in stops, NaN = unknown
    manipulated: torch.Tensor  # (n,) float32, 1 = manipulated

    def __len__(self) -> int:
        return len(self.tags)

    def pinned(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies while it computes; PyTorch keeps
        the memory until the copy is done.
        """
        return self._each(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, which from page-locked memory does not wait for the copy."""
        return self._each(lambda part: part.to(device, non_blocking=True))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        return Batch(*(change(part) for part in vars(self).values()))


@dataclass(frozen=True)
class FaceSet:
    """n faces of one split, as photographs and as up to k manipulations each."""

    photographs: Any  # stored pictures: [rows (m,)] -> uint8 (m, H, W, 3), a copy
    manipulations: Any  # likewise
    hashes: NDArray[np.uint64]  # (n,) of the face ids
    rows: NDArray[np.int64]  # (n,) into photographs
    boxes: NDArray[np.float32]  # (n, 4)
    tags: NDArray[np.float32]  # (n, t) in stops, NaN = unknown
    manipulated_rows: NDArray[np.int64]  # (n, k) into manipulations, the first `counts` are used
    manipulated_counts: NDArray[np.int64]  # (n,)
    ranked: tuple[RankedTag, ...]  # (t,)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def heads(self) -> tuple[str, ...]:
        """What is learnt from the faces, in the order of the encoder's heads."""
        return (*(tag.name for tag in self.ranked), MANIPULATION)

    def with_tags(self, kept: tuple[RankedTag, ...]) -> "FaceSet":
        """The faces with some of their tags."""
        columns = [self.ranked.index(tag) for tag in kept]
        return dataclasses.replace(self, tags=self.tags[:, columns], ranked=kept)

    def load(
        self, faces: NDArray[np.int64], shown: NDArray[np.int64], own: slice = slice(None)
    ) -> Batch:
        """The batch of faces (n,), each shown (n,) as PHOTOGRAPH or as a row of the manipulations.

        own: those of the n whose pixels this process computes."""
        pixels = self.photographs[self.rows[faces[own]]]  # (m, H, W, 3)
        places = np.flatnonzero(shown[own] != PHOTOGRAPH)
        if len(places):
            pixels[places] = self.manipulations[shown[own][places]]
        return Batch(
            torch.from_numpy(pixels),
            torch.from_numpy(self.boxes[faces[own]]),
            torch.from_numpy(self.tags[faces]),
            torch.from_numpy((shown != PHOTOGRAPH).astype(np.float32)),
        )


def read_faces(faces: Path, manipulated: Path, face_scale: float) -> tuple[FaceSet, FaceSet]:
    """The training and the validation set, from what filter_exif and manipulate_faces wrote."""
    table = artifacts.read_table(faces / "faces.parquet")
    described = artifacts.read_json(faces / "exif.json")["tags"]
    ranked = tuple(RankedTag(one["name"], one["scale"], one["stops"]) for one in described)
    operations = artifacts.read_table(manipulated / "manipulated.parquet")
    photographs, manipulations = shards.read_shards(faces), shards.read_shards(manipulated)
    height, width, _ = photographs.shape
    sets = []
    for split in ("train", "validation"):
        part = table[table["split"] == split]
        try:
            boxes = square_box(part[list(BOX_COLUMNS)].to_numpy(float), face_scale, width, height)
        except ValueError as error:
            raise PipelineError(
                f"{faces}/faces.parquet, split {split}: {error}; filter_exif should reject it"
            ) from error
        pictures = photographs, operations, manipulations
        sets.append(face_set(part, *pictures, boxes, ranked=ranked))
    return sets[0], sets[1]


def face_set(
    faces: "pd.DataFrame",
    photographs: Any,
    manipulated: "pd.DataFrame",
    manipulations: Any,
    boxes: NDArray[np.floating],
    *,
    ranked: tuple[RankedTag, ...],
) -> FaceSet:
    """The set of the faces table, the table of manipulations, their pictures, and boxes (n, 4)."""
    rows_of = manipulated.sort_values("row").groupby("face_row")["row"].agg(list).to_dict()
    rows = faces["row"].to_numpy(np.int64)
    lists = [rows_of.get(int(row), []) for row in rows]
    counts = np.array([len(own) for own in lists], dtype=np.int64)
    padded = np.zeros((len(rows), max([1, *counts])), dtype=np.int64)
    for i, own in enumerate(lists):
        padded[i, : len(own)] = own
    tags = [tag.in_stops(faces[tag.name]) for tag in ranked]
    return FaceSet(
        photographs=photographs,
        manipulations=manipulations,
        hashes=randomness.hashes(faces["face_id"].astype(str)),
        rows=rows,
        boxes=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        tags=np.stack(tags, axis=1).astype(np.float32),
        manipulated_rows=padded,
        manipulated_counts=counts,
        ranked=ranked,
    )


def shuffle_tags(faces: FaceSet, seed: int) -> FaceSet:
    """The faces, each with all tags of another one (or, by chance, its own), for a control."""
    order = randomness.generator(seed, "controls shuffled").permutation(len(faces))
    return dataclasses.replace(faces, tags=faces.tags[order])
