"""Simulated generators: each one carries one artefact that the literature documents for a real
family.

A generator has seen portraits of the target domain and imitates their scenes, framing and depth of
field. The six here have no sensor: what stands for their noise is what their family makes of noise;
two more (`impossible_scenes`) have a camera's noise and differ in light and colour. The strengths
are those of the sources (or the simplest reading of them), not tuned until the detector looks good;
vector quantisation alone was rewritten after its score was known, and the score hardly moved. All
pictures leave as JPEG of the same qualities as the photographs, so that the file format tells
nothing."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from scipy import fft, ndimage

from pipeline.common import randomness
from pipeline.simulation import camera, head, impossible_scenes, parts, scene, shots
from pipeline.simulation.parts import Subject

Picture = np.ndarray  # float32 (SIDE, SIDE, 3), display-referred, 0 to 1


def portrait_subject(rng: np.random.Generator) -> Subject:
    """A portrait of the target domain: one kind of light, and the tags of a portrait session."""
    shot = shots.draw_portrait_shot(rng)
    person, pose = scene.draw_person(rng), scene.draw_pose(rng)
    return Subject(person, pose, scene.draw_light(rng, rng.normal(11, 0.5)), shot)


def render(
    rng: np.random.Generator, subject: Subject, eyes: parts.Eyes | None = None
) -> scene.Layers:
    """The scene's light in front of the lens."""
    background = scene.draw_background(rng, subject.light)
    return scene.Layers(background, head.draw_subject(rng, subject, eyes))


def clean(layers: scene.Layers, shot: shots.Shot) -> Picture:
    """What a generator aims at: the optical image without sensor."""
    linear = camera.optics(layers, shot) * np.float32(0.9 * 2**shot.exposure_error_stops)
    return camera.channels_last(camera.encode_srgb(linear)).astype(np.float32) / 255


