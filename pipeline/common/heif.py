"""HEIC and HEIF files (ISO 14496-12 and 23008-12): their items of metadata, found and hidden.

A file is a row of boxes. The box `meta` lists items, the pixels among them, with their types, and
where the bytes of each lie. Decoders find metadata by an item's type: with another type they pass
it over, and no byte has to move."""

from collections.abc import Iterator
from typing import NamedTuple

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
_EXIF, _XMP, _HIDDEN = b"Exif", b"mime", b"skip"
_ITEMS = 4096  # most that are looked at; a photograph has its tiles and about a dozen others
_PIECES = 4 * _ITEMS  # most of all items together


class Parts(NamedTuple):
    """A HEIC file taken apart."""

    pixels: bytes  # the file as it is, in which no item is EXIF or XMP
    exif: bytes
    xmp: bytes


def is_heif(data: bytes) -> bool:
    """Whether a file begins as HEIC and HEIF do."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def take_apart(data: bytes) -> Parts:
    """The first EXIF item and the first XMP item of a file; b"" where it has none, or where its
    structure breaks off.
    """
    start, end = _box(data, b"meta", 0, len(data))
    entries = dict(_entries(data, *_box(data, b"iinf", start + 4, end)))
    idat = _box(data, b"idat", start + 4, end)[0]
    kinds = {item: data[place : place + 4] for item, place in entries.items()}
    found = {_EXIF: b"", _XMP: b""}
    for item, content in _contents(data, _box(data, b"iloc", start + 4, end), idat, kinds):
        found[kinds[item]] = found[kinds[item]] or content
    pixels = bytearray(data)
    for item, kind in kinds.items():
        if kind in found:
            pixels[entries[item] : entries[item] + 4] = _HIDDEN
    exif = found[_EXIF]  # behind the distance to its header
    return Parts(bytes(pixels), exif[4 + int.from_bytes(exif[:4]) :], found[_XMP])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box."""
    for _ in range(_ITEMS):
        size, kind, head = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        last = start + size if size else end  # 0: all that is left
        if not start + head <= last <= end:
            return
        yield kind, start + head, last
        start = last


def _box(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int]:
    """The first box of a kind; an empty one where there is none."""
    return next(((a, b) for name, a, b in _boxes(data, start, end) if name == kind), (end, end))


def _entries(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Number of each item, and where its type stands, of a box `iinf`."""
    start += 6 if data[start : start + 1] == b"\0" else 8
    for kind, place, last in _boxes(data, start, end):
        wide = 4 if data[place : place + 1] == b"\3" else 2  # bytes of the number
        if kind == b"infe" and data[place : place + 1] in (b"\2", b"\3") and place + 12 <= last:
            yield int.from_bytes(data[place + 4 : place + 4 + wide]), place + 6 + wide


def _contents(
    data: bytes, iloc: tuple[int, int], idat: int, kinds: dict[int, bytes]
) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each item of metadata, as a box `iloc` places them."""
    place, end = iloc

    def number(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(data[place - size : place])

    version, sizes, pieces, room = number(4) >> 24, number(2), _PIECES, len(data)
    offset_size, length_size, base_size, index_size = (sizes >> k & 15 for k in (12, 8, 4, 0))
    for _ in range(min(_ITEMS, number(4 if version == 2 else 2))):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0  # 0: in the file, 1: in the box idat
        number(2)
        base, content = number(base_size) + (idat if method else 0), list[bytes]()
        for _ in range(number(2)):
            number(index_size if version else 0)
            offset, length = base + number(offset_size), number(length_size)
            if kinds.get(item) in (_EXIF, _XMP):
                content.append(data[offset : offset + length])
                room -= len(content[-1])
            pieces -= 1
            # Pieces that lie over each other can be much more than the file
            if place > end or not pieces or room < 0:
                return
        if any(content) and method < 2:
            yield item, b"".join(content)
