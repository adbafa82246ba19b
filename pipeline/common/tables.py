"""Large Parquet tables, written while their rows come in."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 2**14
FORMULA = tuple("=+-@＝＋－＠")  # spreadsheets take a cell that begins so for one


class TableWriter:
    """Writes a Parquet table in groups of ROWS_PER_GROUP rows and holds one group in memory.

    The bytes depend on the rows alone, not on how many came at a time; up to one group they are
    those of `write_table`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writer: Any = None

    def append(self, columns: Mapping[str, list[str] | np.ndarray]) -> None:
        """Add rows: columns of equal length, texts as a list, numbers as an array; NaN is stored as
        absent, as by pandas.
        """
        import pyarrow as pa

        kinds = {
            name: pa.large_string() for name, column in columns.items() if type(column) is list
        }
        arrays = {
            name: pa.array(column, type=kinds.get(name), from_pandas=True)
            for name, column in columns.items()
        }
        self._waiting.append(pa.table(arrays))
        self._rows += self._waiting[-1].num_rows
        while self._rows >= ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left; without any `append` there is no file, since the columns are not
        known.
        """
        if self._waiting and (self._rows or self._writer is None):
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema)
        group, rest = table.slice(0, ROWS_PER_GROUP), table.slice(ROWS_PER_GROUP)
        self._writer.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self._waiting, self._rows = [rest], rest.num_rows
