"""Every file the pipeline writes and reads again: byte-stable, complete or absent, never a pickle."""

import io
import json
import math
import os
import resource
import weakref
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.atomic import atomic
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    import pandas as pd

PICTURES_PER_SHARD = 4096  # 201 MB of faces of 128 px: few files, and of a size that any tool handles


def write_json(path: str | Path, content: Any) -> None:
    """Sorted keys, two spaces, a final newline; NaN and infinity are refused, since JSON has neither."""
    try:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, default=_plain)
    except ValueError as error:
        raise PipelineError(f"{path}: cannot be written as JSON: {error}; write null and a reason instead") from None
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file of this pipeline."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None
    except ValueError as error:
        raise PipelineError(f"{path}: not valid JSON ({error}); remove it and run `dvc repro`") from None


def write_csv(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Columns of equal length with a header; floats to nine significant digits, None as an empty cell."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{path}: columns of different lengths {sorted(lengths)}")
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(_cell(value) for value in row) for row in rows)]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """An uncompressed .npz whose bytes depend on the arrays alone (NumPy's own carries the time of writing)."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[name], order="C"), allow_pickle=False)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; arrays that would need a pickle are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise PipelineError(f"{path}: not a readable .npz file ({error}); remove it and run `dvc repro`") from None


def write_table(path: str | Path, frame: "pd.DataFrame") -> None:
    """A data frame as Parquet, without an index; the bytes depend on the content alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), temporary)


def read_table(path: str | Path) -> "pd.DataFrame":
    """The data frame that `write_table` wrote."""
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (ValueError, OSError) as error:
        raise PipelineError(f"{path}: not a readable Parquet file ({error}); remove it and run `dvc repro`") from None


class ShardWriter:
    """Writes uint8 pictures of one shape as a few `pixels-NNNNN.npy` files, as they come: none is kept in memory."""

    def __init__(
        self,
        folder: str | Path,
        shape: tuple[int, ...] = (128, 128, 3),
        pictures_per_shard: int = PICTURES_PER_SHARD,
        first_shard: int = 0,
    ):
        self.folder, self.shape, self.pictures_per_shard = Path(folder), shape, pictures_per_shard
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start(first_shard)

    def append(self, pictures: np.ndarray) -> None:
        """Add pictures (n, H, W, 3) uint8; they get the next n rows."""
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.shape:
            raise ValueError(f"expected uint8 (n, {', '.join(map(str, self.shape))}), got {pictures.dtype} {pictures.shape}")
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
        """Complete the last shard; an empty writer leaves one empty shard, so that the folder is readable."""
        self._write_header("r+b")

    def _start(self, number: int) -> None:
        self._path, self._number, self._count = self.folder / f"pixels-{number:05d}.npy", number, 0
        self._write_header("wb")

    def _write_header(self, mode: str) -> None:
        """Its length does not depend on the number of pictures, so that it can be corrected at the end."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self.shape)}
        with self._path.open(mode) as file:
            np.lib.format.write_array_header_1_0(file, header)


class Shards:
    """Pictures of a shard folder as one sequence: `len(shards)`, `shards[rows]`; several threads may read at once.

    Files are read, not memory-mapped: the memory of the process does not grow with the pictures that it has seen.
    """

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
            (self.shape,) = {shape[1:] for shape, _ in found}  # or a ValueError: pictures of several sizes
        except (ValueError, EOFError) as error:
            raise PipelineError(f"{folder}: not readable as shards ({error}); remove it and run `dvc repro`") from None
        self._starts, self._headers = np.cumsum([0, *(shape[0] for shape, _ in found)]), np.array([n for _, n in found])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Pictures of the given rows (any integer sequence or slice), uint8 (n, H, W, 3), as a copy in memory."""
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        return self.read(rows, np.empty((len(rows), *self.shape), dtype=np.uint8))

    def read(self, rows: np.ndarray, out: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Read pictures `rows` (n,) into `out`, contiguous uint8 (m, H, W, 3) such as a pinned tensor's, and return it.

        Picture i goes to out[places[i]]; without places (n,), to out[i].
        """
        if rows.dtype.kind not in "iu" and len(rows):
            raise TypeError(f"rows must be whole numbers, not {rows.dtype}: a mask would be read as rows 0 and 1")
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()}..{rows.max()} outside 0..{len(self) - 1}")
        if not out.flags.c_contiguous:
            raise ValueError("pictures can be read into contiguous memory only")
        rows = rows.astype(np.int64)
        places = np.arange(len(rows)) if places is None else places
        size = math.prod(self.shape)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        sources = self._headers[shards] + (rows - self._starts[shards]) * size
        joined = (np.diff(shards) == 0) & (np.diff(rows) == 1) & (np.diff(places) == 1)  # one reading for neighbours
        firsts = np.flatnonzero(np.append(True, ~joined)[: len(rows)])
        targets, lengths = places[firsts] * size, np.diff(firsts, append=len(rows)) * size
        buffer = out.reshape(-1).data
        for shard, source, target, length in np.stack([shards[firsts], sources[firsts], targets, lengths], axis=1).tolist():
            self._fill(buffer[target : target + length], shard, source)
        return out

    def _fill(self, buffer: memoryview, shard: int, start: int) -> None:
        while buffer:
            count = os.preadv(self._files[shard], [buffer], start)
            if count == 0:
                raise PipelineError(f"{self._paths[shard]}: became shorter while it was read; run `dvc repro` again")
            buffer, start = buffer[count:], start + count


def read_shards(folder: str | Path) -> Shards:
    """Open a folder of shards written by `ShardWriter`."""
    return Shards(folder)


def encode_png(picture: np.ndarray) -> bytes:
    """PNG bytes of a uint8 picture (H, W, 3); run lengths compress noisy pictures faster and better than matches."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def _read_header(file: int) -> tuple[tuple[int, ...], int]:
    """Shape and length of the header of an open .npy file of pictures; ValueError if it is anything else."""
    with open(file, "rb", closefd=False) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version} of .npy")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        length = stream.tell()
    if dtype != np.uint8 or fortran_order or len(shape) != 4 or os.fstat(file).st_size != length + math.prod(shape):
        raise ValueError(f"{dtype} {shape} in {os.fstat(file).st_size} bytes, expected whole pictures in uint8")
    return shape, length


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.9g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
