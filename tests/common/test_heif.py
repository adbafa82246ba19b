"""HEIC files taken apart: boxes that are written here, and a file of libheif."""

import io
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.common import heif, metadata

EXIF, XMP = b"MM\0*\0\0\0\x08\0\0", b"<x:xmpmeta>about a shot</x:xmpmeta>"
PAYLOAD = (6).to_bytes(4) + b"Exif\0\0" + EXIF


def box(kind, content, *, large=False):
    if large:
        return b"\0\0\0\1" + kind + (16 + len(content)).to_bytes(8) + content
    return (8 + len(content)).to_bytes(4) + kind + content


def entry(number, kind, wide):
    version, size = (b"\3\0\0\0", 4) if wide else (b"\2\0\0\0", 2)
    return box(b"infe", version + number.to_bytes(size) + b"\0\0" + kind + b"\0")


def heic(version=0, *, idat=False, parts=1, large=False):
    """A file of three items; `version` of the box iloc, whose items lie in the file or in idat, in
    one piece or in `parts`.
    """
    wide = version == 2
    contents = [b"the pixels", PAYLOAD, XMP]
    kinds = enumerate((b"hvc1", b"Exif", b"mime"), start=1)
    iinf = b"\1\0\0\0\0\0\0\3" if wide else b"\0\0\0\0\0\3"
    iinf = box(b"iinf", iinf + b"".join(entry(number, kind, wide) for number, kind in kinds))

    def made(start):
        rows = b""
        for number, content in enumerate(contents, start=1):
            rows += number.to_bytes(4 if wide else 2)
            rows += int(idat).to_bytes(2) if version else b""
            rows += b"\0\0" + parts.to_bytes(2)
            size = -(-len(content) // parts)
            for k in range(parts):
                length = len(content[k * size : (k + 1) * size])
                rows += (start + k * size).to_bytes(4) + length.to_bytes(4)
            start += len(content)
        count = len(contents).to_bytes(4 if wide else 2)
        iloc = box(b"iloc", bytes([version, 0, 0, 0, 0x44, 0]) + count + rows)
        held = box(b"idat", b"".join(contents)) if idat else b""
        head = box(b"ftyp", b"heic\0\0\0\0mif1")
        return head + box(b"meta", bytes(4) + iloc + iinf + held, large=large) + b"\0\0\0\0mdat"

    start = 0 if idat else len(made(0))
    return made(start) + (b"" if idat else b"".join(contents))


@pytest.mark.parametrize(
    ("version", "how"),
    [(0, {}), (1, {}), (2, {}), (1, {"idat": True}), (0, {"parts": 3}), (2, {"large": True})],
)
def test_items_are_found_and_hidden_and_nothing_else_changes(version, how):
    data = heic(version, **how)
    parts = metadata.take_apart(data)
    assert parts.exif == EXIF and parts.xmp == XMP and parts.orientation == 1
    hidden = data.replace(b"\0\0Exif\0", b"\0\0skip\0").replace(b"\0\0mime\0", b"\0\0skip\0")
    assert parts.pixels == hidden
    assert heif.take_apart(parts.pixels) == heif.Parts(parts.pixels, b"", b"")


@given(st.sampled_from([heic(), heic(1, idat=True), heic(2)]), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_bytes_are_taken_apart_in_the_same_length(data, draw):
    place, noise = draw.draw(st.integers(12, len(data))), draw.draw(st.binary(max_size=12))
    damaged = (data[:place] + noise + data[place + len(noise) :])[: draw.draw(st.integers(12, 400))]
    parts = metadata.take_apart(damaged)
    assert len(parts.pixels) == len(damaged) and parts.orientation == 1


def test_a_decoder_sees_the_pixels_and_no_metadata():
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "a program"
    written, picture = io.BytesIO(), np.arange(40 * 24 * 3, dtype=np.uint8).reshape(40, 24, 3)
    Image.fromarray(picture).save(written, "HEIF", exif=exif.tobytes(), xmp=XMP)
    data = written.getvalue()
    parts = metadata.take_apart(data)
    with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(parts.pixels)) as bare:
        assert parts.exif == exif.tobytes().removeprefix(b"Exif\0\0") and parts.xmp == XMP
        assert not bare.info["exif"] and "xmp" not in bare.info
        assert whole.size == bare.size == (40, 24), "turned by a box of the file"
        np.testing.assert_array_equal(np.asarray(bare), np.asarray(whole))


@pytest.mark.parametrize("sizes", [0x0000, 0x4400], ids=["without numbers", "all of the file"])
def test_pieces_that_lie_over_each_other_take_neither_time_nor_memory(sizes):
    data = heic()
    place = data.index(b"iloc") + 4
    extents = (struct.pack(">II", 0, 2**20) if sizes else b"") * 60_000
    items = struct.pack(">HHH", 2, 0, 60_000) + extents  # item 2 is EXIF
    rows = b"\0\0\0\0" + struct.pack(">HH", sizes, 4000) + items * (1 if sizes else 4000)
    data = data[: place - 8] + box(b"iloc", rows) + data[place - 8 :] + bytes(2**20)
    meta = data.index(b"meta")
    data = data[: meta - 4] + (len(data) - meta + 4).to_bytes(4) + data[meta:]
    started = time.process_time()
    assert len(heif.take_apart(data).exif) <= len(data)
    assert time.process_time() - started < 2
