"""Rows of results, written as they come: CSV, JSON lines or Parquet, to a file or standard output.

A batch of rows is written at once, so that a kill loses what was under way and leaves at most one
torn row, which resuming cuts off. Parquet cannot grow: its rows gather in <file>.rows.jsonl, from
which the file is made at the end."""

import csv
import io
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from pipeline.base.atomic import atomic
from pipeline.common.names import BOX_COLUMNS
from pipeline.common.tables import ROWS_PER_GROUP
from pipeline.detect.errors import Unusable

KINDS = (".csv", ".jsonl", ".parquet")
COLUMNS: dict[str, type] = {
    "path": str,
    **dict.fromkeys(BOX_COLUMNS, int),
    "anomaly_score": float,
    "p_value": float,
    "verdict": str,
    "reason": str,
    "head": str,
    "head_z": float,
    "width": int,
    "height": int,
    "format": str,
    "error": str,
    "detector": str,
}
Row = Mapping[str, Any]  # by column; None = nothing to say


class Rows:
    """Where the rows of a detector go.

    Unusable where the file is there and not to be resumed, or was not written by this detector
    at these rates, with this --crop; such a file is left as it is."""

    def __init__(
        self, out: Path | None, detector: str, *, resume: bool = False, quiet: bool = False
    ) -> None:
        """out: None = standard output, with `quiet` nowhere. detector: what stands in them."""
        self.out, self.detector = out, detector
        self.kind = out.suffix.lower() if out else ".csv"
        if self.kind not in KINDS:
            raise Unusable(f"--out {out}: needs a name that ends in {', '.join(KINDS)}")
        if out is None:
            self._file: IO[str] | None = None if quiet else sys.stdout
            self._write(self._head())
            return
        self.journal = out.with_name(f"{out.name}.rows.jsonl") if self.kind == ".parquet" else out
        self._open(out, resume)

    def before(self) -> Iterator[Row]:
        """Rows of the run that is resumed, until some are added: read from the file each time."""
        for row in _parse(self.journal, self.kind) if self.out else ():
            if row["detector"] != self.detector:
                raise Unusable(
                    f"{self.out}: rows of another model, calibration, false alarm rate, --crop or "
                    "--face-detector: it cannot be resumed with this one; choose another --out"
                )
            yield row

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows; they are the system's when this returns."""
        self._write("".join(map(self._line, rows)))

    def close(self) -> None:
        """Make the Parquet file, now that all rows are there."""
        if self.out is None or self._file is None:
            return
        self._file.close()
        if self.kind == ".parquet":
            _to_parquet(self.journal, self.out)
            self.journal.unlink()

    def _open(self, out: Path, resume: bool) -> None:
        left = [path for path in dict.fromkeys((self.journal, out)) if path.exists()]
        if left and not resume:
            raise Unusable(
                f"{left[0]} is there already: go on with it (--resume), remove it, or choose "
                "another --out"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        if self.journal != out and left == [out]:
            with atomic(self.journal) as new, new.open("w", encoding="utf-8") as lines:
                lines.writelines(map(self._line, _from_parquet(out)))
        if self.journal.exists():
            deque(self.before(), maxlen=0)  # raises where it is not ours
            _cut_torn(self.journal)
        self._file = self.journal.open("a", encoding="utf-8", newline="")
        if not self.journal.stat().st_size:
            self._write(self._head())

    def _write(self, text: str) -> None:
        if self._file:
            self._file.write(text)
            self._file.flush()

    def _head(self) -> str:
        return _csv(list(COLUMNS)) if self.kind == ".csv" else ""

    def _line(self, row: Row) -> str:
        values = [row.get(name) for name in COLUMNS]
        if self.kind == ".csv":
            return _csv(["" if value is None else value for value in values])
        return json.dumps(dict(zip(COLUMNS, values, strict=True)), ensure_ascii=False) + "\n"


def _csv(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _cut_torn(path: Path) -> None:
    """Remove what follows the last complete line."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 2**16)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


def _parse(path: Path, kind: str) -> Iterator[Row]:
    """The rows of a .csv file or of JSON lines. Unusable for a file that is not ours."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            begins = ",".join(COLUMNS) if kind == ".csv" else '{"path": '
            if not begins.startswith(file.read(len(begins))):  # or only some of it, where torn
                raise ValueError("other columns")
            file.seek(0)
            whole = (line for line in file if line.endswith("\n"))
            for row in _from_csv(whole) if kind == ".csv" else map(json.loads, whole):
                if list(row) != list(COLUMNS):
                    raise ValueError("other columns")
                yield row
    except (ValueError, TypeError, RecursionError, csv.Error) as error:
        raise Unusable(
            f"{path}: not what this command wrote ({error}): it cannot be resumed; choose another "
            "--out"
        ) from None


def _from_csv(lines: Iterable[str]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    next(reader, None)
    for row in reader:
        cells = zip(COLUMNS.items(), row, strict=True)
        yield {name: kind(text) if text else None for (name, kind), text in cells}


def _schema() -> Any:
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def _to_parquet(journal: Path, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (
        journal.open(encoding="utf-8") as lines,
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, _schema()) as writer,
    ):
        rows = map(json.loads, lines)
        while some := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(some, schema=_schema()))


def _from_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if file.schema_arrow.names != list(COLUMNS):
            raise Unusable(f"{path}: has other columns, so it cannot be resumed")
        for some in file.iter_batches():
            yield from some.to_pylist()
    except (pa.ArrowException, ValueError, OSError) as error:
        raise Unusable(f"{path}: not a Parquet file ({error}); choose another --out") from None
