"""EXIF of FDF's photographs from YFCC100M's expansion pack, which has a line for each photograph.

A line is the photograph's number, a tab, and items `Category.Tag:value` with commas between them,
all three parts URL-encoded; behind the tab there is nothing where there is no EXIF. The pack is
streamed: memory holds the photographs that FDF names and what their lines say."""

import functools
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote_plus

from pipeline.base import processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.common.tally import Tally
from pipeline.exif.records import AMBIGUOUS, entries
from pipeline.exif.tags import Rejection

MAXIMUM_ITEMS = 2**20  # bytes of a line
BLOCK = 2**22  # bytes read at a time
# One tag can stand in several categories. These are read, rather the first: of the shot, and of the
# file. Others hold what is true of the thumbnail, or the camera maker's own values.
CATEGORIES = ("Exif SubIFD", "Exif IFD0")
_BZIP2 = b"BZh"
# In the address of its page (/photos/<author>/<number>/) or of its file (/<number>_<secret>.jpg)
_NUMBER = re.compile(r".*/photos/[^/]+/([0-9]+)(?:/.*)?|(?!.*/photos/).*/([0-9]+)(?:[_.][^/]*)?/?")

# What a photograph's line says: values by tag, or the reason why there are none; None: no line
Record = dict[str, str] | str | None


class Pack(NamedTuple):
    """What a pack says of some photographs."""

    records: dict[bytes, Record]  # by number
    number: int  # of all lines
    wrong: Tally  # lines that are not as described above

    def record(self, photo_id: str) -> Record:
        """What the line of one of these photographs says."""
        return self.records[photo_id.encode()]


def read_photo_ids(metainfo: Path) -> dict[str, str]:
    """Face id -> number of the photograph in `photo_url`, of faces that have one."""
    found: dict[str, str] = {}
    for face_id, entry in terminal.progress(entries(metainfo), what="photographs"):
        url = entry.get("photo_url") if isinstance(entry, dict) else None
        if isinstance(url, str) and (number := photo_number(url)):
            found[face_id] = number if found.get(face_id, number) == number else AMBIGUOUS
    return found


def photo_number(url: str) -> str:
    """The number of a photograph in its address at Flickr, or ""."""
    match = _NUMBER.fullmatch(re.split("[?#]", url.strip())[0])
    return (match[1] or match[2]) if match else ""


def read_pack(path: Path, photo_ids: Iterable[str], tags: Collection[str]) -> Pack:
    """What a pack, plain or compressed by bzip2, says of these photographs under these tags.

    Wrong are lines without a number and a tab; of these photographs also those with an item that is
    not as described above, or with two values of a tag. Raises PipelineError where there is no
    pack, or where its compression is broken."""
    records: dict[bytes, Record] = dict.fromkeys(photo_id.encode() for photo_id in photo_ids)
    wrong, count = Tally(), 0
    for count, line in enumerate(terminal.progress(_lines(path), unit="line"), start=1):
        number, tab, items = line.partition(b"\t")
        if number not in records:
            if not (tab and number.isdigit()):
                wrong.add("photo_line_broken", f"line {count}", "no number and tab")
            continue
        record: Record
        try:
            record = _values(tab, items.rstrip(b"\r"), tags)
            if records[number] not in (None, record):
                raise Rejection("photo_line_ambiguous", "another line of this photograph differs")
        except Rejection as rejection:
            wrong.add(rejection.reason, f"line {count}", rejection.cause)
            record = rejection.reason
        records[number] = record
    if not count:
        raise PipelineError(f"{path}: holds no line; fetch or copy it again")
    return Pack(records, count, wrong)


def _values(tab: bytes, items: bytes, tags: Collection[str]) -> dict[str, str] | str:
    """The values of these tags, or the reason where a line has no EXIF."""
    if not tab or len(items) > MAXIMUM_ITEMS:
        what = f"more than {MAXIMUM_ITEMS:,} bytes" if tab else "no tab"
        raise Rejection("photo_line_broken", what)
    if not items:
        return "exif_missing"
    found: dict[str, dict[str, str]] = {category: {} for category in reversed(CATEGORIES)}
    for item in items.split(b","):
        key, colon, value = item.partition(b":")
        category, tag = _decoded_key(key)
        if not (colon and category and tag):  # the value before it may be cut
            raise Rejection("photo_line_broken", f"item {item[:60].decode('utf-8', 'replace')!r}")
        if tag in tags and category in found:
            text = sys.intern(_decoded(value))  # many photographs have the same
            if found[category].setdefault(tag, text) != text:
                raise Rejection("photo_line_ambiguous", f"{tag} has two values")
    return functools.reduce(dict.__or__, found.values())


@functools.lru_cache(4096)
def _decoded_key(key: bytes) -> tuple[str, str]:
    category, _, tag = key.partition(b".")
    return _decoded(category), _decoded(tag)


def _decoded(text: bytes) -> str:
    return unquote_plus(text.decode("utf-8", "replace"))


def exif_of(record: Record) -> dict[str, str]:
    """The values that a line says. Raises Rejection where there are none."""
    if not isinstance(record, dict):
        raise Rejection(record or "photo_line_missing")
    return record


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a pack; those that are much too long are cut, so that memory stays flat."""
    rest = b""
    with opened(path) as file:
        try:
            while block := file.read(BLOCK):
                *whole, rest = (rest + block).split(b"\n")
                yield from whole
                rest = rest[: 2 * MAXIMUM_ITEMS]
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise PipelineError(f"{path}: broken ({error}); fetch or copy it again") from None
    if rest:
        yield rest


def opened(path: Path) -> IO[bytes]:
    """A pack to be read, decompressed on all cores where rapidgzip is installed."""
    try:
        with path.open("rb") as beginning:
            compressed = beginning.read(len(_BZIP2)) == _BZIP2
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: no such file, nor one without .bz2; exif.source yfcc needs YFCC100M's EXIF "
            "expansion pack there (docs/data.md)"
        ) from None
    if not compressed:
        return path.open("rb")
    try:
        import rapidgzip
    except ImportError:
        import bz2

        return bz2.open(path)
    file: IO[bytes] = rapidgzip.IndexedBzip2File(str(path), parallelization=processes.workers())
    return file
