"""Files of the pipeline: equal content gives equal bytes, a failure leaves what was there, nothing is a pickle."""

import csv
import io
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from pipeline import artifacts
from pipeline.errors import PipelineError


def everything(folder: Path) -> list[str]:
    """All paths below a folder, hidden ones too: nothing temporary may stay."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Crash(Exception):
    pass


# --- atomic


@pytest.mark.parametrize("before", [None, "file", "folder"])
@pytest.mark.parametrize("after", ["file", "folder"])
def test_atomic_replaces_whatever_was_there(tmp_path, before, after):
    target = tmp_path / "deep" / "target"
    if before == "file":
        target.parent.mkdir()
        target.write_text("old")
    elif before == "folder":
        target.mkdir(parents=True)
        (target / "stale").write_text("old")
    with artifacts.atomic(target) as temporary:
        assert temporary.parent.parent == target.parent, "a rename needs one file system"
        if after == "file":
            temporary.write_text("new")
        else:
            temporary.mkdir()
            (temporary / "fresh").write_text("new")
    assert everything(tmp_path) == ["deep", "deep/target"] + (["deep/target/fresh"] if after == "folder" else [])


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, kind, existing):
    target = tmp_path / "target"
    if existing:
        if kind == "folder":
            target.mkdir()
        (target / "kept" if kind == "folder" else target).write_text("old")
    before = everything(tmp_path)
    with pytest.raises(Crash), artifacts.atomic(target) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "half" if kind == "folder" else temporary).write_text("half")
        raise Crash
    assert everything(tmp_path) == before
    if existing:
        assert (target / "kept" if kind == "folder" else target).read_text() == "old"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_writer_that_writes_nothing_fails_and_keeps_what_was_there(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    (target / "kept" if kind == "folder" else target).write_text("old")
    before = everything(tmp_path)
    with pytest.raises(FileNotFoundError), artifacts.atomic(target):
        pass
    assert everything(tmp_path) == before


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    artifacts.write_json(tmp_path / "ours.json", {})
    assert (tmp_path / "ours.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_two_writers_of_one_path_do_not_meet(tmp_path):
    with artifacts.atomic(tmp_path / "x") as first, artifacts.atomic(tmp_path / "x") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "x").read_text() == "1" and everything(tmp_path) == ["x"]


# --- JSON and CSV

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_is_read_back_equal(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "x.json"
    artifacts.write_json(path, content)
    assert artifacts.read_json(path) == content == json.loads(path.read_text(encoding="utf-8"))


def test_json_bytes_do_not_depend_on_order_and_end_with_a_newline(tmp_path):
    artifacts.write_json(tmp_path / "a", {"b": 1, "a": [0.1, {"d": None, "c": True}]})
    artifacts.write_json(tmp_path / "b", {"a": [0.1, {"c": True, "d": None}], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text().startswith('{\n  "a": [') and (tmp_path / "a").read_text().endswith("}\n")


def test_numpy_values_and_paths_become_plain_json(tmp_path):
    content = {"f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True), "a": np.arange(3), "p": Path("a/b")}
    artifacts.write_json(tmp_path / "x", content)
    assert artifacts.read_json(tmp_path / "x") == {"f": 0.5, "i": 3, "b": True, "a": [0, 1, 2], "p": "a/b"}


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan"), np.array([1.0, -np.inf])])
def test_json_refuses_what_json_has_not(tmp_path, value):
    artifacts.write_json(tmp_path / "x.json", {"auc": 0.5})
    with pytest.raises(PipelineError, match=r"x\.json: cannot be written as JSON.*write null and a reason"):
        artifacts.write_json(tmp_path / "x.json", {"auc": value})
    assert artifacts.read_json(tmp_path / "x.json") == {"auc": 0.5}
    with pytest.raises(TypeError, match="set is not JSON"):
        artifacts.write_json(tmp_path / "x.json", {1, 2})


def test_csv_is_read_back_by_the_standard_reader(tmp_path):
    columns: dict[str, Any] = {
        "name": ["a,b", 'say "x"', "plain", "two\nlines"],
        "value": [0.1, np.float32(1e-7), None, 3],
        "n": range(4),
    }
    artifacts.write_csv(tmp_path / "x.csv", columns)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == columns["name"]
    assert [row["value"] for row in rows] == ["0.1", "1.00000001e-07", "", "3"]
    assert [int(row["n"]) for row in rows] == [0, 1, 2, 3]


def test_csv_of_unequal_columns_is_refused_and_of_none_is_a_header(tmp_path):
    with pytest.raises(ValueError, match=r"different lengths \[1, 2\]"):
        artifacts.write_csv(tmp_path / "x.csv", {"a": [1], "b": [1, 2]})
    artifacts.write_csv(tmp_path / "x.csv", {"a": [], "b": []})
    assert (tmp_path / "x.csv").read_text() == "a,b\n"


# --- npz

DTYPES = [np.uint8, np.int64, np.float32, np.float64, np.bool_, np.dtype("U7")]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(st.data())
def test_npz_is_read_back_with_shape_and_type(tmp_path_factory, dtype, data):
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = data.draw(npst.arrays(dtype, shape))
    path = tmp_path_factory.getbasetemp() / "x.npz"
    artifacts.write_npz(path, array=array)
    read = artifacts.read_npz(path)["array"]
    assert read.dtype == array.dtype and read.shape == array.shape
    np.testing.assert_array_equal(read, array)


def test_npz_bytes_depend_on_the_content_alone(tmp_path, monkeypatch):
    x = np.arange(12.0).reshape(3, 4)
    artifacts.write_npz(tmp_path / "a", x=x, names=np.array(["p", "q"]))
    monkeypatch.setattr(time, "time", lambda: 2e9)
    artifacts.write_npz(tmp_path / "b", names=np.array(["p", "q"]), x=np.asfortranarray(x))
    artifacts.write_npz(tmp_path / "c", names=np.array(["p", "q"]), x=np.repeat(x, 2, axis=0)[::2])
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_npz_agrees_with_numpys_own_reader_and_writer(tmp_path):
    arrays: dict[str, Any] = {"x": np.linspace(0, 1, 7), "n": np.array(3)}
    artifacts.write_npz(tmp_path / "ours.npz", **arrays)
    with np.load(tmp_path / "ours.npz") as theirs:
        assert set(theirs.files) == set(arrays) and theirs["n"].shape == ()
    np.savez(tmp_path / "theirs.npz", **arrays)
    np.testing.assert_array_equal(artifacts.read_npz(tmp_path / "theirs.npz")["x"], arrays["x"])


def test_pickles_are_refused_in_both_directions(tmp_path):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.savez(tmp_path / "pickled.npz", x=objects)
    with pytest.raises(PipelineError, match=r"pickled\.npz: not a readable \.npz file"):
        artifacts.read_npz(tmp_path / "pickled.npz")
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.write_npz(tmp_path / "x.npz", x=objects)
    assert everything(tmp_path) == ["pickled.npz"]


NPY = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}".ljust(117) + b"\n"


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken", NPY])
def test_a_broken_npz_is_named(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(PipelineError, match=r"x\.npz: not a readable \.npz"):
        artifacts.read_npz(tmp_path / "x.npz")


def test_a_truncated_npz_is_named(tmp_path):
    artifacts.write_npz(tmp_path / "x.npz", x=np.arange(1000))
    os.truncate(tmp_path / "x.npz", 500)
    with pytest.raises(PipelineError, match="remove it and run `dvc repro`"):
        artifacts.read_npz(tmp_path / "x.npz")


# --- tables


def test_a_table_is_read_back_and_its_bytes_depend_on_the_content_alone(tmp_path):
    frame = pd.DataFrame({"face_id": ["a", "b"], "row": [0, 1], "iso": [100.0, math.nan]})
    artifacts.write_table(tmp_path / "a.parquet", frame)
    artifacts.write_table(tmp_path / "b.parquet", frame.set_index(pd.Index([7, 9])))
    pd.testing.assert_frame_equal(artifacts.read_table(tmp_path / "a.parquet"), frame)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (artifacts.read_json, "x.json"),
        (artifacts.read_npz, "x.npz"),
        (artifacts.read_table, "x.parquet"),
        (artifacts.read_shards, "x"),
    ],
)
def test_a_missing_artifact_says_how_to_make_it(tmp_path, read, name):
    with pytest.raises(PipelineError, match=rf"{name}: no .*run `dvc repro` to make"):
        read(tmp_path / name)


@pytest.mark.parametrize(("read", "name"), [(artifacts.read_json, "x.json"), (artifacts.read_table, "x.parquet")])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_artifact_is_named(tmp_path, read, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=f"{name}: not .*remove it and run"):
        read(tmp_path / name)


# --- shards

SHAPE = (4, 3, 3)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def write(folder: Path, parts: list[np.ndarray], per_shard: int) -> None:
    with artifacts.atomic(folder) as temporary:
        writer = artifacts.ShardWriter(temporary, SHAPE, per_shard)
        for part in parts:
            writer.append(part)
        writer.close()


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7), st.data())
def test_any_split_of_appends_gives_the_same_bytes_and_the_same_rows(tmp_path_factory, sizes, per_shard, data):
    base, all_pictures = tmp_path_factory.getbasetemp(), pictures(sum(sizes))
    write(base / "whole", [all_pictures], per_shard)
    write(base / "parts", np.split(all_pictures, np.cumsum(sizes)[:-1]) if sizes else [], per_shard)
    names = everything(base / "whole")
    assert names == everything(base / "parts") and len(names) == max(1, math.ceil(len(all_pictures) / per_shard))
    assert all((base / "whole" / n).read_bytes() == (base / "parts" / n).read_bytes() for n in names)
    shards = artifacts.read_shards(base / "parts")
    assert len(shards) == len(all_pictures) and shards.shape == SHAPE
    rows = data.draw(st.lists(st.integers(0, len(shards) - 1), max_size=12)) if len(shards) else []
    np.testing.assert_array_equal(shards[rows], all_pictures[np.array(rows, dtype=int)])
    np.testing.assert_array_equal(shards[1::2], all_pictures[1::2])
    np.testing.assert_array_equal(np.concatenate([np.load(base / "parts" / n) for n in names]), all_pictures)


def test_views_of_any_layout_are_stored_by_value_and_later_changes_do_not_count(tmp_path):
    block = pictures(6)
    expected = block[::-1, :, ::-1].copy()
    writer = artifacts.ShardWriter(tmp_path, SHAPE)
    writer.append(block[::-1, :, ::-1])
    block[:] = 0
    writer.close()
    shards = artifacts.read_shards(tmp_path)
    np.testing.assert_array_equal(shards[:], expected)
    shards[:][:] = 0
    np.testing.assert_array_equal(shards[:], expected)


@pytest.mark.parametrize("rows", [[5], [-1], [0, 99], np.array([2, -3])])
def test_rows_outside_are_refused(tmp_path, rows):
    write(tmp_path / "s", [pictures(5)], 2)
    with pytest.raises(IndexError, match=r"outside 0\.\.4"):
        artifacts.read_shards(tmp_path / "s")[rows]


@pytest.mark.parametrize("rows", [np.array([True, False, True, False, True]), [0.5, 1.0]])
def test_a_mask_or_fractions_are_no_rows(tmp_path, rows):
    write(tmp_path / "s", [pictures(5)], 2)
    with pytest.raises(TypeError, match="whole numbers"):
        artifacts.read_shards(tmp_path / "s")[rows]


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, *SHAPE), np.float32), np.zeros((2, 4, 3, 1), np.uint8), np.zeros(SHAPE, np.uint8)]
)
def test_other_types_and_shapes_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"expected uint8 \(n, 4, 3, 3\), got"):
        artifacts.ShardWriter(tmp_path, SHAPE).append(wrong)


def test_a_broken_or_pickled_shard_is_named(tmp_path):
    np.save(tmp_path / "pixels-00000.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(PipelineError, match="not readable as shards"):
        artifacts.read_shards(tmp_path)
    (tmp_path / "pixels-00000.npy").write_bytes(b"")
    with pytest.raises(PipelineError, match="not readable as shards"):
        artifacts.read_shards(tmp_path)


# --- pictures


def test_png_is_lossless(tmp_path):
    picture = pictures(1)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(artifacts.encode_png(picture)))), picture)
    assert artifacts.encode_png(picture) == artifacts.encode_png(picture.copy())
