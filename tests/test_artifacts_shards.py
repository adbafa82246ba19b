"""Shards: any split of appends gives the same bytes, rows come back as they were, and wrong rows or
types are refused.
"""

import itertools
import math
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards
from pipeline.common.shards import write_pictures

SHAPE = (4, 3, 3)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def write(folder: Path, parts: list[np.ndarray], per_shard: int) -> None:
    with artifacts.atomic(folder) as temporary:
        writer = shards.ShardWriter(temporary, SHAPE, per_shard)
        for part in parts:
            writer.append(part)
        writer.close()


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7), st.data())
def test_any_split_of_appends_gives_the_same_bytes_and_the_same_rows(
    tmp_path_factory, sizes, per_shard, data
):
    base, all_pictures = tmp_path_factory.getbasetemp(), pictures(sum(sizes))
    write(base / "whole", [all_pictures], per_shard)
    write(base / "parts", np.split(all_pictures, np.cumsum(sizes)[:-1]) if sizes else [], per_shard)
    names = sorted(path.name for path in (base / "whole").iterdir())
    assert names == sorted(path.name for path in (base / "parts").iterdir()) and len(names) == max(
        1, math.ceil(len(all_pictures) / per_shard)
    )
    assert all(
        (base / "whole" / n).read_bytes() == (base / "parts" / n).read_bytes() for n in names
    )
    stored = shards.read_shards(base / "parts")
    assert len(stored) == len(all_pictures) and stored.shape == SHAPE
    rows = data.draw(st.lists(st.integers(0, len(stored) - 1), max_size=12)) if len(stored) else []
    np.testing.assert_array_equal(stored[rows], all_pictures[np.array(rows, dtype=int)])
    np.testing.assert_array_equal(stored[1::2], all_pictures[1::2])
    np.testing.assert_array_equal(
        np.concatenate([np.load(base / "parts" / n) for n in names]), all_pictures
    )


def test_views_of_any_layout_are_stored_by_value_and_later_changes_do_not_count(tmp_path):
    block = pictures(6)
    expected = block[::-1, :, ::-1].copy()
    writer = shards.ShardWriter(tmp_path, SHAPE)
    writer.append(block[::-1, :, ::-1])
    block[:] = 0
    writer.close()
    stored = shards.read_shards(tmp_path)
    np.testing.assert_array_equal(stored[:], expected)
    stored[:][:] = 0
    np.testing.assert_array_equal(stored[:], expected)


@pytest.mark.parametrize("rows", [[5], [-1], [0, 99], np.array([2, -3])])
def test_rows_outside_are_refused(tmp_path, rows):
    write(tmp_path / "s", [pictures(5)], 2)
    with pytest.raises(IndexError, match=r"outside 0\.\.4"):
        shards.read_shards(tmp_path / "s")[rows]


@pytest.mark.parametrize("rows", [np.array([True, False, True, False, True]), [0.5, 1.0]])
def test_a_mask_or_fractions_are_no_rows(tmp_path, rows):
    write(tmp_path / "s", [pictures(5)], 2)
    with pytest.raises(TypeError, match="whole numbers"):
        shards.read_shards(tmp_path / "s")[rows]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, *SHAPE), np.float32),
        np.zeros((2, 4, 3, 1), np.uint8),
        np.zeros(SHAPE, np.uint8),
    ],
)
def test_other_types_and_shapes_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"expected uint8 \(n, 4, 3, 3\), got"):
        shards.ShardWriter(tmp_path, SHAPE).append(wrong)


def test_a_broken_or_pickled_shard_is_named(tmp_path):
    np.save(tmp_path / "pixels-00000.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(PipelineError, match="not readable as shards"):
        shards.read_shards(tmp_path)
    (tmp_path / "pixels-00000.npy").write_bytes(b"")
    with pytest.raises(PipelineError, match="not readable as shards"):
        shards.read_shards(tmp_path)


@given(st.integers(1, 23), st.integers(1, 7), st.data())
def test_pictures_written_in_any_order_give_the_bytes_of_the_writer(
    tmp_path_factory, count, per_shard, data
):
    base, all_pictures = tmp_path_factory.mktemp("shards"), pictures(count)
    write(base / "whole", [all_pictures], per_shard)
    cuts = sorted(data.draw(st.sets(st.integers(0, count))) | {0, count})
    parts = data.draw(st.permutations(list(itertools.pairwise(cuts))))
    (base / "parts").mkdir()
    for first, last in parts:
        write_pictures(
            base / "parts",
            all_pictures[first:last],
            first=first,
            total=count,
            pictures_per_shard=per_shard,
        )
    names = sorted(path.name for path in (base / "whole").iterdir())
    assert names == sorted(path.name for path in (base / "parts").iterdir())
    assert all(
        (base / "whole" / n).read_bytes() == (base / "parts" / n).read_bytes() for n in names
    )


def test_a_shard_is_the_file_that_numpy_writes(tmp_path):
    write(tmp_path / "s", [pictures(5)], 9)
    np.save(tmp_path / "theirs.npy", pictures(5))
    assert (tmp_path / "s/pixels-00000.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_pictures_are_read_into_given_memory_at_given_places(tmp_path):
    write(tmp_path / "s", [pictures(7)], 3)
    out = torch.zeros((6, *SHAPE), dtype=torch.uint8)  # such as pinned memory
    rows, places = np.array([6, 2, 3, 0], dtype=np.uint16), np.array([1, 4, 5, 0])
    shards.read_shards(tmp_path / "s").read(rows, out.numpy(), places)
    expected = np.zeros((6, *SHAPE), np.uint8)
    expected[places] = pictures(7)[rows]
    np.testing.assert_array_equal(out.numpy(), expected)
    with pytest.raises(ValueError, match="contiguous"):
        shards.read_shards(tmp_path / "s").read(rows, np.empty((8, *SHAPE), np.uint8)[::2])


def test_threads_read_side_by_side(tmp_path):
    write(tmp_path / "s", [pictures(200)], 30)
    opened = shards.read_shards(tmp_path / "s")
    wanted = [np.random.default_rng(k).integers(0, 200, 50) for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for rows, found in zip(wanted, pool.map(opened.__getitem__, wanted), strict=True):
            np.testing.assert_array_equal(found, pictures(200)[rows])


def test_a_shard_that_was_cut_or_does_not_fit_is_named(tmp_path):
    write(tmp_path / "s", [pictures(5)], 3)
    opened, path = shards.read_shards(tmp_path / "s"), tmp_path / "s/pixels-00001.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(PipelineError, match=r"pixels-00001\.npy: became shorter while it was read"):
        opened[:]
    for wrong in (
        np.zeros((2, 4, 3, 3), np.float32),
        np.zeros((2, 5, 3, 3), np.uint8),
        np.asfortranarray(pictures(2)),
    ):
        np.save(path, wrong)
        with pytest.raises(PipelineError, match="not readable as shards"):
            shards.read_shards(tmp_path / "s")
    path.write_bytes(content[:-1])
    with pytest.raises(PipelineError, match="expected whole pictures in uint8"):
        shards.read_shards(tmp_path / "s")


def test_files_are_closed_and_more_shards_than_files_may_be_open_are_no_problem(tmp_path):
    write(tmp_path / "s", [pictures(40)], 1)
    before, limits = len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, limits[1]))
    try:
        opened = shards.read_shards(tmp_path / "s")
        np.testing.assert_array_equal(opened[:], pictures(40))
        assert len(os.listdir("/proc/self/fd")) == before + 40
        del opened
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
