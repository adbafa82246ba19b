"""Each generator shows the artefact that it documents, and a photograph does not."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.simulation import generators, scene
from tests.simulation.some_pictures import COUNT, SEED, drawn, noise_level, pictures

AXIS = np.fft.fftfreq(scene.SIDE)
FREQUENCY = np.hypot(AXIS[:, None], AXIS[None, :])


def power(stack: np.ndarray) -> np.ndarray:
    """Mean power spectrum of the green channel, (SIDE, SIDE)."""
    green = stack[..., 1] - stack[..., 1].mean(axis=(1, 2), keepdims=True)
    return (np.abs(np.fft.fft2(green)) ** 2).mean(axis=0)


def patches(stack: np.ndarray, side: int) -> np.ndarray:
    """Non-overlapping patches (n, side * side, 3)."""
    count = scene.SIDE // side
    split = stack.reshape(-1, count, side, count, side, 3).swapaxes(2, 3)
    return split.reshape(-1, side * side, 3)


# --- what all have in common


@pytest.mark.parametrize("name", generators.GENERATORS)
def test_pictures_are_functions_of_their_key_close_to_the_scene_and_name_their_source(name):
    generator, stack = generators.GENERATORS[name], pictures(name)
    assert any(f"{year}" in (generator.__doc__ or "") for year in range(1990, 2026))
    assert stack.shape == (COUNT, scene.SIDE, scene.SIDE, 3) and np.isfinite(stack).all()
    np.testing.assert_array_equal(generator(*drawn(3), SEED), stack[3])
    if name != "sim_asymmetric":  # the generator whose scene differs
        blurred = [ndimage.gaussian_filter(s, (0, 2, 2, 0)) for s in (stack, pictures("clean"))]
        assert np.abs(blurred[0] - blurred[1]).mean() < 0.04


def test_photographs_have_a_sensors_noise_and_clean_pictures_have_not():
    # The texture of clean pictures is no noise.
    assert noise_level(pictures("photograph")) > 2 * noise_level(pictures("clean"))


# --- one artefact each


def test_upsampling_leaves_a_checkerboard():
    def nyquist(name: str) -> float:
        spectrum, half = power(pictures(name)), scene.SIDE // 2
        return float(spectrum[half, half] + spectrum[half, 0] + spectrum[0, half])

    assert nyquist("sim_upsampling") > 20 * nyquist("photograph")
    assert nyquist("sim_upsampling") > 100 * nyquist("clean")


def test_upsampling_has_one_kernel_for_the_whole_generator(monkeypatch):
    flat = np.full((scene.SIDE, scene.SIDE, 3), 0.5, np.float32)
    monkeypatch.setattr(generators, "clean", lambda *_: flat)
    first, other, of_another_seed = (
        generators.sim_upsampling(*drawn(number), seed) for number, seed in ((0, 1), (5, 1), (0, 2))
    )
    np.testing.assert_array_equal(first, other)
    assert np.abs(first - of_another_seed).max() > 1e-3
    inner = first[8:-8, 8:-8]
    for dy, dx in np.ndindex(2, 2):  # a pattern of period 2: each of the four phases is one level
        assert inner[dy::2, dx::2].std(axis=(0, 1)).max() < 1e-4
    assert inner.std(axis=(0, 1)).min() > 1e-3 and inner.mean() == pytest.approx(0.5, abs=1e-3)


def test_vector_quantised_patches_come_from_a_codebook_of_512_details():
    def distinct(name: str) -> int:
        flat = patches(pictures(name), 4)
        detail = (flat - flat.mean(axis=1, keepdims=True)).reshape(len(flat), -1)
        return len(np.unique(np.round(detail @ np.random.default_rng(1).normal(size=48), 4)))

    assert distinct("sim_vector_quantised") <= 1024  # a code may round to both sides
    assert distinct("clean") > 4000


def test_vector_quantised_codes_are_the_nearest():
    coded, clean = (patches(pictures(name), 4) for name in ("sim_vector_quantised", "clean"))
    error = ((coded - clean) ** 2).sum(axis=(1, 2))
    some = np.random.default_rng(1).integers(0, len(coded), 300)
    for other in some[:40]:  # no other patch would be closer, but for the two levels' interplay
        with_other = ((coded[other] - clean[some]) ** 2).sum(axis=(1, 2))
        assert np.mean(with_other < error[some] * 0.98 - 1e-6) < 0.02


def test_latent_patches_span_16_dimensions(monkeypatch):
    """Pictures that repeat every 4 pixels look alike in all four grids, so that the average is one
    decoding.
    """
    decoded = []
    for tile in np.random.default_rng(1).uniform(0, 1, (60, 4, 4, 3)).astype(np.float32):
        monkeypatch.setattr(generators, "clean", lambda *_, tile=tile: np.tile(tile, (32, 32, 1)))
        decoded.append(generators.sim_latent(*drawn(0), SEED)[:8, :8].reshape(-1))
    centred = np.array(decoded, np.float64) - np.mean(decoded, axis=0, dtype=np.float64)
    values = np.linalg.svd(centred, compute_uv=False)
    assert values[16] < 1e-4 * values[0]


def test_denoised_pictures_lack_noise_and_keep_edges():
    clean, smooth = pictures("clean"), pictures("sim_denoised")
    assert noise_level(smooth) < 0.6 * noise_level(pictures("photograph"))
    assert noise_level(smooth) < 0.01, "a tenth of the noise that was put in"
    # A plain blur of that strength would lose the steps of the clean picture.
    steps = np.diff(clean, axis=2)
    strong = np.abs(steps) > 0.2
    assert np.median(np.diff(smooth, axis=2)[strong] / steps[strong]) > 0.5


def test_asymmetric_eyes_differ_and_noise_is_alike_in_all_channels_and_brightnesses(monkeypatch):
    seen, cleans, noise = [], [], []
    render, clean = generators.render, generators.clean

    def recorded_render(*arguments):
        seen.append(arguments)
        return render(*arguments)

    def recorded_clean(*arguments):
        cleans.append(clean(*arguments))
        return cleans[-1]

    monkeypatch.setattr(generators, "render", recorded_render)
    monkeypatch.setattr(generators, "clean", recorded_clean)
    for number in range(4):
        noise.append(generators.sim_asymmetric(*drawn(number), SEED) - cleans[-1])
        _, subject, eyes = seen[-1]
        np.testing.assert_array_equal(eyes.iris[0], subject.person.iris)
        assert np.abs(eyes.iris[0] - eyes.iris[1]).max() > 0.001
        for first, second in (eyes.gaze, eyes.catchlight, eyes.size):
            assert first != second
    added, light = np.array(noise), np.array(cleans).mean(axis=-1)
    np.testing.assert_allclose(added[..., 0], added[..., 2], atol=1e-6)
    bright = light > np.median(light)
    for where in (bright, ~bright):
        assert added[where, 1].std() == pytest.approx(0.012, rel=0.05)


def test_rolloff_is_a_butterworth_low_pass_of_a_photograph():
    before, after = (
        np.abs(np.fft.fft2(pictures(name)[..., 1])) for name in ("photograph", "sim_rolloff")
    )
    expected = np.broadcast_to(1 / np.sqrt(1 + (FREQUENCY / 0.3) ** 4), before.shape)
    strong = before > 1e-2
    np.testing.assert_allclose((after / before)[strong], expected[strong], atol=0.01)
