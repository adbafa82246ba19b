"""Targets: what describes faces and photographs in text."""

import bz2
import contextlib
import json
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.common.names import BOX_COLUMNS, LANDMARK_COLUMNS
from pipeline.common.tally import Tally
from pipeline.encoder.preprocessing import square_box
from pipeline.exif import yfcc
from pipeline.exif.records import entries, listed_faces, read_exif, read_mapping
from pipeline.exif.tags import Rejection, Wanted, parse_tags
from pipeline.stages.filter_exif import SIDE, Packed, columns_of
from tests.exif_world import BOUNDS, BRIGHTNESS, FOUR, wanted
from tests.fuzz.target import Target, must, put

ANY = wanted({**BOUNDS, "brightness": BRIGHTNESS}, "any")
TAGS = {
    "ISO Speed Ratings": "200, 200",
    "Aperture Value": "F2.8",
    "Exposure Time": "1/60sec",
    "Focal Length": "50.0 mm",
}


def check_tags(exif: Mapping[str, Any], chosen: Wanted) -> None:
    """Numbers within their ranges, or NaN with a reason."""
    found, lacking = parse_tags(exif, chosen)
    unknown = [name for name, value in found.items() if math.isnan(value)]
    must(len(unknown) == len(lacking), "NaN without a reason")
    for tag in chosen.tags:
        value = found[tag.name]
        within = tag.range[0] <= value <= tag.range[1]
        must(within or tag.name in unknown, f"{tag.name} = {value}")
        must(math.isnan(value) or np.isfinite(tag.positions(np.array([value])))[0], "position")


def exif_json(data: bytes, folder: Path) -> None:
    path = put(folder / "1.json", data[1:])
    chosen = ANY if data[:1] < b"\x80" else FOUR
    check_tags(read_exif(path, chosen), chosen)


def exif_json_seeds() -> list[bytes]:
    shapes = [
        {"EXIF": {**TAGS, "BrightnessValue": "3.5 EV"}},
        {"EXIF": {"ISO Speed Ratings": 65535, "Exposure Time": 0.01, "Focal Length": "5\0\0"}},
        {"EXIF": dict.fromkeys(TAGS, "1,200"), "photo": {"id": "1"}},
        {"EXIF": {"ISO Speed Ratings": [200], "Aperture Value": True, "Focal Length": None}},
    ]
    return [mode + json.dumps(shape).encode() for shape in shapes for mode in (b"\0", b"\xff")]


def metainfo(data: bytes, folder: Path) -> None:
    path = put(folder / "metainfo.json", data[1:])
    yfcc.read_photo_ids(path)
    photo_ids = {face_id: face_id[:2] for face_id, _ in entries(path)}
    faces = list(listed_faces(path, photo_ids, Tally(), ["CC-BY"] if data[:1] > b"\x80" else []))
    ids = [face.face_id for face in faces]
    must(len(set(ids)) == len(ids), "a face twice")
    must(all(re.fullmatch(r"[\w-]+", face_id) for face_id in ids), "an id that is a path")
    nothing = np.empty((0, SIDE, SIDE, 3), np.uint8)
    columns = columns_of(Packed(faces, [], nothing, Tally(), Tally()), 0, lambda _: "train")
    boxes = np.stack([columns[name] for name in BOX_COLUMNS], axis=1).astype(float)
    square_box(boxes, 1.3, SIDE, SIDE)  # what training relies on
    points = np.stack([columns[name] for name in LANDMARK_COLUMNS])
    known = ~np.isnan(points)
    must(np.isfinite(points[known]).all(), "infinite landmarks")
    "".join(columns["author"] + columns["group"]).encode()


def metainfo_seeds() -> list[bytes]:
    entry = {
        "author": "Zoë",
        "bounding_box": [[0.2, 0.25], [0.75, 0.8]],
        "landmark": [0.5] * 14,
        "license_url": "https://creativecommons.org/licenses/by/2.0/",
        "photo_url": "https://www.flickr.com/photos/some/6966111766/",
        "yfcc100m_line_idx": "7",
    }
    other = {**entry, "bounding_box": [0, 0, 1, 1], "landmark": None, "author": None}
    lists: list[Any] = [{"0": entry, "1": other}, {"a-1": {**entry, "photo_url": "/1_a.jpg"}}, {}]
    return [mode + json.dumps(one).encode() for one in lists for mode in (b"\0", b"\xff")]


def mapping(data: bytes, folder: Path) -> None:
    suffix = (".csv", ".json", ".pkl")[data[0] % 3] if data else ".csv"
    found = read_mapping(put(folder / f"mapping{suffix}", data[1:]))
    must(all(type(k) is str and type(v) is str for k, v in found.items()), "types")


def mapping_seeds() -> list[bytes]:
    plain: dict[str, Any] = {"0.png": 6966111766, "1.png": "123", "é": 2**40}
    pickles = [pickle.dumps(plain, protocol) for protocol in (0, 1, 2, 4, 5)]
    hostile = b"cos\nsystem\n(S'true'\ntR."
    return [
        b"\0image,photo_id\n0.png,12\n1.png,13\n",
        b"\1" + json.dumps(plain).encode(),
        *(b"\2" + content for content in (*pickles, hostile)),
    ]


def pack(data: bytes, folder: Path) -> None:
    mode, content = data[:1], data[1:]
    packed = bz2.compress(content, 1) if mode == b"\1" else content
    found = yfcc.read_pack(
        put(folder / "pack", b"BZh1" + packed if mode == b"\2" else packed),
        ["1", "22", "6966111766"],
        [tag.key for tag in ANY.tags],
    )
    for photo_id in ("1", "22", "6966111766"):
        with contextlib.suppress(Rejection):
            check_tags(yfcc.exif_of(found.record(photo_id)), ANY)


def pack_seeds() -> list[bytes]:
    line = (
        b"6966111766\tExif+SubIFD.Focal+Length:50.0+mm,Exif+IFD0.Aperture+Value:F2.8,"
        b"Exif+SubIFD.ISO+Speed+Ratings:200,Exif+SubIFD.Exposure+Time:1%2F60+sec\n"
    )
    return [
        mode + text for text in (line, b"1\t\n22\n" + line, line * 2) for mode in (b"\0", b"\1")
    ]


TARGETS = {
    "exif-json": Target(exif_json, exif_json_seeds),
    "metainfo": Target(metainfo, metainfo_seeds),
    "mapping": Target(mapping, mapping_seeds),
    "pack": Target(pack, pack_seeds),
}
