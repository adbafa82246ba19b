"""Pictures of the data folder: read alike whatever their format, or refused with a reason."""

import io
import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.common import layout, pictures

COLOURS = np.zeros((4, 6, 3), np.uint8)
COLOURS[:2, :3], COLOURS[:2, 3:], COLOURS[2:, :3] = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def save(path, image, *arguments, **options):
    image.save(path, *arguments, **options)
    return path


def reason_of(path):
    with pytest.raises(pictures.UnreadablePicture, match=path.name) as caught:
        pictures.read_picture(path)
    return caught.value.reason


def test_a_mapping_without_pickle_is_preferred(tmp_path):
    paths = layout.Layout(tmp_path)
    assert paths.mapping.name == "id_vs_fdfName.pkl"
    paths.mapping.parent.mkdir(parents=True)
    for name in ("id_vs_fdfName.pkl", "id_vs_fdfName.json", "id_vs_fdfName.csv"):
        (paths.mapping.parent / name).touch()
        assert paths.mapping.name == name


# --- bytes


@given(
    st.integers(0, 400),
    st.lists(st.integers(1, 120), min_size=1, max_size=5),
    st.sampled_from([50, 99, 100, 101, 400, 1000]),
)
def test_files_are_read_whole_however_little_comes_at_a_time(
    tmp_path_factory, size, chunks, maximum
):
    path, real, turns = tmp_path_factory.getbasetemp() / "slow", os.read, iter(chunks * 400)
    content = np.random.default_rng(size).bytes(size)
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_READ", 100)
        patch.setattr(os, "read", lambda file, count: real(file, min(count, next(turns))))
        read = pictures.read_bytes(path, maximum)
    if size <= maximum:
        assert read == content
    else:  # so that the caller sees that the file is too large
        assert maximum < len(read) <= maximum + 100 and content.startswith(read)


# --- pictures


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.webp", {"lossless": True}), ("wrong_suffix.jpg", {"format": "PNG"})],
)
def test_lossless_pictures_come_back(tmp_path, name, options):
    picture = pictures.read_picture(save(tmp_path / name, Image.fromarray(COLOURS), **options))
    assert picture.dtype == np.uint8 and picture.flags.writeable
    np.testing.assert_array_equal(picture, COLOURS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    expected = np.asarray(Image.fromarray(COLOURS).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(pictures.read_picture(save(tmp_path / "a.png", image)), expected)


@pytest.mark.parametrize("hidden", [0, 95, 255])
def test_what_is_stored_where_nothing_is_seen_has_no_influence(tmp_path, hidden):
    shades = np.dstack([COLOURS, np.full((4, 6), 255, np.uint8)])
    shades[:, 4:] = (hidden, hidden, hidden, 0)
    path = save(tmp_path / "a.png", Image.fromarray(shades))
    picture = pictures.read_picture(path)
    assert (picture[:, 4:] == 255).all()
    np.testing.assert_array_equal(picture[:, :4], COLOURS[:, :4])
    assert pictures.decode(path.read_bytes(), path).transparent


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_of_every_mode_shows_white(tmp_path, mode):
    """Half a black picture is transparent: wholly in a palette or by a colour, else by a half."""
    image = Image.new("RGB", (2, 1))
    image.putpixel((1, 0), (9, 9, 9))
    options = {}
    if mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(np.array([[128, 255]], np.uint8)))
        expected = 127
    else:
        image = image.quantize(2) if mode == "P" else image.convert(mode)
        options["transparency"] = {"P": image.getpixel((0, 0)), "RGB": (0, 0, 0), "L": 0}[mode]
        expected = 255
    for suffix in ("png", "webp") if mode == "RGBA" else ("png",):
        lossless = {"lossless": True} if suffix == "webp" else {}
        path = save(tmp_path / f"a.{suffix}", image, **options, **lossless)
        pixels, transparent = pictures.decode(path.read_bytes(), path)
        assert transparent and pixels[0].tolist() == [[expected] * 3, [9] * 3]


def test_an_opaque_alpha_changes_nothing(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS).convert("RGBA"))
    pixels, transparent = pictures.decode(path.read_bytes(), path)
    np.testing.assert_array_equal(pixels, COLOURS)
    assert not transparent


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    image = Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], np.uint16))
    picture = pictures.read_picture(save(tmp_path / "a.png", image))
    assert picture[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def noise(suffix):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        buffer, suffix
    )
    return buffer.getvalue()


def test_reasons(tmp_path):
    assert reason_of(tmp_path / "a.png") == "missing"
    path = tmp_path / "b.png"
    for content, reason in [
        (b"", "empty"),
        (b"<html>", "not_a_picture"),
        (b"GIF89a" + bytes(50), "not_a_picture"),
        (noise("PNG")[:5000], "truncated"),
        (noise("JPEG")[:2000], "truncated"),
        (noise("PNG")[:20], "broken"),
        (noise("WEBP")[:200], "broken"),
    ]:
        path.write_bytes(content)
        assert reason_of(path) == reason


@pytest.mark.parametrize(
    ("start", "what"),
    [(b"GIF89a", "a GIF"), (b"\0\0\0\x18ftypheic", "a HEIC"), (b"<!DOCTYPE html>", "an HTML page")],
)
def test_a_file_of_another_format_is_called_by_its_name(tmp_path, start, what):
    (tmp_path / "a.jpg").write_bytes(start + bytes(50))
    with pytest.raises(pictures.UnreadablePicture, match=rf"not a picture \({what}\)"):
        pictures.read_picture(tmp_path / "a.jpg")


def test_a_pipe_of_a_pictures_name_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert reason_of(tmp_path / "a.png") == "missing"


def test_a_link_to_nothing_says_so(tmp_path):
    (tmp_path / "a.png").symlink_to("gone.png")
    with pytest.raises(pictures.UnreadablePicture, match=r"missing \(a link to gone\.png, where"):
        pictures.read_picture(tmp_path / "a.png")


def test_a_worker_process_can_send_the_error(tmp_path):
    assert reason_of(tmp_path) == "missing"  # a folder
    error = pictures.UnreadablePicture("a.png", "not_a_picture", "GIF")
    sent = pickle.loads(pickle.dumps(error))
    assert sent.reason == "not_a_picture" and str(sent) == str(error)
    assert str(error).startswith("a.png: not a picture (GIF); leave it out")


def test_a_bomb_is_refused_before_decoding(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for side in (10_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        data = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(1000)))
            + chunk(b"IEND", b"")
        )
        (tmp_path / "bomb.png").write_bytes(data)
        with (
            pytest.warns(Image.DecompressionBombWarning)
            if side == 10_000
            else pytest.MonkeyPatch.context()
        ):
            assert reason_of(tmp_path / "bomb.png") == "too_large"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_damaged_pictures_are_read_or_refused_with_a_reason(tmp_path_factory, suffix, data):
    content = bytearray(noise(suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(
            st.integers(0, 255)
        )
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        picture = pictures.read_picture(path)
    except pictures.UnreadablePicture as error:
        assert error.reason in {"not_a_picture", "too_large", "truncated", "broken"}
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