def sim_upsampling(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Checkerboard of transposed convolutions: kernel 3, stride 2 overlaps unevenly (Odena et al.,
    Distill 2016).

    The last upsampling layer of a convolutional generator: features at half resolution, zero
    insertion, a learnt 3 x 3 kernel. The kernel is bilinear interpolation with weights off by 10 %,
    once for the whole generator."""
    picture = clean(render(rng, subject), subject.shot)
    half = ndimage.zoom(picture, (0.5, 0.5, 1), order=1, grid_mode=True, mode="nearest")
    inserted = np.zeros_like(picture)
    inserted[::2, ::2] = half
    wrong = randomness.generator(seed, "sim_upsampling kernel").normal(1, 0.1, (3, 3, 3))
    kernels = (np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]) * wrong).astype(np.float32)
    planes = [
        ndimage.convolve(inserted[..., c], kernel * np.float32(4 / kernel.sum()), mode="mirror")
        for c, kernel in enumerate(kernels)
    ]
    return np.stack(planes, axis=-1)


def sim_vector_quantised(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Patches replaced by the nearest entry of a learnt codebook (van den Oord et al. 2017; VQ-GAN,
    Esser et al. 2021).

    Two levels as in VQ-VAE-2 (Razavi et al. 2019), 512 codes each: the mean colour of a 4 x 4
    patch, and its detail."""
    picture = clean(render(rng, subject), subject.shot)
    patches = _patches(picture, 4)
    means = patches.mean(axis=1)
    detail = (patches - means[:, None]).reshape(len(patches), -1)
    colours, details = _codebooks(seed)
    coded = _nearest(details, detail).reshape(patches.shape) + _nearest(colours, means)[:, None]
    return _unpatch(coded, 4)


def sim_latent(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Decoding from a low-dimensional latent: f = 8 patches kept in 16 of 192 dimensions (LDM,
    Rombach et al. 2022).

    A linear autoencoder (PCA) on 8 x 8 patches learnt from portraits, decoded from four overlapping
    grids and averaged, as a convolutional decoder smooths its seams; what the latent cannot hold is
    missing."""
    picture = clean(render(rng, subject), subject.shot)
    mean, basis = _latent(seed)
    total = np.zeros_like(picture)
    for dy, dx in ((0, 0), (0, 4), (4, 0), (4, 4)):
        shifted = np.roll(picture, (-dy, -dx), axis=(0, 1))
        flat = _patches(shifted, 8).reshape(-1, 192) - mean
        decoded = (flat @ basis.T) @ basis + mean
        total += np.roll(_unpatch(decoded.reshape(-1, 64, 3), 8), (dy, dx), axis=(0, 1))
    return total / 4


def sim_denoised(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Over-smooth denoising: a noisy image cleaned until sensor noise and skin texture are gone
    (DDPM, Ho et al. 2020).

    Diffusion samples lack the camera's noise residual and high-frequency energy (Ricker et al.
    2022; Corvi et al. 2023). Noise of 0.1 is removed by 12 steps of edge-preserving diffusion
    (Perona and Malik 1990), the edges found in a smoothed copy so that no speckle survives (Catté
    et al. 1992)."""
    picture = clean(render(rng, subject), subject.shot)
    picture = picture + 0.1 * rng.standard_normal(picture.shape, dtype=np.float32)
    for _ in range(12):
        smooth = ndimage.gaussian_filter(picture, (1, 1, 0), truncate=3)
        for axis in (0, 1):
            pixels, edges = (
                np.moveaxis(picture, axis, 0),
                np.diff(np.moveaxis(smooth, axis, 0), axis=0),
            )
            flow = np.diff(pixels, axis=0) * np.exp(-((edges / 0.05) ** 2)) * 0.22
            pixels[:-1] += flow
            pixels[1:] -= flow
    return picture


def sim_asymmetric(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Inconsistent eyes: iris colour, gaze, size and catchlight differ (Matern et al. 2019; Hu et
    al. 2021).

    As StyleGAN does, the generator adds the same Gaussian noise to every pixel and channel alike,
    whatever its brightness (Karras et al. 2019): no photon statistics, no mosaic."""
    other = scene.draw_person(rng)
    light = (rng.uniform(-0.45, 0.45), rng.uniform(-0.35, 0.1))
    eyes = parts.natural_eyes(subject.person, subject.pose, subject.light)
    eyes = replace(
        eyes,
        iris=(eyes.iris[0], other.iris),
        gaze=(eyes.gaze[0], (rng.normal(0, 0.22), rng.normal(0, 0.1))),
        catchlight=(eyes.catchlight[0], light),
        size=(eyes.size[0], eyes.size[0] * rng.uniform(0.85, 1.15)),
    )
    picture = clean(render(rng, subject, eyes), subject.shot)
    noise = rng.standard_normal(picture.shape[:2], dtype=np.float32)
    return picture + 0.012 * noise[..., None]


def sim_rolloff(rng: np.random.Generator, subject: Subject, seed: int) -> Picture:
    """Spectral roll-off: power decays too fast towards the highest frequencies (Durall et al. 2020;
    Dzanic et al. 2020).

    The generator has learnt the photographs' noise as well, and both pass a Butterworth low-pass
    of order 2 at 0.3 cycles per pixel.
    """
    picture = camera.photograph(rng, render(rng, subject), subject.shot).astype(np.float32) / 255
    fy, fx = np.fft.fftfreq(scene.SIDE)[:, None], np.fft.rfftfreq(scene.SIDE)[None, :]
    transfer = (1 / np.sqrt(1 + ((fy**2 + fx**2) / 0.3**2) ** 2)).astype(np.float32)
    spectrum = fft.rfft2(picture, axes=(0, 1)) * transfer[..., None]
    return fft.irfft2(spectrum, s=picture.shape[:2], axes=(0, 1))


_ALL = (
    sim_upsampling,
    sim_vector_quantised,
    sim_latent,
    sim_denoised,
    sim_asymmetric,
    sim_rolloff,
    impossible_scenes.sim_illumination,
    impossible_scenes.sim_gamut,
)
GENERATORS: dict[str, Callable[[np.random.Generator, Subject, int], Picture]] = {
    generator.__name__: generator for generator in _ALL
}


def _patches(picture: Picture, side: int) -> np.ndarray:
    """Non-overlapping patches (n, side * side, 3)."""
    count = scene.SIDE // side
    return picture.reshape(count, side, count, side, 3).swapaxes(1, 2).reshape(-1, side * side, 3)


def _unpatch(patches: np.ndarray, side: int) -> Picture:
    count = scene.SIDE // side
    rows = patches.reshape(count, count, side, side, 3).swapaxes(1, 2)
    return rows.reshape(scene.SIDE, scene.SIDE, 3)


def _training_patches(seed: int, purpose: str, side: int, portraits: int) -> np.ndarray:
    pictures = []
    for number in range(portraits):
        rng = randomness.generator(seed, purpose, number)
        subject = portrait_subject(rng)
        pictures.append(_patches(clean(render(rng, subject), subject.shot), side))
    return np.concatenate(pictures)


@cache
def _codebooks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours (512, 3) and details (512, 48) of patches of portraits in no face set."""
    from sklearn.cluster import MiniBatchKMeans

    patches = _training_patches(seed, "sim_vector_quantised portraits", 4, 40)
    means = patches.mean(axis=1)
    state = randomness.key(seed, "sim_vector_quantised codes") % 2**32
    books = [
        MiniBatchKMeans(512, random_state=state, n_init=1, max_iter=10, batch_size=4096)
        .fit(vectors)
        .cluster_centers_
        for vectors in (means, (patches - means[:, None]).reshape(len(patches), -1))
    ]
    return books[0].astype(np.float32), books[1].astype(np.float32)


def _nearest(codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The code nearest to each vector, (n, d), in Euclidean distance."""
    return codes[((codes**2).sum(1) - 2 * vectors @ codes.T).argmin(axis=1)]


@cache
def _latent(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (192,) and principal directions (16, 192) of patches of portraits in no face set."""
    patches = _training_patches(seed, "sim_latent portraits", 8, 60)
    flat = patches.reshape(-1, 192).astype(np.float64)
    mean = flat.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(flat - mean, rowvar=False))
    return mean.astype(np.float32), np.ascontiguousarray(vectors[:, -16:].T).astype(np.float32)
