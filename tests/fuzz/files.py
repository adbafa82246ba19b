"""Targets: lists, landmarks, shards, parameters, and the arrays and tables of a trained model."""

import functools
import hashlib
import io
import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.base import params as parameters
from pipeline.calibration.decisions import Decisions
from pipeline.common import artifacts, shards
from pipeline.common.names import HEADS
from pipeline.density.density import Density
from pipeline.detect.crops import Given
from pipeline.exif.faces import read_boxes
from pipeline.face_detection import framing
from pipeline.face_sets import face_list
from pipeline.face_sets.inspection import inspect
from pipeline.face_sets.listing import read_list
from pipeline.manipulation.negatives import Chunk, Settings, make
from tests.fuzz.target import Target, must, put
from tests.small_features import normal

ROOT = Path(__file__).resolve().parents[2]
HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (68, 2), }"


def lists(data: bytes, folder: Path) -> None:
    root, mode, path = folder / "root", data[:1], put(folder / "list", data[1:])
    if not (root / "out.png").is_symlink():
        (root / "data").mkdir(parents=True)
        (root / "a.png").write_bytes(_picture())
        (root / "out").symlink_to("/etc")
        (root / "out.png").symlink_to("/etc/passwd")
    if mode == b"\0":
        names = read_list(path, root)
        must(len(set(names)) == len(names), "a name twice")
        for name in names[:4]:
            inside = (root / name).resolve().is_relative_to(root.resolve())
            must(inside, f"{name!r} leads out")
        inspect(names[:4], root)
    elif mode == b"\1":
        faces = face_list.read(path)
        must(len({face.name for face in faces}) == len(faces), "a name twice")
        for face in faces[:4]:
            face_list.read_face(root, face)
    elif mode == b"\2":
        for found in read_boxes(path).values():
            must(len({one.box for one in found}) == len(found), "a box twice")
            for one in found:
                framing.frame(one.box, 100, 80)
    else:
        Given(path).expected("a.png")


@functools.cache
def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def list_seeds() -> list[bytes]:
    boxes = (
        b"path,box_x0,box_y0,box_x1,box_y1\na.png,1,2,30,40.5\na.png,1,2,30,40.5\nb.png,0,0,9,9\n"
    )
    digest = hashlib.sha256(_picture()).hexdigest().encode()
    return [
        b"\0./a.png\r\ndata/b.jpg\n\n",
        b"\0./a.png\r\ndata/b.jpg\n\nout/x.png\n",
        b"\0\xef\xbb\xbfa.png\nout.png\n../a.png\n",
        b"\1name,person,sha256\na.png,p," + digest + b"\nb.png,q," + b"0" * 64 + b"\n",
        b"\1name,person,sha256\na.png,p," + digest + b"\n",
        b"\2" + boxes,
        b"\3" + boxes,
        b'\2path,box_x0,box_y0,box_x1,box_y1,nose_x\n"a,b.png",1,2,3e5,4,7\n',
    ]


def array_file(header: bytes, content: bytes) -> bytes:
    """A .npy file with this text of a header."""
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header) % 2**16) + header + content


def any_array(data: bytes, content: bytes) -> bytes:
    """Bytes as a file, or behind a zero as the header of one."""
    return array_file(data[1:], content) if data[:1] == b"\0" else data[1:]


def landmarks(data: bytes, folder: Path) -> None:
    content = np.linspace(1, 127, 136).tobytes()
    put(folder / "points/a.npy", any_array(data, content))
    seven = np.array([[64, 80, 44, 60, 84, 60, 20, 60, 108, 60, 10, 120, 118, 120.0]])
    images = np.full((1, 128, 128, 3), 99, np.uint8)
    settings = Settings(1, (0.04, 0.05), [1.0], folder / "points")
    made = make(Chunk(0, ["a"], np.arange(1), seven, images), settings)
    must(np.isfinite(made.mouth_errors).all(), "a distance that is not finite")
    counted = sum(n for (kind, _), n in made.counts.items() if kind.startswith("landmarks_68"))
    must(counted == 1, "neither used nor counted")


