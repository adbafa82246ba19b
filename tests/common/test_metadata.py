"""Metadata decides about no pixel: PIL on good files is the oracle, then files with faults."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from pipeline.common import metadata, pictures
from pipeline.perturbation.file_formats import describe

PIXELS = (np.arange(16 * 24 * 3).reshape(16, 24, 3) % 251).astype(np.uint8)
FORMATS = ("JPEG", "PNG", "WEBP")


def picture(suffix, **options):
    """The bytes of PIXELS as stored, not turned."""
    buffer = io.BytesIO()
    lossless = {"lossless": True} if suffix == "WEBP" else {}
    Image.fromarray(PIXELS).save(buffer, suffix, **lossless, **options)
    return buffer.getvalue()


def exif(**tags):
    """EXIF as cameras write it, with the orientation of the first directory."""
    found = Image.Exif()
    found[0x010F], found[0x0132], found[0x011A] = "Maker", "2020:01:01 00:00:00", 72.0
    found[0x0112] = tags.get("orientation", 6)
    found.get_ifd(0x8769)[0x829A] = 0.01
    return found.tobytes()


def tiff(*entries, order="<"):
    """A TIFF structure of entries (tag, type, count, four bytes of value)."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    rest = struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4)
    return b"Exif\0\0" + head + rest + struct.pack(f"{order}II", 1, 2)


def decoded_by_pil(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def with_chunk(kind, content, *, checksum=True):
    """A PNG with one more chunk before its pixels."""
    data, extra = picture("PNG"), chunk(kind, content)
    return data[:33] + (extra if checksum else extra[:-4] + bytes(4)) + data[33:]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_good_files_are_decoded_and_turned_as_by_pil(suffix, orientation):
    data = picture(suffix, exif=exif(orientation=orientation))
    parts = metadata.take_apart(data)
    assert parts.orientation == orientation and b"Maker" not in parts.pixels
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), decoded_by_pil(data))


@pytest.mark.parametrize("suffix", FORMATS)
def test_profiles_comments_and_texts_are_left_out(suffix):
    secret = b"<rdf tiff:Orientation='x'>"
    options = {"icc_profile": secret * 40, "xmp": secret, "comment": secret, "dpi": (72, 72)}
    data = picture(suffix, exif=exif(orientation=1), **options)
    assert secret not in metadata.take_apart(data).pixels
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), decoded_by_pil(data))


def test_colours_that_a_jpeg_declares_stay():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(buffer, "JPEG")
    for data in (buffer.getvalue(), picture("JPEG", keep_rgb=True), picture("JPEG", dpi=(9, 9))):
        np.testing.assert_array_equal(pictures.decode_picture(data, "a"), decoded_by_pil(data))


@given(st.sampled_from(FORMATS), st.data())
def test_changed_bytes_of_exif_never_cost_the_pixels(suffix, data):
    content = bytearray(picture(suffix, exif=exif()))
    body = exif()[6:]
    start = bytes(content).find(body)
    for _ in range(data.draw(st.integers(1, 6))):
        content[start + data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    pixels = pictures.decode_picture(bytes(content), "a")
    assert pixels.shape in ((16, 24, 3), (24, 16, 3))
    assert describe(bytes(content), "a").width == 24


SHORT_6 = struct.pack("<HH", 6, 0)


def test_a_date_of_another_type_does_not_hide_the_orientation():
    date = (0x0132, 5, 1, struct.pack("<I", 38))  # a RATIONAL
    data = picture("JPEG", exif=tiff((0x0112, 3, 1, SHORT_6), date))
    assert pictures.decode_picture(data, "a").shape == (24, 16, 3)


@pytest.mark.parametrize(
    ("value", "order", "expected"),
    [
        ((0x0112, 3, 1, SHORT_6), "<", 6),
        ((0x0112, 3, 1, struct.pack(">HH", 6, 0)), ">", 6),
        ((0x0112, 4, 1, struct.pack("<I", 8)), "<", 8),
        ((0x0112, 1, 1, b"\3\0\0\0"), "<", 3),
        ((0x0112, 3, 1, bytes(4)), "<", 1),  # 0: not known
        ((0x0112, 3, 1, struct.pack("<HH", 9, 0)), "<", 1),
        ((0x0112, 3, 2, SHORT_6), "<", 1),  # two of them
        ((0x0112, 2, 1, b"6\0\0\0"), "<", 1),  # a text
        ((0x0112, 5, 1, struct.pack("<I", 26)), "<", 1),  # a fraction
    ],
)
def test_only_one_whole_number_is_an_orientation(value, order, expected):
    assert metadata.Parts(b"", tiff(value, order=order)).orientation == expected


@pytest.mark.parametrize(
    "data",
    [
        with_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000))),
        with_chunk(b"eXIf", b"garbage!"),
        with_chunk(b"tEXt", b"no end", checksum=False),
        with_chunk(b"pHYs", b"1"),
        with_chunk(b"iCCP", b"no profile"),
        with_chunk(b"gAMA", b""),
        with_chunk(b"acTL", b"?"),
        with_chunk(b"zTXt", b"Raw profile type exif\0\0not compressed"),
    ],
)
def test_a_broken_chunk_beside_the_pixels_of_a_png_does_not_count(data):
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), PIXELS)
    assert describe(data, "a").format == "PNG"


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe0\0\x07JFIF\0",
        b"\xff\xe2\0\x0cMPF\0II*\0\x08\0",
        b"\xff\xed\0\x20Photoshop 3.0\x008BIM\4\4\0\0\0\0",
        b"\xff\xee\0\7Adobe",
        b"\xff\xfe\0\2",
    ],
)
def test_a_broken_segment_beside_the_pixels_of_a_jpeg_does_not_count(segment):
    data = picture("JPEG")
    length = int.from_bytes(segment[2:4])
    changed = data[:2] + segment.ljust(length + 2, b"\0") + data[2:]
    np.testing.assert_array_equal(pictures.decode_picture(changed, "a"), decoded_by_pil(data))
    assert describe(changed, "a").format == "JPEG"


