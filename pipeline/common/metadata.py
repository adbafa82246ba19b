"""What a picture's file says beside its pixels, taken out of it before anything is decoded.

Decoders read metadata as well, and refuse intact pixels for a fault in it: a long text, a date of
another type. So they are given the parts of the file that pixels need, and nothing else. Of the
rest one value is read, the orientation; metadata that is broken says nothing."""

import itertools
import re
import zlib
from typing import Literal, NamedTuple

from pipeline.common import heif

TIFF = (b"II*\0", b"MM\0*")  # how such a file begins, which is itself what EXIF is in others
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MAXIMUM_PROFILE = 2**20  # bytes of EXIF or XMP in a compressed text of PNG
# More than any camera or program writes. A decoder goes through each part of a file, byte by byte
# through what fills the room between them, and for each scan of a JPEG through all of the picture.
MAXIMUM_PARTS, MAXIMUM_FILL, MAXIMUM_SCANS = 2**16, 2**20, 256
_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # perhaps behind more \xff, which fill
_AMONG_PIXELS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # restarts belong to the pixels
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_RAW_PROFILE = b"Raw profile type exif\0"
_ORDERS: dict[bytes, Literal["little", "big"]]
_ORDERS = {b"II*\0": "little", b"II\0*": "little", b"MM\0*": "big", b"MM*\0": "big"}
_WHOLE_NUMBERS = {1: 1, 3: 2, 4: 4}  # bytes of EXIF's types BYTE, SHORT, LONG


class Parts(NamedTuple):
    """A picture's file taken apart."""

    pixels: bytes  # the file without metadata
    exif: bytes = b""  # a TIFF structure, with or without Exif\0\0 before it
    xmp: bytes = b""
    c2pa: bytes = b""  # of JPEG, where it is in pieces: boxes of C2PA, a manifest of its making
    endless: bool = False  # it has more parts than a decoder is to go through
    upright: bool = False  # the decoder turns it: TIFF, and HEIC by marks that are not in EXIF

    @property
    def orientation(self) -> int:
        """1 to 8: of EXIF, or of XMP where EXIF has none; 1, as stored, where both are silent.

        In EXIF it is one whole number (BYTE, SHORT or LONG) of the first directory."""
        if self.upright:
            return 1
        found = _exif_orientation(self.exif.replace(_EXIF, b"", 1))
        if found is None and (match := _XMP_ORIENTATION.search(self.xmp)):
            found = int(match[1])
        return found if found and found <= 8 else 1


def take_apart(data: bytes) -> Parts:
    """The parts of a PNG, JPEG, WebP, HEIC or TIFF file. What is no such file, or where its
    structure breaks off, stays among the pixels, for the decoder to refuse; so does all of TIFF.
    """
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(JPEG):
        return _jpeg(data)
    if data.startswith(TIFF):
        return Parts(data, exif=data, upright=True)
    if heif.is_heif(data):
        return Parts(*heif.take_apart(data), upright=True)
    return _webp(data) if data[:4] + data[8:16] == b"RIFFWEBPVP8X" else Parts(data)


class _Kept:
    """What is left of a file, in as few pieces as what is left out demands."""

    def __init__(self, data: bytes) -> None:
        self._data, self._pieces, self._end = data, list[bytes](), 0

    def leave_out(self, start: int, end: int, instead: bytes = b"") -> None:
        """Not the bytes from `start`, which is not before the last end."""
        self._pieces += [self._data[self._end : start], instead]
        self._end = end

    def all(self) -> bytes:
        """All that is kept."""
        return b"".join([*self._pieces, self._data[self._end :]])


def _jpeg(data: bytes) -> Parts:
    """Without comments and the segments APP0 to APP15, but for the two that say which colours the
    numbers are: JFIF and Adobe, where libjpeg finds them long enough.
    """
    kept, place, fill, endless = _Kept(data), 2, 0, False
    exif, xmp, c2pa = list[bytes](), list[bytes](), list[bytes]()
    for number in itertools.count():
        if not (marker := _MARKER.search(data, place)):
            break
        fill += marker.start() - place
        if number == MAXIMUM_PARTS or fill > MAXIMUM_FILL:
            endless = True
            break
        code, start = data[marker.end() - 1], marker.end()
        alone = code == 0x01 or 0xD0 <= code <= 0xD7  # a marker without a segment
        end = start if alone else start + max(2, int.from_bytes(data[start : start + 2]))
        if code in (0xD9, 0xDA) or end > len(data):  # the picture's end, or its pixels
            endless = code == 0xDA and _endless_scans(data, marker.start())
            break
        content = data[start + 2 : end]
        colours = (code == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 14) or (
            code == 0xEE and content.startswith(b"Adobe") and len(content) >= 12
        )
        if not colours and (0xE0 <= code <= 0xEF or code == 0xFE):
            kept.leave_out(place, end)
        if code == 0xE1 and content.startswith(_EXIF):
            exif.append(content.removeprefix(_EXIF))  # a long one is in several segments
        elif code == 0xE1 and content.startswith(_XMP):
            xmp.append(content)
        elif code == 0xEB and content.startswith(b"JP"):  # each piece repeats the box's header
            c2pa.append(content[24 if content[8:12] == b"\0\0\0\1" else 16 :])
        place = end
    return Parts(kept.all(), b"".join(exif), b"".join(xmp), b"".join(c2pa), endless)


