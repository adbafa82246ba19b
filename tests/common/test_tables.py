"""Tables that are written row by row, held to the ones written at once."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.common import artifacts, tables


def columns(count, start=0):
    rows = np.arange(start, start + count)
    numbers = np.where(rows % 3 == 0, np.nan, rows / 7).astype(np.float32)
    names = [f"é{row}" for row in rows]
    return {"name": names, "none": [""] * count, "row": rows, "number": numbers}


def write(path, sizes):
    writer, start = tables.TableWriter(path), 0
    for size in sizes:
        writer.append(columns(size, start))
        start += size
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("sizes", [[50], [0, 20, 0, 30], [1] * 50])
def test_up_to_one_group_the_bytes_are_those_of_a_table_written_at_once(tmp_path, sizes):
    artifacts.write_table(tmp_path / "once", pd.DataFrame(columns(50)))
    assert write(tmp_path / "rows", sizes) == (tmp_path / "once").read_bytes()


def test_bytes_and_groups_do_not_depend_on_how_many_rows_come_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", 16)
    ways = ([50], [7] * 7 + [1], [16, 0, 16, 18], [2, 48])
    assert len({write(tmp_path / str(i), sizes) for i, sizes in enumerate(ways)}) == 1
    metadata = pq.ParquetFile(tmp_path / "0").metadata
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [16, 16, 16, 2]
    pd.testing.assert_frame_equal(artifacts.read_table(tmp_path / "0"), pd.DataFrame(columns(50)))


def test_without_rows_there_is_an_empty_table_and_without_appends_none(tmp_path):
    write(tmp_path / "empty", [0])
    assert list(artifacts.read_table(tmp_path / "empty")) == ["name", "none", "row", "number"]
    tables.TableWriter(tmp_path / "nothing").close()
    assert not (tmp_path / "nothing").exists()
