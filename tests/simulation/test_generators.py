"""Each generator shows the artefact that it documents, and a photograph does not."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from pipeline.common import randomness
from pipeline.simulation import camera, generators, parts, scene

SEED, COUNT = 1, 8
FREQUENCY = np.hypot(np.fft.fftfreq(scene.SIDE)[:, None], np.fft.fftfreq(scene.SIDE)[None, :])


def drawn(number: int) -> tuple[np.random.Generator, generators.Subject]:
    rng = randomness.generator(SEED, "test subject", number)
    return rng, generators.portrait_subject(rng)


@cache
def pictures(name: str) -> np.ndarray:
    """COUNT pictures (n, SIDE, SIDE, 3) before JPEG; the same subjects for every name."""
    out = []
    for number in range(COUNT):
        rng, subject = drawn(number)
        if name == "photograph":
            out.append(camera.photograph(rng, generators.render(rng, subject), subject.shot) / 255)
        elif name == "clean":
            out.append(generators.clean(generators.render(rng, subject), subject.shot))
        else:
            out.append(generators.GENERATORS[name](rng, subject, SEED))
    return np.array(out)


def power(stack: np.ndarray) -> np.ndarray:
    """Mean power spectrum of the green channel, (SIDE, SIDE)."""
    green = stack[..., 1] - stack[..., 1].mean(axis=(1, 2), keepdims=True)
    return (np.abs(np.fft.fft2(green)) ** 2).mean(axis=0)


def band(stack: np.ndarray, low: float, high: float) -> float:
    return float(power(stack)[(low < FREQUENCY) & (high >= FREQUENCY)].mean())


def patches(stack: np.ndarray, side: int) -> np.ndarray:
    """Non-overlapping patches, flattened (n, side * side * 3)."""
    count = scene.SIDE // side
    return (
        stack.reshape(-1, count, side, count, side, 3).swapaxes(2, 3).reshape(-1, side * side * 3)
    )


def noise_level(stack: np.ndarray) -> float:
    """Noise from second differences that no straight edge or gradient passes (Immerkaer 1996), by
    their median.
    """
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    return (
        float(np.mean([np.median(np.abs(ndimage.convolve(p[..., 1], kernel))) for p in stack]))
        / 6
        / 0.6745
    )


class Recorder:
    """Calls through to a function and keeps arguments and results."""

    def __init__(self, function: Callable):
        self.function = function
        self.calls: list[tuple] = []
        self.results: list[Any] = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        self.results.append(self.function(*args, **kwargs))
        return (
            np.array(self.results[-1])
            if isinstance(self.results[-1], np.ndarray)
            else self.results[-1]
        )


# --- what all have in common


def test_there_are_at_least_six_and_each_names_its_source():
    assert len(generators.GENERATORS) >= 6
    for name, generator in generators.GENERATORS.items():
        assert name.startswith("sim_") and generator.__name__ == name
        assert generator.__doc__ and any(
            f"{year}" in generator.__doc__ for year in range(1990, 2026)
        ), name


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_pictures_are_of_their_key_alone_and_close_to_the_scene(name):
    stack = pictures(name)
    assert stack.shape == (COUNT, scene.SIDE, scene.SIDE, 3) and np.isfinite(stack).all()
    rng, subject = drawn(3)
    np.testing.assert_array_equal(generators.GENERATORS[name](rng, subject, SEED), stack[3])
    if name != "sim_asymmetric":  # the generator whose scene differs
        blurred = [ndimage.gaussian_filter(s, (0, 2, 2, 0)) for s in (stack, pictures("clean"))]
        assert np.abs(blurred[0] - blurred[1]).mean() < 0.04


def test_generators_imitate_the_target_domain():
    for number in range(100):
        _, subject = drawn(number)
        shot = subject.shot
        assert (
            50 <= shot.focal_length_mm <= 105 and 2 <= shot.f_number <= 6 and 100 <= shot.iso <= 400
        )


def test_photographs_have_a_sensors_noise_and_clean_pictures_have_not():
    assert noise_level(pictures("photograph")) > 2 * noise_level(
        pictures("clean")
    )  # whose texture is no noise


# --- one artefact each


def test_upsampling_leaves_a_checkerboard():
    def nyquist(name: str) -> float:
        spectrum, half = power(pictures(name)), scene.SIDE // 2
        return float(spectrum[half, half] + spectrum[half, 0] + spectrum[0, half])

    assert nyquist("sim_upsampling") > 20 * nyquist("photograph")
    assert nyquist("sim_upsampling") > 100 * nyquist("clean")


def test_upsampling_has_one_kernel_for_the_whole_generator():
    flat = np.full((scene.SIDE, scene.SIDE, 3), 0.5, np.float32)

    def decoded(seed: int, number: int) -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(generators, "clean", lambda *_: flat)
            rng, subject = drawn(number)
            return generators.sim_upsampling(rng, subject, seed)

    np.testing.assert_array_equal(decoded(1, 0), decoded(1, 5))
    assert np.abs(decoded(1, 0) - decoded(2, 0)).max() > 1e-3
    phases = decoded(1, 0)[8:-8, 8:-8]
    for dy, dx in np.ndindex(2, 2):  # a pattern of period 2: each of the four phases is one level
        assert phases[dy::2, dx::2].std(axis=(0, 1)).max() < 1e-4
    assert phases.std(axis=(0, 1)).min() > 1e-3 and phases.mean() == pytest.approx(0.5, abs=1e-3)


def distinct(stack: np.ndarray) -> int:
    """Number of different mean-free 4 x 4 patches, up to rounding."""
    flat = patches(stack, 4).reshape(-1, 16, 3)
    detail = (flat - flat.mean(axis=1, keepdims=True)).reshape(len(flat), -1)
    return len(np.unique(np.round(detail @ np.random.default_rng(1).normal(size=48), 4)))


def test_vector_quantised_patches_come_from_a_codebook():
    assert distinct(pictures("sim_vector_quantised")) <= 1024
    assert distinct(pictures("clean")) > 4000


def test_vector_quantised_codes_are_the_nearest():
    coded, clean = patches(pictures("sim_vector_quantised"), 4), patches(pictures("clean"), 4)
    error = ((coded - clean) ** 2).sum(axis=1)
    some = np.random.default_rng(1).integers(0, len(coded), 300)
    for other in some[
        :40
    ]:  # no other patch that was ever written would have been closer (up to both levels' interplay)
        assert (
            np.mean(((coded[other] - clean[some]) ** 2).sum(axis=1) < error[some] * 0.98 - 1e-6)
            < 0.02
        )


def test_latent_patches_span_few_dimensions():
    # Four grids of 16 dimensions overlap in an 8 x 8 patch: 16 + 2 * 16 + 2 * 16 + 4 * 16 of 192,
    # and the mean.
    def spectrum(name: str) -> np.ndarray:
        values = np.linalg.svd(patches(pictures(name), 8).astype(np.float64), compute_uv=False)
        return values / values[0]

    assert spectrum("sim_latent")[145] < 1e-5
    assert spectrum("clean")[145] > 1e-4


def test_a_latent_of_one_grid_has_16_dimensions():
    """Pictures that repeat every 4 pixels look alike in all four grids, so that the average is one
    decoding.
    """
    tiles = np.random.default_rng(1).uniform(0, 1, (60, 4, 4, 3)).astype(np.float32)
    decoded = []
    for tile in tiles:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(generators, "clean", lambda *_, tile=tile: np.tile(tile, (32, 32, 1)))
            rng, subject = drawn(0)
            decoded.append(generators.sim_latent(rng, subject, SEED)[:8, :8].reshape(-1))
    values = np.linalg.svd(
        np.array(decoded, np.float64) - np.mean(decoded, axis=0, dtype=np.float64), compute_uv=False
    )
    assert values[16] < 1e-4 * values[0]


def test_denoised_pictures_lack_noise():
    assert noise_level(pictures("sim_denoised")) < 0.6 * noise_level(pictures("photograph"))
    assert noise_level(pictures("sim_denoised")) < 0.01, "a tenth of the noise that was put in"


def test_denoised_edges_survive():
    # Brightness steps that the clean picture has are still there; a plain blur of that strength
    # would lose them.
    clean, smooth = pictures("clean"), pictures("sim_denoised")
    strong = np.abs(np.diff(clean, axis=2)) > 0.2
    kept = np.diff(smooth, axis=2)[strong] / np.diff(clean, axis=2)[strong]
    assert np.median(kept) > 0.5


def test_asymmetric_eyes_differ_and_natural_ones_do_not(monkeypatch):
    recorder = Recorder(generators.render)
    monkeypatch.setattr(generators, "render", recorder)
    for number in range(6):
        rng, subject = drawn(number)
        generators.sim_asymmetric(rng, subject, SEED)
        (args, kwargs) = recorder.calls[-1]
        eyes = kwargs.get("eyes", args[2] if len(args) > 2 else None)
        natural = parts.natural_eyes(subject.person, subject.pose, subject.light)
        np.testing.assert_array_equal(natural.iris[0], natural.iris[1])
        np.testing.assert_array_equal(eyes.iris[0], subject.person.iris)
        assert np.abs(eyes.iris[0] - eyes.iris[1]).max() > 0.001
        assert (
            eyes.gaze[0] != eyes.gaze[1]
            and eyes.catchlight[0] != eyes.catchlight[1]
            and eyes.size[0] != eyes.size[1]
        )


def test_asymmetric_noise_is_the_same_in_all_channels_and_brightnesses(monkeypatch):
    recorder = Recorder(generators.clean)
    monkeypatch.setattr(generators, "clean", recorder)
    noise, light = [], []
    for number in range(4):
        rng, subject = drawn(number)
        noise.append(generators.sim_asymmetric(rng, subject, SEED) - recorder.results[-1])
        light.append(recorder.results[-1].mean(axis=-1))
    np.testing.assert_allclose(np.array(noise)[..., 0], np.array(noise)[..., 2], atol=1e-6)
    green, bright = np.array(noise)[..., 1], np.array(light) > np.median(light)
    assert (
        green[bright].std()
        == pytest.approx(green[~bright].std(), rel=0.05)
        == pytest.approx(0.012, rel=0.05)
    )


def test_rolloff_is_a_butterworth_low_pass(monkeypatch):
    recorder = Recorder(camera.photograph)
    monkeypatch.setattr(camera, "photograph", recorder)
    rng, subject = drawn(2)
    picture = generators.sim_rolloff(rng, subject, SEED)
    before = np.fft.fft2(recorder.results[-1][..., 1] / 255)
    ratio = np.abs(np.fft.fft2(picture[..., 1])) / np.abs(before)
    strong = np.abs(before) > 1e-2
    np.testing.assert_allclose(
        ratio[strong], (1 / np.sqrt(1 + (FREQUENCY / 0.3) ** 4))[strong], atol=0.01
    )


def test_rolloff_power_falls_faster_than_a_photographs():
    def ratio(name: str) -> float:
        return band(pictures(name), 0.42, 0.5) / band(pictures(name), 0.1, 0.2)

    assert ratio("sim_rolloff") < 0.4 * ratio("photograph")
