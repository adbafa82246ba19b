"""The authors' records of faces and photographs: face list, photo ids, EXIF files.

They come from elsewhere and may be broken or hostile. A bad record is a Rejection, which is
counted; a bad file as a whole is a PipelineError; nothing in a file is executed."""

import csv
import functools
import json
import math
import pickle
import pickletools
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np

from pipeline.base import terminal
from pipeline.base.errors import PipelineError
from pipeline.common.pictures import read_bytes
from pipeline.common.splits import group_of
from pipeline.common.tally import Tally
from pipeline.exif.licenses import check_license
from pipeline.exif.tags import Rejection, Wanted

MAXIMUM_JSON_BYTES = 2**20  # of one EXIF record
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # becomes part of a path: no dots, no separators
_LISTED = "/listed"  # stands for the photo id of a face that came before; no id itself
AMBIGUOUS = "/ambiguous"  # likewise of one to whom the mapping gives two
# What pickled dicts of str to str or int consist of. None of it can name a class or call anything.
_OPCODES = frozenset(
    {"PROTO", "FRAME", "STOP", "MARK", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"}
    | {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
    | {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
)
# What reading a damaged mapping may raise beside ValueError.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError, EOFError),
    *(RecursionError, pickle.UnpicklingError, csv.Error),
)


class Face(NamedTuple):
    """One usable entry of the face list; box and landmarks as shares of width and height."""

    face_id: str
    photo_id: str
    author: str  # "" if unknown
    box: tuple[float, ...]  # x0, y0, x1, y1
    landmarks: tuple[float, ...]  # 14: x, y of FDF's seven; NaN where absent


def listed_faces(
    metainfo: Path, photo_ids: dict[str, str], reasons: Tally, licenses: Sequence[str] = ()
) -> Iterator[Face]:
    """The faces of `fdf_metainfo.json` in its order, streamed, with the photographs that
    `photo_ids` gives them (it is changed meanwhile); unusable ones, and where `licenses` names some
    those under others, are counted in `reasons`. Raises PipelineError for a broken list."""
    groups: dict[str, str] = {}  # photo id -> group
    listed = terminal.progress(entries(metainfo), total=len(photo_ids), what="faces")
    for face_id, entry in listed:
        try:
            author, box, landmarks = _parse_entry(face_id, entry)
            if licenses:
                check_license(entry, licenses)
            photo_id = _photo_id(face_id, photo_ids)
            photo_ids[face_id] = _LISTED
            group = group_of(author, photo_id)
            if groups.setdefault(photo_id, group) != group:  # else on both sides of a split
                raise Rejection("photo_of_two_authors")
        except Rejection as rejection:
            reasons.add(rejection.reason, face_id, rejection.cause)
            continue
        yield Face(face_id, photo_id, author, box, landmarks)


def entries(path: Path) -> Iterator[tuple[str, Any]]:
    """The entries of the face list, one at a time. Raises PipelineError where it is broken."""
    import ijson

    count = 0
    try:
        with path.open("rb") as file:
            for face_id, entry in ijson.kvitems(file, "", use_float=True):
                yield face_id, entry
                count += 1
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file; set data.root in params.yaml to the folder that holds "
            "SSL_training_data"
        ) from None
    except (ijson.JSONError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(
            f"{path}: broken JSON after {count} faces ({reason}); fetch or copy the file again"
        ) from None


def _parse_entry(face_id: str, entry: Any) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Author, box and landmarks of an entry of the face list."""
    if not _ID.fullmatch(face_id):
        raise Rejection("face_id_unsafe")
    if not isinstance(entry, dict):
        raise Rejection("face_entry_not_an_object")
    if entry.get("bounding_box") is None:
        raise Rejection("box_missing")
    box = _numbers(entry["bounding_box"], 4)
    if box is None:
        raise Rejection("box_not_four_numbers")
    # As it is kept, lest a narrow box become empty
    x0, y0, x1, y1 = np.array(box, np.float32).tolist()
    if not (x0 < x1 and y0 < y1 and 0 < x0 + x1 < 2 and 0 < y0 + y1 < 2):
        raise Rejection("box_outside_picture")  # or empty; its centre must lie in the picture
    landmarks = _numbers(entry.get("landmark"), 14) or (math.nan,) * 14
    return author_of(entry), box, landmarks


def author_of(entry: dict[str, Any]) -> str:
    """The author that an entry of the face list names, or ""."""
    author = entry.get("author")
    name = author.strip().encode("utf-8", "replace").decode() if isinstance(author, str) else ""
    # é is one letter, or e and an accent. One author took many photographs: interned, the name is
    # in memory once.
    return sys.intern(unicodedata.normalize("NFC", name))


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """A flat or one level deep list of `count` finite numbers, flattened; None for others."""
    if not isinstance(value, list):
        return None
    flat = [number for item in value for number in (item if isinstance(item, list) else [item])]
    if len(flat) != count or not all(type(n) in (int, float) and abs(n) < 1e6 for n in flat):
        return None
    return tuple(float(number) for number in flat)


def _photo_id(face_id: str, photo_ids: dict[str, str]) -> str:
    """The photograph that a face comes from."""
    if face_id not in photo_ids:
        raise Rejection("photo_id_missing")
    photo_id = photo_ids[face_id]
    if photo_id == _LISTED:
        raise Rejection("face_repeated")
    if photo_id == AMBIGUOUS:
        raise Rejection("photo_id_ambiguous", "the mapping has two for this face")
    if not _ID.fullmatch(photo_id):
        raise Rejection("photo_id_unsafe")
    return photo_id


def read_mapping(path: Path) -> dict[str, str]:
    """Face id -> photo id from a .pkl, .json or .csv (columns image,photo_id).

    A ".png" at the end of an image name is dropped. An image with two photo ids is counted by
    `listed_faces`. The pickle is checked, opcode by opcode, before
    it is loaded. Raises PipelineError for anything but a dict of str to str or int."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".pkl":
                content = _load_pickle(file, path.stat().st_size)
            else:
                content = _load_csv(file) if path.suffix == ".csv" else _load_json(file)
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file, nor one ending in .json or .csv; it gives the photo id of each "
            "face"
        ) from None
    except _DAMAGE as error:
        raise PipelineError(
            f"{path}: refused, not a plain {path.suffix} mapping of image names to photo ids: "
            f"{error}; get it from its authors again"
        ) from None
    pairs = content.items() if type(content) is dict else content
    if type(content) not in (dict, _Pairs):
        raise PipelineError(
            f"{path}: holds a {type(content).__name__}, not a dict of image names to photo ids"
        )
    found: dict[str, str] = {}
    for name, value in pairs:
        number = type(value) is int and abs(value) < 2**63
        if type(name) is not str or not (number or type(value) is str):
            raise PipelineError(
                f"{path}: an entry is {type(name).__name__} to {type(value).__name__}, "
                "not an image name (str) to a photo id (str or int)"
            )
        face_id, photo_id = name.removesuffix(".png"), str(value)
        found[face_id] = photo_id if found.get(face_id, photo_id) == photo_id else AMBIGUOUS
    return found


class _Pairs(list[tuple[Any, Any]]):
    """Names and values of a mapping in which a name may stand twice."""


class _DataUnpickler(pickle.Unpickler):
    """Loads plain data only: every look-up of a class or function is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _load_pickle(file: IO[bytes], size: int) -> Any:
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name} at byte {position}")
        if "PUT" in opcode.name and int(argument or 0) > size:
            # The unpickler would reserve memory for that many objects.
            raise pickle.UnpicklingError(f"memo {argument} at byte {position}")
    file.seek(0)
    return _DataUnpickler(file).load()


def _load_json(file: IO[bytes]) -> Any:
    return json.load(file, object_pairs_hook=_Pairs)


def _load_csv(file: IO[bytes]) -> _Pairs:
    lines = csv.reader(line.decode("utf-8-sig") for line in file)
    if (header := next(lines, None)) != ["image", "photo_id"]:
        raise ValueError(f"the header is {header}, not image,photo_id")
    content = _Pairs()
    for row in lines:
        if len(row) != 2:
            raise ValueError(f"line {lines.line_num} has {len(row)} cells, not two")
        content.append((row[0], row[1]))
    return content


def _object(pairs: list[tuple[str, Any]], keys: Collection[str]) -> dict[str, Any]:
    """A JSON object. ValueError where it says two things under one of the keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key in keys:
            if len({repr(value) for name, value in pairs if name == key}) > 1:
                raise ValueError(f"{key} stands there twice, with different values")
    return found


def read_exif(path: str | Path, wanted: Wanted) -> dict[str, Any]:
    """The "EXIF" object of one photograph's JSON file. Raises Rejection where there is none, or
    where it says two things of a tag that is wanted.
    """
    once = functools.partial(_object, keys=[tag.key for tag in wanted.tags])
    try:
        data = read_bytes(path, MAXIMUM_JSON_BYTES)
    except FileNotFoundError:
        raise Rejection("photo_json_missing") from None
    except OSError as error:
        raise Rejection("photo_json_unreadable", str(error.strerror)) from None
    if len(data) > MAXIMUM_JSON_BYTES:
        raise Rejection("photo_json_too_large")
    try:
        # Camera names that are not UTF-8 do not make the tags unreadable.
        record = json.loads(data.decode("utf-8-sig", "replace"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Rejection("photo_json_broken", str(error)) from None
    if not isinstance(record, dict):
        raise Rejection("photo_json_not_an_object")
    exif = record.get("EXIF")
    if not isinstance(exif, dict):
        raise Rejection("exif_missing" if exif is None else "exif_not_an_object")
    return exif
