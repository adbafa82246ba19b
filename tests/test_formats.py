"""What headers say, against files that PIL has just written with known settings."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from pipeline.audit import formats
from pipeline.audit.formats import Description, UnreadableHeader, describe


def written(kind="JPEG", size=(24, 16), mode="RGB", **options):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(
        mode
    )
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif():
    tags = Image.Exif()
    tags[0x010F] = "A camera"
    return tags


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_quality_of_libjpeg_is_told_exactly(mode):
    found = [describe(written(mode=mode, quality=quality)) for quality in range(1, 101)]
    assert [one.jpeg_quality for one in found] == list(range(1, 101))
    assert all(one.quality_is_exact for one in found)


def test_a_table_of_another_encoder_gets_the_closest_quality():
    table = np.array(JpegImagePlugin.JpegImageFile(io.BytesIO(written(quality=80))).quantization[0])
    table[[3, 17, 40]] += 1
    tables = {0: table.tolist(), 1: table.tolist()}
    found = describe(written(qtables=tables))
    assert (found.jpeg_quality, found.quality_is_exact) == (80, False)


@given(st.integers(1, 100), st.integers(0, 63), st.integers(-1, 1))
def test_a_table_with_one_number_off_by_one_is_close_to_its_quality(quality, place, by):
    table = formats._libjpeg_tables()[quality - 1].copy()
    table[place] += by
    found, exact = formats.jpeg_quality(table.tolist())
    assert abs(found - quality) <= 1 and (exact or by)


def test_a_coarser_table_never_gets_a_higher_quality():
    scales = np.linspace(0.02, 12, 60)
    tables = [np.rint(formats.LUMINANCE * scale).clip(1, 255) for scale in scales]
    found = [formats.jpeg_quality(table.tolist())[0] for table in tables]
    assert found == sorted(found, reverse=True) and found[0] > 95 and found[-1] < 10


@pytest.mark.parametrize(
    ("option", "expected"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0"), ("4:1:1", "4:2:0")]
)
def test_chroma_subsampling_is_pils(option, expected):
    # PIL writes 4:2:0 where it is asked for 4:1:1
    assert describe(written(subsampling=option)).chroma_subsampling == expected


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (((1, 1), (1, 1), (1, 1)), "4:4:4"),
        (((1, 2), (1, 1), (1, 1)), "4:4:0"),
        (((4, 1), (1, 1), (1, 1)), "4:1:1"),
        (((4, 2), (1, 1), (1, 1)), "4:1:0"),
        (((2, 2), (2, 2), (2, 2)), "4:4:4"),
        (((2, 2), (1, 1), (2, 1)), "uneven"),
        (((3, 1), (2, 1), (2, 1)), "other"),
        (((3, 3), (1, 1), (1, 1)), "other"),
        (((1, 1),), None),
        (((1, 1), (1, 1), (1, 1), (1, 1)), None),
    ],
)
def test_chroma_subsampling_of_rare_files(samples, expected):
    assert formats._chroma([(i, *pair, 0) for i, pair in enumerate(samples)]) == expected


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("WEBP", "RGB")]
)
def test_what_is_no_jpeg_has_no_quality_and_no_chroma(kind, mode):
    content = written(kind, size=(31, 17), mode=mode)
    expected = Description(kind, 31, 17, mode, None, False, None, False, len(content) / (31 * 17))
    assert describe(content) == expected


def test_a_jpeg_in_ink_has_a_quality_and_no_chroma():
    found = describe(written(mode="CMYK", quality=70))
    assert (found.mode, found.jpeg_quality, found.chroma_subsampling) == ("CMYK", 70, None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_is_seen_where_there_is_any(kind):
    assert describe(written(kind, exif=exif())).has_exif
    assert not describe(written(kind)).has_exif


def test_an_orientation_does_not_turn_the_size():
    tags = exif()
    tags[0x0112] = 6
    found = describe(written(size=(24, 16), exif=tags))
    assert (found.width, found.height) == (24, 16)


# ---------------------------------------------------------------- damaged files


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"GIF89a" + bytes(40), "not a PNG, JPEG or WebP file"),
        (b"\xff\xd8\xff", None),
        (written()[:200], None),
        (written("PNG")[:20], None),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", None),
    ],
)
def test_damaged_headers_have_a_stated_reason(content, reason):
    with pytest.raises(UnreadableHeader) as caught:
        describe(content)
    assert caught.value.reason and (reason is None or caught.value.reason == reason)


def test_a_bomb_is_told_without_decoding_it():
    header = bytearray(written("PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with pytest.raises(UnreadableHeader, match="too many pixels"):
        describe(bytes(header))


def test_a_table_that_the_frame_names_and_the_file_lacks():
    content = bytearray(written())
    frame = content.index(b"\xff\xc0")
    content[frame + 12] = 3  # the table of the first component
    with pytest.raises(UnreadableHeader, match="no quantisation table"):
        describe(bytes(content))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_table_of_another_length_is_refused(length):
    with pytest.raises(UnreadableHeader, match=f"table of {length} numbers"):
        formats.jpeg_quality([1] * length)


@given(
    st.sampled_from(
        [written(exif=exif()), written("PNG", exif=exif()), written("WEBP", exif=exif())]
    ),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
    st.integers(0, 2000),
)
def test_random_damage_never_crashes(content, changes, end):
    damaged = bytearray(content[: max(4, end)])
    for place, value in changes:
        damaged[place % min(len(damaged), 700)] = value
    try:
        found = describe(bytes(damaged))
    except UnreadableHeader as error:
        assert error.reason
    else:
        assert found.format in formats.READABLE and found.width > 0 and found.height > 0


# ---------------------------------------------------------------- many files


def test_the_summary_counts_what_there_is():
    sizes = [(8 * i, 16) for i in range(1, 8)]
    files: list[Description | UnreadableHeader] = [
        describe(written(size=size, quality=75 + i)) for i, size in enumerate(sizes)
    ]
    files += [describe(written("PNG", size=(8, 16), exif=exif()))] * 2 + [
        UnreadableHeader("empty file")
    ]
    found = formats.summary(files)
    assert found["faces"] == 10 and found["formats"] == {"JPEG": 7, "PNG": 2}
    assert found["sizes"] == {"8x16": 3, "16x16": 1, "24x16": 1, "32x16": 1, "40x16": 1, "other": 2}
    assert found["width"] == {"min": 8, "median": 24, "max": 56} and found["height"] == {
        "min": 16,
        "median": 16,
        "max": 16,
    }
    assert found["jpeg_quality"] == {"files": 7, "min": 75, "median": 78, "max": 81}
    assert found["chroma_subsampling"] == {"4:2:0": 7} and found["with_exif"] == 2
    assert found["bytes_per_pixel"] == np.median(
        [f.bytes_per_pixel for f in files if isinstance(f, Description)]
    )
    assert found["unreadable_headers"] == {"empty file": 1}


def test_the_summary_of_nothing_readable_says_so():
    found = formats.summary([UnreadableHeader("empty file")])
    assert found["faces"] == 1 and found["formats"] == {} and found["sizes"] == {}
    assert (
        found["width"]
        is found["height"]
        is found["jpeg_quality"]
        is found["bytes_per_pixel"]
        is None
    )
