"""Each perturbation against PIL's direct calls or its formula; then what holds for all of them."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import KINDS
from pipeline.common import randomness
from pipeline.perturbation import pictures
from pipeline.perturbation.pictures import harmonise, perturb
from tests.picture_world import picture

FACE = picture(0, 40, 56)
NAMES = [
    *("jpeg_75", "double_jpeg_60", "webp_80", "resize_0.5"),
    *("resize_2", "crop_0.9", "blur_1", "noise_5"),
]


def through(array, suffix, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, suffix, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


# --- each against its oracle


@pytest.mark.parametrize("quality", [1, 40, 75, 95, 100])
def test_jpeg_is_what_pil_writes_by_default(quality):
    assert np.array_equal(pictures.jpeg(FACE, quality), through(FACE, "JPEG", quality=quality))


def test_double_jpeg_is_two_compressions_and_not_one():
    first, twice = through(FACE, "JPEG", quality=40), pictures.double_jpeg(FACE, 40)
    assert np.array_equal(twice, through(first, "JPEG", quality=pictures.SECOND_QUALITY))
    assert not np.array_equal(twice, first)


def test_webp_is_lossy_webp_of_the_quality():
    def error(compressed):
        return np.abs(compressed.astype(int) - FACE).mean()

    errors = [error(pictures.webp(FACE, quality)) for quality in (95, 80, 20)]
    assert 0 < errors[0] < errors[1] < errors[2]
    pils = error(through(FACE, "WEBP", quality=80, method=4))
    assert errors[1] == pytest.approx(pils, rel=0.3)


@pytest.mark.parametrize(("share", "size"), [(0.5, (28, 20)), (0.75, (42, 30)), (2, (112, 80))])
def test_resize_is_pils_bicubic_there_and_back(share, size):
    small = Image.fromarray(FACE).resize(size, Image.Resampling.BICUBIC)
    back = small.resize((56, 40), Image.Resampling.BICUBIC)
    assert np.array_equal(pictures.resize(FACE, share), np.asarray(back))


def test_crop_keeps_the_middle():
    numbered = np.arange(10 * 20 * 3, dtype=np.uint16).reshape(10, 20, 3).astype(np.uint8)
    assert np.array_equal(pictures.crop(numbered, 0.5), numbered[2:7, 5:15])
    assert np.array_equal(pictures.crop(numbered, 0.8), numbered[1:9, 2:18])
    assert np.array_equal(pictures.crop(numbered, 1), numbered)


def naive_blur(array, sigma):
    """A double loop over the taps of the formula exp(-(x^2 + y^2) / 2 sigma^2)."""
    reach = int(4 * sigma + 0.5)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-(taps[:, None] ** 2 + taps**2) / (2 * sigma**2))
    height, width, _ = array.shape
    wide = np.pad(array.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros(array.shape)
    for i in range(len(taps)):
        for j in range(len(taps)):
            total += weights[i, j] * wide[i : i + height, j : j + width]
    return total / weights.sum()


@pytest.mark.parametrize("sigma", [0.5, 1, 2])
def test_blur_is_the_gaussian_of_its_formula(sigma):
    # rounded to whole grey levels
    assert np.abs(pictures.blur(FACE, sigma) - naive_blur(FACE, sigma)).max() <= 0.51


def test_noise_is_clipped_and_not_wrapped():
    white, black = (np.full((64, 64, 3), grey, np.uint8) for grey in (255, 0))
    assert (perturb("noise_5", 1)(white, "a") > 200).all()
    assert (perturb("noise_5", 1)(black, "a") < 50).all()


def test_noise_is_keyed_by_seed_and_name_and_the_same_at_all_strengths():
    grey = np.full((32, 32, 3), 128, np.uint8)
    for strength, seed, name in ((10, 1, "a"), (20, 1, "a"), (10, 2, "a"), (10, 1, "b")):
        random = randomness.generator(seed, "perturbation", name)
        drawn = random.standard_normal(grey.shape, dtype=np.float32)
        noisy = perturb(f"noise_{strength}", seed)(grey, name)
        assert np.abs(noisy - 128.0 - strength * drawn).max() <= 0.51


# --- all of them


def test_every_kind_of_the_params_has_its_function():
    assert {*pictures.FUNCTIONS, "noise"} == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_pictures_stay_pictures_of_their_shape(name, height, width, seed):
    before = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    kept = before.copy()
    after = perturb(name, 1)(before, "a.png")
    assert after.dtype == np.uint8 and after.flags.writeable and after.flags.c_contiguous
    share = 0.9 if name == "crop_0.9" else 1
    assert after.shape == (max(1, round(share * height)), max(1, round(share * width)), 3)
    assert np.array_equal(before, kept), "the picture given is left as it was"
    assert np.array_equal(perturb(name, 1)(before, "a.png"), after)


@pytest.mark.parametrize(("name", "side"), [("webp_80", 16_384), ("jpeg_75", 65_536)])
def test_a_side_beyond_the_format_is_an_error_that_names_the_picture(name, side):
    message = rf"faces/1\.png: {name} cannot be applied to {side} x 1 pixels"
    with pytest.raises(PipelineError, match=message):
        perturb(name, 1)(np.zeros((1, side, 3), np.uint8), "faces/1.png")


# --- harmonised


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
def test_harmonised_is_pils_resize_then_pils_jpeg(kernel):
    after, content = harmonise(FACE, 32, kernel, 90)
    square = Image.fromarray(FACE).resize((32, 32), Image.Resampling[kernel.upper()])
    assert np.array_equal(after, through(np.asarray(square), "JPEG", quality=90))
    with Image.open(io.BytesIO(content)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert image.size == (32, 32) and JpegImagePlugin.get_sampling(image) == 2  # 4:2:0
        assert np.array_equal(np.asarray(image), after)


def test_harmonised_files_of_different_pictures_differ_in_their_pixels_alone():
    faces = [FACE, picture(1, 90, 30), picture(2, 32, 32)]
    contents = [harmonise(face, 32, "bicubic", 90)[1] for face in faces]
    # all before the pixels
    assert len({content[: content.index(b"\xff\xda")] for content in contents}) == 1
