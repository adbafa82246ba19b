"""Shards: uint8 pictures of one size, packed by the thousand into .npy files and read back by row."""

import io
import math
import os
import resource
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError

PICTURES_PER_SHARD = (
    4096  # 201 MB of faces of 128 px: few files, and of a size that any tool handles
)


class ShardWriter:
    """Writes uint8 pictures of one shape as a few `pixels-NNNNN.npy` files, as they come: none is
    kept in memory.
    """

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int, ...] = (128, 128, 3),
        pictures_per_shard: int = PICTURES_PER_SHARD,
    ):
        self.folder, self.shape, self.pictures_per_shard = Path(folder), shape, pictures_per_shard
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start(0)

    def append(self, pictures: np.ndarray) -> None:
        """Add pictures (n, H, W, 3) uint8; they get the next n rows."""
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.shape:
            raise ValueError(
                f"expected uint8 (n, {', '.join(map(str, self.shape))}), got {pictures.dtype} "
                f"{pictures.shape}"
            )
        while len(pictures):
            if self._count == self.pictures_per_shard:
                self.close()
                self._start(self._number + 1)
            block = np.ascontiguousarray(pictures[: self.pictures_per_shard - self._count])
            with self._path.open("ab") as file:
                file.write(block.reshape(-1).data)
            self._count += len(block)
            pictures = pictures[len(block) :]

    def close(self) -> None:
        """Complete the last shard; an empty writer leaves one empty shard, so that the folder is
        readable.
        """
        with self._path.open("r+b") as file:
            file.write(_header(self._count, self.shape))

    def _start(self, number: int) -> None:
        self._path, self._number, self._count = _path(self.folder, number), number, 0
        self._path.write_bytes(_header(0, self.shape))


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
        header = _header(
            min(pictures_per_shard, total - number * pictures_per_shard), block.shape[1:]
        )
        with open(os.open(_path(folder, number), os.O_WRONLY | os.O_CREAT, 0o666), "wb") as file:
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
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 4 * len(self._paths):  # each shard stays open
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._files = [os.open(path, os.O_RDONLY) for path in self._paths]
        weakref.finalize(self, lambda files: list(map(os.close, files)), self._files)
        try:
            found = [_read_header(file) for file in self._files]
            (self.shape,) = {
                shape[1:] for shape, _ in found
            }  # or a ValueError: pictures of several sizes
        except (ValueError, EOFError) as error:
            raise PipelineError(
                f"{folder}: not readable as shards ({error}); remove it and run `dvc repro`"
            ) from None
        self._starts, self._headers = (
            np.cumsum([0, *(shape[0] for shape, _ in found)]),
            np.array([n for _, n in found]),
        )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Pictures of the given rows (any integer sequence or slice), uint8 (n, H, W, 3), as a copy
        in memory.
        """
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        return self.read(rows, np.empty((len(rows), *self.shape), dtype=np.uint8))

    def read(
        self, rows: np.ndarray, out: np.ndarray, places: np.ndarray | None = None
    ) -> np.ndarray:
        """Read pictures `rows` (n,) into `out`, contiguous uint8 (m, H, W, 3) such as a pinned
        tensor's, and return it.

        Picture i goes to out[places[i]]; without places (n,), to out[i].
        """
        if rows.dtype.kind not in "iu" and len(rows):
            raise TypeError(
                f"rows must be whole numbers, not {rows.dtype}: a mask would be read as rows 0 and "
                "1"
            )
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()}..{rows.max()} outside 0..{len(self) - 1}")
        if not out.flags.c_contiguous:
            raise ValueError("pictures can be read into contiguous memory only")
        rows = rows.astype(np.int64)
        places = np.arange(len(rows)) if places is None else places
        size = math.prod(self.shape)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        sources = self._headers[shards] + (rows - self._starts[shards]) * size
        joined = (
            (np.diff(shards) == 0) & (np.diff(rows) == 1) & (np.diff(places) == 1)
        )  # one reading for neighbours
        firsts = np.flatnonzero(np.append(True, ~joined)[: len(rows)])
        targets, lengths = places[firsts] * size, np.diff(firsts, append=len(rows)) * size
        buffer = out.reshape(-1).data
        for shard, source, target, length in np.stack(
            [shards[firsts], sources[firsts], targets, lengths], axis=1
        ).tolist():
            self._fill(buffer[target : target + length], shard, source)
        return out

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


def _path(folder: Path, number: int) -> Path:
    return folder / f"pixels-{number:05d}.npy"


def _header(count: int, shape: tuple[int, ...]) -> bytes:
    """The start of a .npy file of `count` pictures; its length does not depend on the count."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _read_header(file: int) -> tuple[tuple[int, ...], int]:
    """Shape and length of the header of an open .npy file of pictures; ValueError if it is anything
    else.
    """
    with open(file, "rb", closefd=False) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version} of .npy")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        length = stream.tell()
    if (
        dtype != np.uint8
        or fortran_order
        or len(shape) != 4
        or os.fstat(file).st_size != length + math.prod(shape)
    ):
        raise ValueError(
            f"{dtype} {shape} in {os.fstat(file).st_size} bytes, expected whole pictures in uint8"
        )
    return shape, length
