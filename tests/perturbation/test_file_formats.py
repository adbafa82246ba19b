"""What headers say, against files that PIL has just written with known settings."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from pipeline.base.errors import PipelineError
from pipeline.perturbation import file_formats
from pipeline.perturbation.file_formats import FileFormat


def written(kind="JPEG", size=(24, 16), mode="RGB", **options):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def describe(content):
    return file_formats.describe(content, "faces/1.jpg")


def exif():
    tags = Image.Exif()
    tags[0x010F] = "A camera"
    return tags


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_quality_of_libjpeg_is_told_exactly(mode):
    found = [describe(written(mode=mode, quality=quality)) for quality in range(1, 101)]
    assert [one.jpeg_quality for one in found] == list(range(1, 101))


@given(st.integers(1, 100), st.integers(0, 63), st.integers(-1, 1))
def test_a_table_with_one_number_off_by_one_is_close_to_its_quality(quality, place, by):
    content = io.BytesIO(written(quality=quality))
    table = np.array(JpegImagePlugin.JpegImageFile(content).quantization[0])
    table[place] += by
    assert abs(file_formats.jpeg_quality(table.tolist()) - quality) <= 1


@pytest.mark.parametrize(
    ("option", "expected"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0"), ("4:1:1", "4:2:0")]
)
def test_chroma_subsampling_is_pils(option, expected):
    # PIL writes 4:2:0 where it is asked for 4:1:1
    assert describe(written(subsampling=option)).chroma_subsampling == expected


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (((1, 2), (1, 1), (1, 1)), "4:4:0"),
        (((4, 1), (1, 1), (1, 1)), "4:1:1"),
        (((4, 2), (1, 1), (1, 1)), "4:1:0"),
        (((2, 2), (2, 2), (2, 2)), "4:4:4"),
        (((2, 2), (1, 1), (2, 1)), "uneven"),
        (((3, 3), (1, 1), (1, 1)), "other"),
        (((1, 1), (1, 1), (1, 1), (1, 1)), None),
    ],
)
def test_chroma_subsampling_of_rare_files(samples, expected):
    assert file_formats._chroma(samples) == expected


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")])
def test_what_is_no_jpeg_has_no_quality_and_no_chroma(kind, mode):
    content = written(kind, size=(31, 17), mode=mode)
    expected = FileFormat(kind, 31, 17, None, None, False, len(content) / (31 * 17))
    assert describe(content) == expected


def test_a_jpeg_in_ink_has_a_quality_and_no_chroma():
    found = describe(written(mode="CMYK", quality=70))
    assert (found.jpeg_quality, found.chroma_subsampling) == (70, None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_is_seen_where_there_is_any(kind):
    assert describe(written(kind, exif=exif())).with_exif
    assert not describe(written(kind)).with_exif


def test_an_orientation_does_not_turn_the_size():
    tags = exif()
    tags[0x0112] = 6
    found = describe(written(size=(24, 16), exif=tags))
    assert (found.width, found.height) == (24, 16)


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(40), written("PNG")[:20]])
def test_a_file_without_a_readable_header_is_named(content):
    with pytest.raises(PipelineError, match=r"faces/1\.jpg: no readable header"):
        describe(content)
