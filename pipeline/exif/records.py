"""The authors' records of faces and photographs: face list, id mapping, EXIF files.

They come from elsewhere and may be broken or hostile: a bad record has a short reason that can be
counted, a bad file as a whole is a PipelineError, and nothing is executed."""

import csv
import json
import math
import pickle
import pickletools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import orjson

from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.common.layout import Layout
from pipeline.common.pictures import read_bytes
from pipeline.common.splits import group_of

MAXIMUM_JSON_BYTES = 2**20  # of one EXIF record
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # part of a path: no dots, no separators
_ABSENT = (math.nan,) * 14
_SEEN = "/seen"  # no photo id
# What a pickled dict of str to str or int consists of; nothing here can name a class or call
# anything.
_OPCODES = frozenset(
    {"PROTO", "FRAME", "STOP", "MARK", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"}
    | {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}
    | {
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
    }
)
# What reading a damaged pickle or a too deep JSON may raise.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    EOFError,
    RecursionError,
)


class Face(NamedTuple):
    """One entry of the face list; box and landmarks as shares of width and height, 0 to 1."""

    face_id: str
    author: str  # "" if unknown
    box: tuple[float, float, float, float]  # x0, y0, x1, y1
    landmarks: tuple[float, ...]  # 14: x, y of FDF's seven; NaN where absent


class Listed(NamedTuple):
    """A usable entry of the face list with the photograph it comes from."""

    face: Face
    photo_id: str


def safe_id(text: str) -> bool:
    """Whether an id may become part of a path: letters, digits, "_" and "-" alone, at most 64."""
    return _ID.fullmatch(text) is not None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """A flat or one level deep list of `count` finite numbers, flattened; None for anything else."""
    if not isinstance(value, list):
        return None
    flat = [number for item in value for number in (item if isinstance(item, list) else [item])]
    if len(flat) != count or not all(
        type(number) in (int, float) and abs(number) < 1e6 for number in flat
    ):
        return None
    return tuple(float(number) for number in flat)


def _face(face_id: str, entry: Any) -> tuple[Face | None, str | None]:
    if not safe_id(face_id):
        return None, "face_id_unsafe"
    if not isinstance(entry, dict):
        return None, "face_entry_not_an_object"
    box = _numbers(entry.get("bounding_box"), 4)
    if box is None:
        return None, "box_missing" if entry.get("bounding_box") is None else "box_not_four_numbers"
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1 and 0 < x0 + x1 < 2 and 0 < y0 + y1 < 2):
        return None, "box_outside_picture"  # or empty: its centre must lie in the picture
    author = entry.get("author")
    name = author.strip().encode("utf-8", "replace").decode() if isinstance(author, str) else ""
    # one author took many photographs: interned, the name is in memory once
    return Face(
        face_id, sys.intern(name), (x0, y0, x1, y1), _numbers(entry.get("landmark"), 14) or _ABSENT
    ), None


def iterate_faces(path: Path) -> Iterator[tuple[Face | None, str | None]]:
    """The faces of `fdf_metainfo.json` in its order, streamed: (face, None), or (None, reason) for
    an unusable entry.
    """
    import ijson

    count = 0
    try:
        with path.open("rb") as file:
            for face_id, entry in ijson.kvitems(file, "", use_float=True):
                yield _face(face_id, entry)
                count += 1
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file; set data.root in params.yaml to the folder that holds "
            "SSL_training_data"
        ) from None
    except (ijson.JSONError, UnicodeDecodeError) as error:
        what = str(error).partition("\n")[0]
        raise PipelineError(
            f"{path}: broken JSON after {count} faces ({what}); fetch or copy the file again"
        ) from None


