"""Shards: any order of writing gives the same bytes, rows come back, wrong ones are refused."""

import itertools
import math
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.common import shards

SHAPE = (4, 3, 3)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def write(folder: Path, parts: list[np.ndarray], per_shard: int) -> dict[str, bytes]:
    writer = shards.ShardWriter(folder, SHAPE, per_shard)
    for part in parts:
        writer.append(part)
    writer.close()
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def five(tmp_path):
    """A folder of five pictures in two shards."""
    write(tmp_path / "five", [pictures(5)], 3)
    return tmp_path / "five"


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7), st.data())
def test_any_split_of_appends_gives_the_same_bytes_and_the_same_rows(
    tmp_path_factory, sizes, per_shard, data
):
    base, expected = tmp_path_factory.mktemp("shards"), pictures(sum(sizes))
    parts = np.split(expected, np.cumsum(sizes)[:-1]) if sizes else []
    written = write(base / "parts", parts, per_shard)
    assert written == write(base / "whole", [expected], per_shard)
    assert len(written) == max(1, math.ceil(len(expected) / per_shard))
    stored = shards.read_shards(base / "parts")
    assert len(stored) == len(expected) and stored.shape == SHAPE
    rows = data.draw(st.lists(st.integers(0, len(stored) - 1), max_size=12)) if len(stored) else []
    np.testing.assert_array_equal(stored[rows], expected[np.array(rows, dtype=int)])
    np.testing.assert_array_equal(stored[1::2], expected[1::2])
    np.testing.assert_array_equal(
        np.concatenate([np.load(base / "parts" / name) for name in written]), expected
    )


@given(st.integers(1, 23), st.integers(1, 7), st.data())
def test_pictures_written_in_any_order_give_the_bytes_of_the_writer(
    tmp_path_factory, count, per_shard, data
):
    base, expected = tmp_path_factory.mktemp("shards"), pictures(count)
    ends = sorted(data.draw(st.sets(st.integers(0, count))) | {0, count})
    (base / "parts").mkdir()
    for first, last in data.draw(st.permutations(list(itertools.pairwise(ends)))):
        part = expected[first:last]
        shards.write_pictures(
            base / "parts", part, first=first, total=count, pictures_per_shard=per_shard
        )
    assert content(base / "parts") == write(base / "whole", [expected], per_shard)


def test_rows_outside_masks_and_fractions_are_refused(five):
    stored = shards.read_shards(five)
    for rows in ([5], [-1], [0, 99], np.array([2, -3])):
        with pytest.raises(IndexError, match=r"outside 0\.\.4"):
            stored[rows]
    for fractions in ([True, False, True, False, True], [0.5, 1.0]):
        with pytest.raises(TypeError, match="whole numbers"):
            stored[fractions]


def test_other_types_and_shapes_are_refused(tmp_path):
    for wrong in (np.zeros((2, *SHAPE)), np.zeros((2, 4, 3, 1), np.uint8), pictures(1)[0]):
        with pytest.raises(ValueError, match=r"expected uint8 \(n, 4, 3, 3\), got"):
            shards.ShardWriter(tmp_path, SHAPE).append(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 4, 3, 3), np.float32),
        np.zeros((2, 5, 3, 3), np.uint8),
        np.asfortranarray(pictures(2)),
        np.array([{}], dtype=object),
        b"\x93NUMPY\1\0\3\0{'\n",
        b"PK\5\6" + bytes(18),  # an archive of nothing
        b"",
    ],
)
def test_files_that_are_no_shards_are_named(five, wrong):
    if isinstance(wrong, bytes):
        (five / "pixels-00001.npy").write_bytes(wrong)
    else:
        np.save(five / "pixels-00001.npy", wrong, allow_pickle=True)
    with pytest.raises(PipelineError, match=f"{five.name}: not readable as shards"):
        shards.read_shards(five)


def test_shards_that_are_too_short_are_named(five):
    stored, path = shards.read_shards(five), five / "pixels-00001.npy"
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(PipelineError, match=r"pixels-00001\.npy: became shorter while it was read"):
        stored[:]
    for size in (path.stat().st_size, 10, 0):
        os.truncate(path, size)
        with pytest.raises(PipelineError, match="not readable as shards"):
            shards.read_shards(five)


def test_threads_read_side_by_side(tmp_path):
    write(tmp_path / "s", [pictures(200)], 30)
    stored = shards.read_shards(tmp_path / "s")
    wanted = [np.random.default_rng(k).integers(0, 200, 50) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for rows, read in zip(wanted, pool.map(stored.__getitem__, wanted), strict=True):
            np.testing.assert_array_equal(read, pictures(200)[rows])


def test_more_shards_than_files_may_be_open_are_no_problem_and_files_are_closed(tmp_path):
    write(tmp_path / "s", [pictures(40)], 1)
    before, limits = len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, limits[1]))
    try:
        stored = shards.read_shards(tmp_path / "s")
        np.testing.assert_array_equal(stored[:], pictures(40))
        assert len(os.listdir("/proc/self/fd")) == before + 40
        del stored
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