def landmark_seeds() -> list[bytes]:
    face = np.random.default_rng(1).uniform(20, 100, (68, 2))
    saved = [np.asarray(face, kind) for kind in ("<f8", ">f4", "u1", "c8", "U3")]
    files = [_npy(array) for array in (*saved, face.T.copy().T)]
    return [*(b"\1" + one for one in files), b"\0" + HEADER.encode() + b"\n"]


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def read_shards(data: bytes, folder: Path) -> None:
    first = array_file(b"{'descr':'|u1','fortran_order':False,'shape':(2,2,2,3)}\n", bytes(24))
    put(folder / "shards/pixels-00000.npy", any_array(data, bytes(96)))
    second = folder / "shards/pixels-00001.npy"
    second.unlink(missing_ok=True)
    if data[-1:] == b"\1":
        put(second, first)
    found = shards.read_shards(folder / "shards")
    some = found[: min(len(found), 8)]
    must(some.ndim == 4 and some.dtype == np.uint8, "no pictures")


def shard_seeds() -> list[bytes]:
    pictures = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3)
    header = HEADER.replace("<f8", "|u1").replace("(68, 2)", "(4, 2, 2, 3)").encode()
    return [b"\1" + _npy(pictures), b"\1" + _npy(pictures) + b"\1", b"\0" + header + b"\n"]


def params(data: bytes, folder: Path) -> None:
    path = put(folder / "params.yaml", data)
    tree = parameters.read_yaml(path)
    found = parameters.load(*tree, path=path)
    for section in vars(found).values():
        dump: Any = section.model_dump() if hasattr(section, "model_dump") else {}
        must("nan" not in map(str, _leaves(dump)), "NaN")


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return [leaf for one in inner for leaf in _leaves(one)]
    return [value]


def params_seeds() -> list[bytes]:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    lines = [line.partition("#")[0].rstrip() for line in text.splitlines()]
    sections, odd = list[str](), "seed: &a [1, 1e-3, 0x1f, 2001-12-14, !!binary aGk=, ~]\nb: *a\n"
    for line in filter(None, lines):
        sections += [line] if line[0] not in " -" else []
        sections[-1] += "" if sections[-1] is line else f"\n{line}"
    return [section.encode() for section in (*sections, odd)]


def archives(data: bytes, folder: Path) -> None:
    mode, content = data[:1], data[1:]
    if mode == b"\0":
        read_model(artifacts.read_npz(put(folder / "a.npz", content)), folder)
    elif mode == b"\1":  # arrays one after the other, in an archive that is whole
        path = folder / "b.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in zip(_density(), content.split(b"||"), strict=False):
                archive.writestr(f"{name}.npy", part)
        read_model(artifacts.read_npz(path), folder)
    elif mode == b"\2":
        found = artifacts.read_json(put(folder / "a.json", content))
        arrays = {name: np.zeros(len(HEADS)) for name in ("head_means", "head_deviations")}
        Decisions.from_contents(found, {"scores": np.ones((1, 9)), **arrays}, ("a", "b"))
    else:
        artifacts.read_table(put(folder / "a.parquet", content))


def read_model(arrays: dict[str, np.ndarray], folder: Path) -> None:
    must(all(isinstance(array, np.ndarray) for array in arrays.values()), "no array")
    density = Density.from_arrays(arrays, str(folder))
    must(density.mixtures, "no mixture")


def _density() -> dict[str, Any]:
    """The arrays of a model of two features."""
    return Density({"features": normal(2)}).to_arrays()


def archive_seeds() -> list[bytes]:
    table = io.BytesIO()
    times = pd.date_range("2020-01-01", periods=2, tz="Europe/Berlin")
    pd.DataFrame({"a": [1.0, math.nan], "b": ["x", "y"], "c": times}).to_parquet(table)
    npz = io.BytesIO()
    np.savez(npz, **_density())
    parts = [_npy(array) for array in _density().values()]
    rate = {"false_alarm_rate": 0.05, "threshold": 1.5}
    saved = {
        "rates": {"fpr_5": rate},
        "review": "fpr_5",
        "flag": "fpr_5",
        "paper_protocol": {"threshold": 2.5},
    }
    return [
        b"\0" + npz.getvalue(),
        b"\1" + b"||".join(parts),
        b"\2" + json.dumps(saved).encode(),
        b"\3" + table.getvalue(),
    ]


TARGETS = {
    "lists": Target(lists, list_seeds),
    "landmarks": Target(landmarks, landmark_seeds),
    "shards": Target(read_shards, shard_seeds),
    "params": Target(params, params_seeds, seconds=5.0),
    "archives": Target(archives, archive_seeds),
}
