"""Files of the pipeline: equal content gives equal bytes, broken files are named, no pickles."""

import csv
import io
import json
import math
import os
import time
import zipfile
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


def test_json_is_stable_plain_and_read_back(tmp_path):
    content = {"f": np.float32(0.5), "a": np.arange(3), "p": Path("a/b"), "n": [None, True, "é"]}
    artifacts.write_json(tmp_path / "a", content)
    artifacts.write_json(tmp_path / "b", dict(reversed(content.items())))
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert text == (tmp_path / "b").read_text(encoding="utf-8")
    assert text.startswith('{\n  "a": [\n    0,') and text.endswith("}\n")
    expected = {"f": 0.5, "a": [0, 1, 2], "p": "a/b", "n": [None, True, "é"]}
    assert artifacts.read_json(tmp_path / "a") == json.loads(text) == expected


@pytest.mark.parametrize("value", [math.nan, np.float32("inf"), np.array([1.0, -np.inf])])
def test_json_refuses_what_json_has_not(tmp_path, value):
    artifacts.write_json(tmp_path / "x.json", {"auc": 0.5})
    with pytest.raises(PipelineError, match=r"x\.json: cannot be written as JSON.*write null"):
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


@given(
    st.sampled_from(["u1", "i8", "f4", "?", "U7"]).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )
)
def test_npz_is_read_back_with_shape_and_type_by_us_and_by_numpy(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "x.npz"
    artifacts.write_npz(path, array=array)
    with np.load(path) as theirs:
        for read in (artifacts.read_npz(path)["array"], theirs["array"]):
            assert read.dtype == array.dtype and read.shape == array.shape
            np.testing.assert_array_equal(read, array)


def test_npz_bytes_depend_on_the_content_alone(tmp_path, monkeypatch):
    x, names = np.arange(12.0).reshape(3, 4), np.array(["p", "q"])
    artifacts.write_npz(tmp_path / "a", x=x, names=names)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    artifacts.write_npz(tmp_path / "b", names=names, x=np.asfortranarray(x))
    artifacts.write_npz(tmp_path / "c", names=names, x=np.repeat(x, 2, axis=0)[::2])
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_pickles_are_refused_in_both_directions(tmp_path):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.savez(tmp_path / "pickled.npz", x=objects)
    with pytest.raises(PipelineError, match=r"pickled\.npz: not a readable \.npz file"):
        artifacts.read_npz(tmp_path / "pickled.npz")
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.write_npz(tmp_path / "x.npz", x=objects)
    assert [path.name for path in tmp_path.iterdir()] == ["pickled.npz"]


# --- tables


def test_a_table_is_read_back_and_its_bytes_depend_on_the_content_alone(tmp_path):
    frame = pd.DataFrame({"face_id": ["a", "b"], "row": [0, 1], "iso": [100.0, math.nan]})
    artifacts.write_table(tmp_path / "a.parquet", frame)
    artifacts.write_table(tmp_path / "b.parquet", frame.set_index(pd.Index([7, 9])))
    pd.testing.assert_frame_equal(artifacts.read_table(tmp_path / "a.parquet"), frame)
    assert list(artifacts.read_table(tmp_path / "a.parquet", ["row"])) == ["row"]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


# --- missing and broken files

READERS = [
    (artifacts.read_json, "x.json"),
    (artifacts.read_npz, "x.npz"),
    (artifacts.read_table, "x.parquet"),
]


@pytest.mark.parametrize(("read", "name"), [*READERS, (shards.read_shards, "x")])
def test_a_missing_artifact_says_how_to_make_it(tmp_path, read, name):
    with pytest.raises(PipelineError, match=rf"{name}: no .*run `dvc repro` to make"):
        read(tmp_path / name)


@pytest.mark.parametrize(("read", "name"), READERS)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_broken_artifact_is_named(tmp_path, read, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=rf"{name}: not .*remove it and run `dvc repro`"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("member", "content", "how", "message"),
    [
        ("x.npy", bytes(2**20), zipfile.ZIP_DEFLATED, "could unpack to any size"),
        ("x.npy", b"\x93NUMPY\1\0\3\0{'\n", zipfile.ZIP_STORED, "not a readable"),
        ("x.npy", b"no array", zipfile.ZIP_STORED, "x is no array"),
    ],
)
def test_archives_of_others_are_named(tmp_path, member, content, how, message):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", how) as archive:
        archive.writestr(member, content)
    with pytest.raises(PipelineError, match=message):
        artifacts.read_npz(tmp_path / "x.npz")


def test_json_that_is_too_deep_is_named(tmp_path):
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(PipelineError, match="not valid JSON"):
        artifacts.read_json(tmp_path / "x.json")


def test_a_truncated_npz_and_a_bare_array_are_named(tmp_path):
    path = tmp_path / "x.npz"
    artifacts.write_npz(path, x=np.arange(1000))
    os.truncate(path, 500)
    with pytest.raises(PipelineError, match="not a readable"):
        artifacts.read_npz(path)
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(PipelineError, match="not a readable"):
        artifacts.read_npz(path)


def test_png_is_lossless():
    picture = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    stored = Image.open(io.BytesIO(artifacts.encode_png(picture)))
    np.testing.assert_array_equal(np.asarray(stored), picture)