class _DataUnpickler(pickle.Unpickler):
    """Loads plain data only: every look-up of a class or function is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _load_pickle(file: IO[bytes], size: int) -> Any:
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name} at byte {position}")
        if (
            "PUT" in opcode.name and int(argument or 0) > size
        ):  # would make the unpickler reserve memory for that many objects
            raise pickle.UnpicklingError(f"memo {argument} at byte {position}")
    file.seek(0)
    return _DataUnpickler(file).load()


def _load_csv(file: IO[bytes]) -> dict[str, str]:
    lines = csv.reader(line.decode("utf-8-sig") for line in file)
    if (header := next(lines, None)) != ["image", "photo_id"]:
        raise ValueError(f"the header is {header}, not image,photo_id")
    content: dict[str, str] = {}
    for row in lines:
        if len(row) != 2:
            raise ValueError(f"line {lines.line_num} has {len(row)} cells, not two")
        content[row[0]] = row[1]
    return content


def read_mapping(path: Path) -> dict[str, str]:
    """Face id -> photo id from a .pkl, .json or .csv (columns image,photo_id).

    The pickle may hold a dict of str to str or int and nothing else; it is checked, opcode by
    opcode, before it is loaded. A ".png" at the end of an image name is dropped. PipelineError for
    anything else, hostile pickles among it."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".pkl":
                content = _load_pickle(file, path.stat().st_size)
            else:
                content = _load_csv(file) if path.suffix == ".csv" else json.load(file)
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file, nor one ending in .json or .csv; it gives the photo id of each "
            "face"
        ) from None
    except (*_DAMAGE, pickle.UnpicklingError, csv.Error) as error:
        raise PipelineError(
            f"{path}: refused, not a plain {path.suffix} mapping of image names to photo ids: "
            f"{error}; "
            "get it from its authors again"
        ) from None
    if type(content) is not dict:
        raise PipelineError(
            f"{path}: holds a {type(content).__name__}, not a dict of image names to photo ids"
        )
    for key, value in content.items():
        if (
            type(key) is not str
            or type(value) not in (str, int)
            or (type(value) is int and abs(value) >= 2**63)
        ):
            raise PipelineError(
                f"{path}: an entry is {type(key).__name__} to {type(value).__name__}, "
                "not an image name (str) to a photo id (str or int)"
            )
        content[key] = str(value)  # in place: a second dict of millions of faces would be felt
    if any(name.endswith(".png") for name in content):
        return {name.removesuffix(".png"): photo_id for name, photo_id in content.items()}
    return content


def listed_faces(layout: Layout, reasons: Counter[str]) -> Iterator[Listed]:
    """The faces of the list that have a photograph; the others are counted in `reasons`."""
    photo_ids = read_mapping(layout.mapping)
    groups: dict[str, str] = {}
    for face, reason in terminal.progress(
        iterate_faces(layout.metainfo), total=len(photo_ids), what="faces"
    ):
        if face is None:
            reasons[str(reason)] += 1
            continue
        photo_id = photo_ids.get(face.face_id)
        if photo_id is None or photo_id is _SEEN or not safe_id(photo_id):
            reasons[
                "photo_id_missing"
                if photo_id is None
                else "face_repeated"
                if photo_id is _SEEN
                else "photo_id_unsafe"
            ] += 1
            continue
        photo_ids[face.face_id] = _SEEN
        group = group_of(face.author, photo_id)
        if (
            groups.setdefault(photo_id, group) != group
        ):  # would put one photograph on both sides of a split
            reasons["photo_of_two_authors"] += 1
            continue
        yield Listed(face, photo_id)


def read_exif(path: str | Path) -> tuple[dict[str, Any] | None, str | None]:
    """The "EXIF" object of one photograph's JSON file, or the reason why there is none."""
    try:
        data = read_bytes(path, MAXIMUM_JSON_BYTES)
    except OSError as error:
        return None, "photo_json_missing" if isinstance(
            error, FileNotFoundError
        ) else "photo_json_unreadable"
    if len(data) > MAXIMUM_JSON_BYTES:
        return None, "photo_json_too_large"
    record = _json(data)
    if not isinstance(record, dict):
        return None, "photo_json_broken" if record is None else "photo_json_not_an_object"
    exif = record.get("EXIF")
    if isinstance(exif, dict):
        return exif, None
    return None, "exif_missing" if exif is None else "exif_not_an_object"


def _json(data: bytes) -> Any:
    """The JSON value; None if it is broken. NaN and camera names that are not UTF-8 do not make the
    four tags unreadable.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            return None
