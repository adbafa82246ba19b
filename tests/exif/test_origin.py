"""Marks of what a model made, wherever a file can have them."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.exif.origin import check_origin
from pipeline.exif.tags import Rejection
from tests.exif.test_embedded import GOOD, tiff

SOURCES = b"http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE, MIXED = b"trainedAlgorithmicMedia", b"compositeWithTrainedAlgorithmicMedia"
CAPTURE = b"digitalCapture"


def box(kind, content):
    return (8 + len(content)).to_bytes(4) + kind + content


def manifest(source):
    """Boxes of JUMBF around an action in CBOR, as C2PA nests them, with something large before."""
    text = SOURCES + source
    action = b"\xa1qdigitalSourceType\x78" + bytes([len(text)]) + text
    label = box(b"jumd", bytes(16) + b"\3c2pa.actions\0")
    thumbnail = box(b"bidb", b"a thumbnail " * 20)
    return box(b"jumb", thumbnail + box(b"jumb", label + box(b"cbor", action)))


def jpeg(boxes, size, *, wide=False):
    """A JPEG with a box in pieces of `size` bytes, each behind the box's header (ISO 19566-5)."""
    head, content = boxes[:8], boxes[8:]
    if wide:  # the length in eight more bytes
        head = b"\0\0\0\1" + head[4:8] + (16 + len(content)).to_bytes(8)
    pieces = b""
    for number, start in enumerate(range(0, len(content), size), start=1):
        piece = b"JP\0\1" + number.to_bytes(4) + head + content[start : start + size]
        pieces += b"\xff\xeb" + (2 + len(piece)).to_bytes(2) + piece
    return written("JPEG", b"")[:2] + pieces + written("JPEG", b"")[2:]


def written(kind, xmp):
    buffer = io.BytesIO()
    how = {"xmp": xmp} if xmp else {}
    picture = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
    picture.save(buffer, kind, exif=b"Exif\0\0" + tiff(GOOD), **how)
    return buffer.getvalue()


def png(kind, content):
    """A PNG with one more chunk."""
    data = written("PNG", b"")
    chunk = len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
    return data[:33] + chunk + data[33:]


def cause(data, reject=("generated",)):
    try:
        check_origin(data, (8, 8), reject)
    except Rejection as rejection:
        assert rejection.reason == "generated"
        return rejection.cause
    return ""


@given(st.sampled_from([MADE, MIXED]), st.integers(1, 400), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_manifest_of_c2pa_in_pieces_of_a_jpeg(source, size, wide):
    assert cause(jpeg(manifest(source), size, wide=wide)) == source.decode()
    assert not cause(jpeg(manifest(CAPTURE), size, wide=wide))


@pytest.mark.parametrize("source", [MADE, MIXED, CAPTURE])
def test_xmp_and_manifests_of_all_formats(source):
    name, text = b"XML:com.adobe.xmp\0", SOURCES + source
    files = [
        *(written("JPEG", text), written("WEBP", text), png(b"caBX", manifest(source))),
        *(
            png(b"iTXt", name + bytes(4) + text),
            png(b"iTXt", name + b"\1\0\0\0" + zlib.compress(text)),
        ),
        written("WEBP", b"") + box(b"C2PA", manifest(source)),
    ]
    expected = "" if source == CAPTURE else source.decode()
    assert [cause(data) for data in files] == [expected] * len(files)
    assert not any(cause(data, ()) for data in files), "kept where it is no reason"


def test_a_broken_compressed_text_says_nothing():
    assert not cause(png(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0not compressed"))