def test_metadata_at_the_end_of_a_webp_may_be_cut():
    data = picture("WEBP", exif=exif(orientation=1))
    np.testing.assert_array_equal(pictures.decode_picture(data[:-9], "a"), PIXELS)


@pytest.mark.parametrize("suffix", FORMATS)
def test_xmp_counts_where_exif_is_silent(suffix):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    if suffix == "PNG":
        data = with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    else:
        data = picture(suffix, xmp=xmp)
    assert metadata.take_apart(data).orientation == 6
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), decoded_by_pil(data))
    both = metadata.take_apart(data)._replace(exif=exif(orientation=3))
    assert both.orientation == 3


@pytest.mark.parametrize("compressed", [False, True])
def test_exif_in_a_text_of_png(compressed):
    """As ImageMagick wrote it before 7.0.8."""
    body = exif(orientation=8)
    text = f"\nexif\n{len(body):8}\n{body.hex()}\n"
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", text, zip=compressed)
    data = picture("PNG", pnginfo=info)
    assert metadata.take_apart(data).orientation == 8 and describe(data, "a").with_exif
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), decoded_by_pil(data))


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_whole_picture_is_made_of_a_part_of_one(suffix):
    data = picture(suffix)
    for length in range(12, len(data) - 60, 7):
        with pytest.raises(pictures.UnreadablePicture):
            pictures.decode_picture(data[:length], "a")


def repeated(part, count, suffix):
    """A picture with a part so often before its pixels."""
    data, place = picture(suffix), {"JPEG": 2, "PNG": 33}[suffix]
    return data[:place] + part * count + data[place:]


@pytest.mark.parametrize(
    "data",
    [
        repeated(b"\xff", 3_000_000, "JPEG"),  # that fill, then a marker
        repeated(b"\xff", 3_000_000, "JPEG").replace(b"\xff\xff\xe0", b"\xff\xff\0\xff\xe0", 1),
        repeated(b"\xff\x01", 100_000, "JPEG"),
        repeated(b"\xff\xe1\0\x09Exif\0\0a", 100_000, "JPEG"),
        repeated(b"\xff\xfe\0\2", 100_000, "JPEG"),
        repeated(chunk(b"IDAT", b""), 100_000, "PNG"),
        repeated(chunk(b"tEXt", b""), 100_000, "PNG"),
        picture("JPEG")[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 300 + b"\xff\xd9",  # scans
    ],
    ids=["fill", "fill and 0", "markers", "exif", "comments", "pixels", "texts", "scans"],
)
def test_files_of_endless_parts_are_refused_at_once(data):
    with pytest.raises(pictures.UnreadablePicture, match="more parts than any camera"):
        pictures.decode_picture(data, "a")


SCANS = np.random.default_rng(0).bytes(200_000) + b"\xff\xda\0\2" * 300  # of a film, say


@pytest.mark.parametrize("rest", [b"\n", bytes(9), bytes(1_200_000), SCANS])
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_lies_behind_a_picture_changes_nothing(suffix, rest):
    data = picture(suffix, exif=exif(orientation=6))
    found = metadata.take_apart(data + rest)
    assert found.orientation == 6 and not found.endless
    expected = pictures.decode_picture(data, "a")
    np.testing.assert_array_equal(pictures.decode_picture(data + rest, "a"), expected)


def test_a_camera_may_fill_and_scan_often():
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, "JPEG", progressive=True, restart_marker_blocks=1)
    plain = data.getvalue()
    filled = plain[:2] + b"\xff" * 2**19 + plain[2:]
    expected = pictures.decode_picture(plain, "a")
    np.testing.assert_array_equal(pictures.decode_picture(filled, "a"), expected)


def test_a_webp_that_ends_in_its_first_header_is_broken():
    data = b"RIFF\x0c\0\0\0WEBPVP8X\x0a\0\0\0"
    with pytest.raises(pictures.UnreadablePicture, match="broken"):
        pictures.decode_picture(data, "a")


def test_of_many_packed_texts_one_is_unpacked(monkeypatch):
    bomb = b"Raw profile type exif\0\0" + zlib.compress(bytes(metadata.MAXIMUM_PROFILE))
    unpacked = []
    real = metadata._raw_profile

    def raw_profile(*content):
        unpacked.append(content)
        return real(*content)

    monkeypatch.setattr(metadata, "_raw_profile", raw_profile)
    data = repeated(chunk(b"zTXt", bomb), 500, "PNG")
    np.testing.assert_array_equal(pictures.decode_picture(data, "a"), PIXELS)
    assert len(unpacked) == 1
