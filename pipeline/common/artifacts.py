"""Files that the pipeline writes and reads: byte-stable, complete or absent, never a pickle."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.atomic import atomic
from pipeline.base.errors import PipelineError
from pipeline.common.tally import plain

if TYPE_CHECKING:
    import pandas as pd


def write_json(path: str | Path, content: Any) -> None:
    """Sorted keys, two spaces, a final newline. PipelineError on NaN and infinity."""
    try:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, default=_plain)
    except ValueError as error:
        raise PipelineError(
            f"{path}: cannot be written as JSON: {error}; write null and a reason instead"
        ) from None
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file of this pipeline."""
    with _reading(path, "valid JSON"):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Columns of equal length with a header; floats to nine digits, None as an empty cell."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{path}: columns of different lengths {sorted(lengths)}")
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(map(_cell, column) for column in columns.values()), strict=True))


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """An uncompressed .npz whose bytes depend on the arrays alone (NumPy's own carries the time of
    writing).
    """
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name], order="C")
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            # Tells whether the long form is needed; forced, its header differs among Pythons.
            info.file_size = array.nbytes
            with archive.open(info, "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; arrays that would need a pickle are refused."""
    with _reading(path, "a readable .npz file"), np.load(path, allow_pickle=False) as archive:
        if sum(one.file_size for one in archive.zip.infolist()) > Path(path).stat().st_size:
            raise ValueError("compressed: it could unpack to any size")
        arrays = {name: archive[name] for name in archive.files}
        if others := [name for name, one in arrays.items() if not isinstance(one, np.ndarray)]:
            raise ValueError(f"{plain(others[0])} is no array")
        return arrays


def write_table(path: str | Path, frame: "pd.DataFrame") -> None:
    """A data frame as Parquet, without an index; the bytes depend on the content alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(
            pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None),
            temporary,
        )


def read_table(path: str | Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """The data frame that `write_table` wrote, or these columns of it."""
    import pandas as pd

    with _reading(path, "a readable Parquet file"):
        return pd.read_parquet(path, columns=columns)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_png(picture: np.ndarray) -> bytes:
    """PNG bytes of a uint8 picture (H, W, 3), fast: noise compresses best by run lengths."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


@contextmanager
def _reading(path: str | Path, kind: str) -> Iterator[None]:
    """Turns what readers raise into a PipelineError that names the path and the remedy."""
    try:
        yield
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; run `dvc repro` to make it") from None
    except ImportError:
        raise
    except MemoryError:
        raise PipelineError(
            f"{path}: no memory to read it, or it is damaged; free some, else remove the file and "
            "run `dvc repro`"
        ) from None
    except Exception as error:  # readers raise nearly any on damaged bytes
        reason = plain(str(error) or type(error).__name__)
        raise PipelineError(
            f"{path}: not {kind} ({reason:.200}); remove it and run `dvc repro`"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _cell(value: Any) -> Any:
    return f"{float(value):.9g}" if isinstance(value, (float, np.floating)) else value