def _endless_scans(data: bytes, place: int) -> bool:
    """Whether a JPEG has too many scans from its first one, at `place`, to its end, behind
    which there can be anything.
    """
    scans = 0
    for _ in range(MAXIMUM_PARTS):
        marker = _AMONG_PIXELS.search(data, place)
        if not marker or (code := data[marker.end() - 1]) == 0xD9:
            return False
        scans += code == 0xDA
        if scans > MAXIMUM_SCANS:
            return True
        place = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2]))
    return True


def _png(data: bytes) -> Parts:
    """Without ancillary chunks (a small first letter), but for tRNS, which says what is seen."""
    kept, place, exif, xmp = _Kept(data), 8, b"", b""
    profile, profile_packed = b"", False
    for number in itertools.count():
        kind, start = data[place + 4 : place + 8], place + 8
        end = start + int.from_bytes(data[place : place + 4]) + 4
        if place + 12 > len(data) or end > len(data) or number == MAXIMUM_PARTS:
            break
        content = data[start : end - 4]
        if not (kind[:1].isupper() or kind == b"tRNS"):
            kept.leave_out(place, end)
        if kind == b"eXIf":
            exif = content
        elif kind in (b"tEXt", b"zTXt") and content.startswith(_RAW_PROFILE) and not profile:
            profile, profile_packed = content.removeprefix(_RAW_PROFILE), kind == b"zTXt"
        elif kind == b"iTXt" and content.startswith(_PNG_XMP):
            xmp = content.removeprefix(_PNG_XMP)
        place = end
        if kind == b"IEND":
            break
    # Unpacked once: a file can have thousands of texts that become a thousand times as long
    exif = exif or _raw_profile(profile, profile_packed)
    return Parts(kept.all(), exif, _international_text(xmp), endless=number == MAXIMUM_PARTS)


def _international_text(content: bytes) -> bytes:
    """A text of PNG behind its name: whether it is compressed and how, two more names, itself."""
    text = content[2:].split(b"\0", 2)[-1]
    if content[:1] != b"\1":
        return text
    try:
        return zlib.decompressobj().decompress(text, MAXIMUM_PROFILE)
    except zlib.error:
        return b""


def _raw_profile(content: bytes, compressed: bool) -> bytes:
    """EXIF as ImageMagick wrote it into PNG before there was eXIf: an empty line, its name, its
    length, and lines of hexadecimal digits.
    """
    try:
        text = content
        if compressed:  # behind a byte for the method
            text = zlib.decompressobj().decompress(content[1:], 2 * MAXIMUM_PROFILE)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except (ValueError, zlib.error):
        return b""


def _webp(data: bytes) -> Parts:
    """Without the chunks EXIF, XMP and ICCP, what the header says of them, and what lies behind."""
    length = int.from_bytes(data[4:8], "little")
    data = data[: 8 + length + length % 2]
    kept, place, said = _Kept(data[12:]), 12, {b"EXIF": b"", b"XMP ": b"", b"ICCP": b""}
    for number in itertools.count():
        if place + 8 > len(data) or number == MAXIMUM_PARTS:
            break
        kind, start = data[place : place + 4], place + 8
        length = int.from_bytes(data[place + 4 : start], "little")
        end = start + length + length % 2
        if kind in said:
            said[kind] = data[start:end]
            kept.leave_out(place - 12, min(end, len(data)) - 12)
        elif kind == b"VP8X" and data[start:end]:
            kept.leave_out(start - 12, start - 11, bytes([data[start] & ~0x2C]))
        place = end
    pixels = b"WEBP" + kept.all()
    size = len(pixels).to_bytes(4, "little")
    whole = b"RIFF" + size + pixels
    return Parts(whole, said[b"EXIF"], said[b"XMP "], endless=number == MAXIMUM_PARTS)


def _exif_orientation(tiff: bytes) -> int | None:
    if not (order := _ORDERS.get(tiff[:4])):
        return None

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    first = number(4, 4) + 2
    last = min(first + 12 * number(first - 2, 2), len(tiff) - 11)
    for entry in range(first, last, 12):
        if number(entry, 2) == 0x0112:  # the tag Orientation
            size = _WHOLE_NUMBERS.get(number(entry + 2, 2), 0)
            return number(entry + 8, size) if number(entry + 4, 4) == 1 else 0
    return None
