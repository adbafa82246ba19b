"""Every file the pipeline writes and reads again: byte-stable, complete or absent, never a pickle."""

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there on success and removed on failure; for files and folders."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        temporary = scratch / path.name
        yield temporary
        if temporary.exists() and path.exists() and (path.is_dir() or temporary.is_dir()):
            os.replace(path, scratch / "before")  # a folder cannot be replaced in one step; put aside, it is lost last
        os.replace(temporary, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    """Writes uint8 pictures of one shape as a few `pixels-NNNNN.npy` files, holding one shard in memory at most."""

    def __init__(self, folder: str | Path, shape: tuple[int, int, int] = (128, 128, 3), pictures_per_shard: int = 4096):
        self.folder, self.shape, self.pictures_per_shard = Path(folder), shape, pictures_per_shard
        self.folder.mkdir(parents=True, exist_ok=True)
        self._waiting: list[np.ndarray] = []
        self._count = self._shards = 0

    def append(self, pictures: np.ndarray) -> None:
        """Add pictures (n, H, W, 3) uint8; they get the next n rows."""
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.shape:
            raise ValueError(f"expected uint8 (n, {', '.join(map(str, self.shape))}), got {pictures.dtype} {pictures.shape}")
        while len(pictures):
            room = self.pictures_per_shard - self._count
            self._waiting.append(pictures[:room].copy())
            self._count += len(pictures[:room])
            pictures = pictures[room:]
            if self._count == self.pictures_per_shard:
                self._flush()

    def close(self) -> None:
        """Write what is left; an empty writer leaves one empty shard, so that the folder is readable."""
        if self._count or not self._shards:
            self._flush()

    def _flush(self) -> None:
        path = self.folder / f"pixels-{self._shards:05d}.npy"
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self.shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for block in self._waiting:
                np.ascontiguousarray(block).tofile(file)
        self._waiting, self._count, self._shards = [], 0, self._shards + 1


class Shards:
    """Pictures of a shard folder as one memory-mapped sequence: `len(shards)`, `shards[rows]`."""

    def __init__(self, folder: str | Path):
        paths = sorted(Path(folder).glob("pixels-*.npy"))
        if not paths:
            raise PipelineError(f"{folder}: no pixels-*.npy shards; run `dvc repro` to make them")
        try:
            self._maps = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        except (ValueError, OSError, EOFError) as error:
            raise PipelineError(f"{folder}: not readable as shards ({error}); remove it and run `dvc repro`") from None
        self._starts = np.cumsum([0, *(len(m) for m in self._maps)])
        self.shape: tuple[int, int, int] = self._maps[0].shape[1:]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Pictures of the given rows (any integer sequence or slice), uint8 (n, H, W, 3), as a copy in memory."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        if rows.dtype.kind not in "iu" and len(rows):
            raise TypeError(f"rows must be whole numbers, not {rows.dtype}: a mask would be read as rows 0 and 1")
        rows = rows.astype(np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()}..{rows.max()} outside 0..{len(self) - 1}")
        out = np.empty((len(rows), *self.shape), dtype=np.uint8)
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard):
            here = shard == number
            out[here] = self._maps[number][rows[here] - self._starts[number]]
        return out


def read_shards(folder: str | Path) -> Shards:
    """Open a folder of shards written by `ShardWriter`."""
    return Shards(folder)


def encode_png(picture: np.ndarray) -> bytes:
    """PNG bytes of a uint8 picture (H, W, 3); run lengths compress noisy pictures faster and better than matches."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


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
