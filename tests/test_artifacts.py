"""Files of the pipeline: equal content gives equal bytes, broken files are named, nothing is a
pickle.
"""

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

from pipeline.base.errors import PipelineError
from pipeline.common import artifacts, shards

# --- JSON and CSV

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
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
    assert (tmp_path / "a").read_text().startswith('{\n  "a": [') and (
        tmp_path / "a"
    ).read_text().endswith("}\n")


def test_numpy_values_and_paths_become_plain_json(tmp_path):
    content = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.arange(3),
        "p": Path("a/b"),
    }
    artifacts.write_json(tmp_path / "x", content)
    assert artifacts.read_json(tmp_path / "x") == {
        "f": 0.5,
        "i": 3,
        "b": True,
        "a": [0, 1, 2],
        "p": "a/b",
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan"), np.array([1.0, -np.inf])])
def test_json_refuses_what_json_has_not(tmp_path, value):
    artifacts.write_json(tmp_path / "x.json", {"auc": 0.5})
    with pytest.raises(
        PipelineError, match=r"x\.json: cannot be written as JSON.*write null and a reason"
    ):
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
    assert [path.name for path in tmp_path.iterdir()] == ["pickled.npz"]


NPY = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}".ljust(117)
    + b"\n"
)


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
        (shards.read_shards, "x"),
    ],
)
def test_a_missing_artifact_says_how_to_make_it(tmp_path, read, name):
    with pytest.raises(PipelineError, match=rf"{name}: no .*run `dvc repro` to make"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("read", "name"), [(artifacts.read_json, "x.json"), (artifacts.read_table, "x.parquet")]
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_artifact_is_named(tmp_path, read, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=f"{name}: not .*remove it and run"):
        read(tmp_path / name)


# --- pictures


def test_png_is_lossless(tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(artifacts.encode_png(picture)))), picture
    )
    assert artifacts.encode_png(picture) == artifacts.encode_png(picture.copy())
