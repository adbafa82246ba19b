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
from pipeline.perturbation import pictures as perturbations

NAMES = (
    "jpeg_75",
    "double_jpeg_60",
    "webp_80",
    "resize_0.5",
    "resize_2",
    "crop_0.9",
    "blur_1",
    "noise_5",
)


def picture(height=40, width=56, seed=0):
    """A smooth picture with some noise."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return (smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


def through(array, suffix, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, suffix, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


# ---------------------------------------------------------------- each against its oracle


@pytest.mark.parametrize("quality", [1, 40, 75, 95, 100])
def test_jpeg_is_what_pil_writes_by_default(quality):
    assert np.array_equal(
        perturbations.jpeg(picture(), quality), through(picture(), "JPEG", quality=quality)
    )


def test_double_jpeg_is_two_compressions_and_not_one():
    first = through(picture(), "JPEG", quality=40)
    twice = perturbations.double_jpeg(picture(), 40)
    assert np.array_equal(twice, through(first, "JPEG", quality=perturbations.SECOND_QUALITY))
    assert not np.array_equal(twice, first)


def test_webp_is_lossy_webp_of_the_quality():
    errors = [
        np.abs(perturbations.webp(picture(), q).astype(int) - picture()).mean()
        for q in (95, 80, 20)
    ]
    pils = np.abs(through(picture(), "WEBP", quality=80, method=4).astype(int) - picture()).mean()
    assert 0 < errors[0] < errors[1] < errors[2]
    assert errors[1] == pytest.approx(pils, rel=0.3)


@pytest.mark.parametrize(("share", "size"), [(0.5, (28, 20)), (0.75, (42, 30)), (2, (112, 80))])
def test_resize_is_pils_bicubic_there_and_back(share, size):
    small = Image.fromarray(picture()).resize(size, Image.Resampling.BICUBIC)
    assert np.array_equal(
        perturbations.resize(picture(), share),
        np.asarray(small.resize((56, 40), Image.Resampling.BICUBIC)),
    )


def test_crop_keeps_the_middle():
    numbered = np.arange(10 * 20 * 3, dtype=np.uint16).reshape(10, 20, 3).astype(np.uint8)
    assert np.array_equal(perturbations.crop(numbered, 0.5), numbered[2:7, 5:15])
    assert np.array_equal(perturbations.crop(numbered, 0.8), numbered[1:9, 2:18])
    assert np.array_equal(perturbations.crop(numbered, 1), numbered)


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
    blurred = perturbations.blur(picture(), sigma)
    assert (
        np.abs(blurred - naive_blur(picture(), sigma)).max() <= 0.51
    )  # rounded to whole grey levels


@pytest.mark.parametrize("sigma", [2, 5])
def test_noise_has_its_sigma_no_mean_and_no_memory(sigma):
    grey = np.full((200, 200, 3), 128, np.uint8)
    added = perturbations.perturb(f"noise_{sigma}", 1)(grey, "a.png").astype(float) - 128
    n = added.size
    assert abs(added.mean()) < 5 * sigma / np.sqrt(n)
    assert added.std() == pytest.approx(
        np.sqrt(sigma**2 + 1 / 12), rel=5 / np.sqrt(2 * n)
    )  # 1/12: rounding
    across = [
        (added[1:] * added[:-1]).mean(),
        (added[:, 1:] * added[:, :-1]).mean(),
        (added[..., 0] * added[..., 1]).mean(),
    ]
    assert np.abs(across).max() < 5 * sigma**2 / np.sqrt(n / 3)


def test_noise_is_clipped_and_not_wrapped():
    assert (
        perturbations.perturb("noise_5", 1)(np.full((64, 64, 3), 255, np.uint8), "a") > 200
    ).all()
    assert (perturbations.perturb("noise_5", 1)(np.zeros((64, 64, 3), np.uint8), "a") < 50).all()


def test_noise_is_keyed_by_seed_and_name_and_the_same_at_all_strengths():
    grey = np.full((32, 32, 3), 128, np.uint8)

    def added(strength, seed, name):
        return perturbations.perturb(f"noise_{strength}", seed)(grey, name).astype(float) - 128

    one = added(10, 1, "a.png")
    drawn = randomness.generator(1, "perturbation", "a.png").standard_normal(
        grey.shape, dtype=np.float32
    )
    assert np.abs(one - 10 * drawn).max() <= 0.51
    assert np.abs(added(20, 1, "a.png") - 2 * one).max() <= 2
    for other in (added(10, 2, "a.png"), added(10, 1, "b.png")):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


# ---------------------------------------------------------------- all of them


def test_every_kind_of_the_params_has_its_function():
    assert {*perturbations.FUNCTIONS, "noise"} == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_pictures_stay_pictures_of_their_shape(name, height, width, seed):
    before = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    kept = before.copy()
    after = perturbations.perturb(name, 1)(before, "a.png")
    assert after.dtype == np.uint8 and after.flags.writeable and after.flags.c_contiguous
    shape = (
        tuple(max(1, round(0.9 * side)) for side in (height, width))
        if name == "crop_0.9"
        else (height, width)
    )
    assert after.shape == (*shape, 3)
    assert np.array_equal(before, kept), "the picture given is left as it was"
    assert np.array_equal(perturbations.perturb(name, 1)(before, "a.png"), after)


def test_a_perturbation_that_does_nothing_has_a_function_all_the_same():
    assert np.array_equal(perturbations.perturb("crop_1", 1)(picture(), "a.png"), picture())
    assert np.array_equal(perturbations.perturb("resize_1", 1)(picture(), "a.png"), picture())


@pytest.mark.parametrize(("name", "side"), [("webp_80", 16_384), ("jpeg_75", 65_536)])
def test_a_side_beyond_the_format_is_an_error_that_names_the_picture(name, side):
    with pytest.raises(
        PipelineError, match=rf"faces/1\.png: {name} cannot be applied to {side} x 1 pixels"
    ):
        perturbations.perturb(name, 1)(np.zeros((1, side, 3), np.uint8), "faces/1.png")


# ---------------------------------------------------------------- harmonised


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
def test_harmonised_is_pils_resize_then_pils_jpeg(kernel):
    after, content = perturbations.harmonise(picture(), 32, kernel, 90)
    square = Image.fromarray(picture()).resize((32, 32), Image.Resampling[kernel.upper()])
    assert np.array_equal(after, through(np.asarray(square), "JPEG", quality=90))
    with Image.open(io.BytesIO(content)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert image.size == (32, 32) and JpegImagePlugin.get_sampling(image) == 2  # 4:2:0
        assert np.array_equal(np.asarray(image), after)


def test_harmonised_files_of_different_pictures_differ_in_their_pixels_alone():
    headers = set()
    for shape, seed in (((40, 56), 0), ((90, 30), 1), ((32, 32), 2)):
        content = perturbations.harmonise(picture(*shape, seed=seed), 32, "bicubic", 90)[1]
        headers.add(content[: content.index(b"\xff\xda")])  # all before the pixels
    assert len(headers) == 1
