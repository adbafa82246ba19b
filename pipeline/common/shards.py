"""Shards: uint8 pictures of one size, by the thousand in .npy files, read back by row."""

import io
import os
import resource
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError

PICTURES_PER_SHARD = 4096  # 201 MB of faces of 128 px: few files, of a size that any tool handles


class ShardWriter:
    """Writes uint8 pictures of one shape as a few `pixels-NNNNN.npy` files, as they come."""

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int, ...] = (128, 128, 3),
        pictures_per_shard: int = PICTURES_PER_SHARD,
    ):
        self.folder, self.shape, self.pictures_per_shard = Path(folder), shape, pictures_per_shard
        self.folder.mkdir(parents=True, exist_ok=True)
        self._count = 0

    def append(self, pictures: np.ndarray) -> None:
        """Add pictures (n, H, W, 3) uint8; they get the next n rows."""
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.shape:
            raise ValueError(
                f"expected uint8 (n, {', '.join(map(str, self.shape))}), got {pictures.dtype} "
                f"{pictures.shape}"
            )
        total = self._count + len(pictures) + self.pictures_per_shard  # so that all seem full
        first, self._count = self._count, self._count + len(pictures)
        write_pictures(
            self.folder,
            pictures,
            first=first,
            total=total,
            pictures_per_shard=self.pictures_per_shard,
        )

    def close(self) -> None:
        """Write how many pictures the last shard holds; without pictures there is an empty one."""
        number = max(self._count - 1, 0) // self.pictures_per_shard
        header = _header(self._count - number * self.pictures_per_shard, self.shape)
        with _open_to_write(self.folder, number) as file:
            file.write(header)


def write_pictures(
    folder: Path,
    pictures: np.ndarray,
    *,
    first: int,
    total: int,
    pictures_per_shard: int = PICTURES_PER_SHARD,
) -> None:
    """Write pictures uint8 (n, H, W, 3) as rows `first`, first + 1, ... of an existing folder that
    shall hold `total`.

    Several processes may do so in any order; once all rows are written, the files are those of
    `ShardWriter`."""
    while len(pictures):
        number, row = divmod(first, pictures_per_shard)
        block = np.ascontiguousarray(pictures[: pictures_per_shard - row])
        count = min(pictures_per_shard, total - number * pictures_per_shard)
        header = _header(count, block.shape[1:])
        with _open_to_write(folder, number) as file:
            if row == 0:
                file.write(header)
            file.seek(len(header) + row * block[0].nbytes)
            file.write(block.reshape(-1).data)
        first, pictures = first + len(block), pictures[len(block) :]


class Shards:
    """Pictures of a shard folder as one sequence: `len(shards)`, `shards[rows]`; several threads
    may read at once.

    Files are read, not memory-mapped: the memory of the process does not grow with the pictures
    that it has seen."""

    shape: tuple[int, ...]  # of a picture: H, W, 3

    def __init__(self, folder: str | Path):
        self._paths = sorted(Path(folder).glob("pixels-*.npy"))
        if not self._paths:
            raise PipelineError(f"{folder}: no pixels-*.npy shards; run `dvc repro` to make them")
        try:
            described = [_describe(path) for path in self._paths]
            (self.shape,) = {shape[1:] for shape, _ in described}  # or a ValueError: several sizes
        except (OSError, MemoryError):
            raise
        except Exception as error:  # NumPy raises nearly any on damaged bytes
            raise PipelineError(
                f"{folder}: not readable as shards ({error}); remove it and run `dvc repro`"
            ) from None
        self._starts = np.cumsum([0, *(shape[0] for shape, _ in described)])
        self._headers = np.array([length for _, length in described])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 4 * len(self._paths):  # each shard stays open
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._files = [os.open(path, os.O_RDONLY) for path in self._paths]
        weakref.finalize(self, lambda files: list(map(os.close, files)), self._files)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Pictures of the given rows (whole numbers from 0, or a slice), uint8 (n, H, W, 3), as a
        copy in memory.
        """
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        if rows.dtype.kind not in "iu" and len(rows):
            raise TypeError(f"rows must be whole numbers, not {rows.dtype}")
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()}..{rows.max()} outside 0..{len(self) - 1}")
        rows = rows.astype(np.int64)
        pictures = np.empty((len(rows), *self.shape), np.uint8)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        size = int(np.prod(self.shape))
        places = self._headers[shards] + (rows - self._starts[shards]) * size
        for picture, shard, place in zip(pictures, shards.tolist(), places.tolist(), strict=True):
            self._fill(picture.reshape(-1).data, shard, place)
        return pictures

    def _fill(self, buffer: memoryview, shard: int, start: int) -> None:
        while buffer:
            count = os.preadv(self._files[shard], [buffer], start)
            if count == 0:
                raise PipelineError(
                    f"{self._paths[shard]}: became shorter while it was read; run `dvc repro` again"
                )
            buffer, start = buffer[count:], start + count


def read_shards(folder: str | Path) -> Shards:
    """Open a folder of shards written by `ShardWriter`."""
    return Shards(folder)


def _open_to_write(folder: Path, number: int) -> io.BufferedWriter:
    path = folder / f"pixels-{number:05d}.npy"
    return open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")


def _header(count: int, shape: tuple[int, ...]) -> bytes:
    """The start of a .npy file of `count` pictures; its length does not depend on the count."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _describe(path: Path) -> tuple[tuple[int, ...], int]:
    """Shape of a shard, and the length of its header. ValueError if it is anything else."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise ValueError(f"{path.name} is an archive, not an array")
    if array.dtype != np.uint8 or array.ndim != 4 or not array.flags.c_contiguous:
        raise ValueError(f"{path.name} holds {array.dtype} {array.shape}, not pictures in uint8")
    return array.shape, array.offset
