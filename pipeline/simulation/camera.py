"""A physical camera: what the four EXIF tags do to a picture.

Thin lens, full-frame sensor (36 x 24 mm). Every effect follows from the tags and the distances:

- perspective: depth of the face over its distance, which follows from focal length and framing;
- defocus: blur disc f^2 |d - s| / (N d (s - f)) of a point at d, lens focused at s (thin-lens
equation);
- diffraction: Airy pattern, Gaussian of sigma 0.45 lambda N (Goodman, Introduction to Fourier
Optics);
- motion blur: a line as long as hand shake (angular rate x time x focal length) and the subject's
own motion;
- vignetting: cos^4 of the field angle, and the optical vignetting of a wide-open lens;
- sensor: Poisson photon noise and Gaussian read noise on a Bayer mosaic (RGGB), gains from ISO,
clipping;
- processing: bilinear demosaicing, white balance, the sRGB curve, JPEG.
"""

import io

import numpy as np
from scipy import fft

from pipeline.simulation.scene import FACE_HEIGHT_M, MARGIN, PIXELS_PER_UNIT, RASTER, SIDE, Layers
from pipeline.simulation.shots import Shot

FULL_WELL = 3500.0  # electrons at ISO 100: a phone camera's pixel of about 1.4 micrometres
READ_NOISE = 5.0  # electrons
SHAKE_RAD_PER_S = 0.015
WAVELENGTH_MM = 0.00055


def photograph(rng: np.random.Generator, layers: Layers, shot: Shot) -> np.ndarray:
    """The camera's picture, uint8 (SIDE, SIDE, 3), before JPEG."""
    return develop(expose(rng, optics(layers, shot), shot))


def optics(layers: Layers, shot: Shot) -> np.ndarray:
    """Light on the sensor, linear (SIDE, SIDE, 3): both layers blurred by their own kernel,
    composed, vignetted.
    """
    focus = shot.distance_m + shot.focus_error_m
    far = _transfer(
        shot, blur_disc_px(shot, focus, shot.distance_m + shot.background_m), subject=False
    )
    near = _transfer(shot, blur_disc_px(shot, focus, shot.distance_m), subject=True)
    inner = slice(MARGIN, MARGIN + SIDE)
    background = _filter(layers.background, far)[:, inner, inner]  # (3, SIDE, SIDE)
    subject = _filter(layers.subject, near)[:, inner, inner]  # (4, SIDE, SIDE)
    light = background * (1 - subject[3]) + subject[:3]
    return np.ascontiguousarray((np.maximum(0, light) * _vignetting(shot)).transpose(1, 2, 0))


def blur_disc_px(shot: Shot, focus_m: float, distance_m: float) -> float:
    """Diameter in pixels of the blur disc of a point at a distance, lens focused elsewhere (thin
    lens).
    """
    f, s, d = shot.focal_length_mm, focus_m * 1000, distance_m * 1000
    return f * f / shot.f_number * abs(d - s) / (d * (s - f)) / shot.pixel_pitch_mm


def motion_px(shot: Shot, *, subject: bool) -> tuple[float, float]:
    """Length of the motion line in pixels (x, y): hand shake, plus the subject's own motion."""
    scale = SHAKE_RAD_PER_S * shot.exposure_time_s * shot.focal_length_mm / shot.pixel_pitch_mm
    own = shot.exposure_time_s / FACE_HEIGHT_M * 2 * PIXELS_PER_UNIT if subject else 0.0
    return tuple(
        scale * shake + own * speed
        for shake, speed in zip(shot.shake, shot.subject_speed, strict=True)
    )  # type: ignore[return-value]


def _transfer(shot: Shot, disc_px: float, *, subject: bool) -> np.ndarray:
    """Transfer function (R, R/2+1): disc (Gaussian for tiny ones), diffraction and pixel Gaussian,
    motion sinc.
    """
    fy, fx = (
        np.fft.fftfreq(RASTER)[:, None].astype(np.float32),
        np.fft.rfftfreq(RASTER)[None, :].astype(np.float32),
    )
    sigma = np.hypot(0.5, 0.45 * WAVELENGTH_MM * shot.f_number / shot.pixel_pitch_mm)
    square = fx * fx + fy * fy
    gauss = np.exp(np.float32(-2 * np.pi**2 * sigma**2) * square)
    dx, dy = motion_px(shot, subject=subject)
    return (
        gauss * _disc(np.sqrt(square), disc_px) * np.sinc(fx * np.float32(dx) + fy * np.float32(dy))
    )


def _disc(frequency: np.ndarray, diameter_px: float) -> np.ndarray:
    """Transfer function of a uniform disc, 2 J1(pi D f) / (pi D f)."""
    from scipy.special import j1

    argument = np.maximum(np.float32(1e-4), np.float32(np.pi * min(diameter_px, 24.0)) * frequency)
    return 2 * j1(argument) / argument


def _filter(planes: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Planes (R, R, c) through a transfer function, as (c, R, R): channels first, where transforms
    are fastest.
    """
    spectrum = fft.rfft2(np.ascontiguousarray(planes.transpose(2, 0, 1)), overwrite_x=True)
    spectrum *= transfer
    return fft.irfft2(spectrum, s=(RASTER, RASTER), overwrite_x=True)


def _vignetting(shot: Shot) -> np.ndarray:
    """Relative light (SIDE, SIDE): cos^4 falloff, and up to 0.8 stops more in the corners of a
    wide-open lens.
    """
    scale = 2 * shot.pixel_pitch_mm / 43.3  # picture elements to half diagonals of the frame
    axis = (np.arange(SIDE, dtype=np.float32) - SIDE / 2) * np.float32(scale)
    square = (axis[None, :] + np.float32(0.8 * shot.field[0])) ** 2 + (
        axis[:, None] + np.float32(0.55 * shot.field[1])
    ) ** 2
    natural = (1 + square * np.float32((21.65 / shot.focal_length_mm) ** 2)) ** -2
    mechanical = np.float32(0.8 * np.clip(2.8 / shot.f_number, 0, 1.5) ** 2)
    return natural * np.exp2(-mechanical * square)


def expose(rng: np.random.Generator, light: np.ndarray, shot: Shot) -> np.ndarray:
    """Raw Bayer values (SIDE, SIDE) in 0..1 of the clipping level: photons are counted, then read
    with noise.
    """
    level = 0.9 * 2**shot.exposure_error_stops
    mosaic = _mosaic(light) * np.float32(level)
    well = np.float32(FULL_WELL * 100 / shot.iso)
    electrons = np.minimum(mosaic, 4) * well
    variance = electrons + np.float32(READ_NOISE**2)
    # At these counts a Poisson variable is a Gaussian of the same variance; read noise adds to it.
    noisy = electrons + np.sqrt(variance) * rng.standard_normal(electrons.shape, dtype=np.float32)
    return np.clip(noisy / well, 0, 1)


def _mosaic(light: np.ndarray) -> np.ndarray:
    raw = light[..., 1].copy()
    raw[0::2, 0::2] = light[0::2, 0::2, 0]
    raw[1::2, 1::2] = light[1::2, 1::2, 2]
    return raw


def develop(raw: np.ndarray) -> np.ndarray:
    """Bilinear demosaicing of an RGGB mosaic, sRGB curve, uint8 (SIDE, SIDE, 3)."""
    p = np.pad(raw, 1, mode="reflect")
    cross = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    corner = (p[:-2, :-2] + p[:-2, 2:] + p[2:, :-2] + p[2:, 2:]) / 4
    beside, above = (p[1:-1, :-2] + p[1:-1, 2:]) / 2, (p[:-2, 1:-1] + p[2:, 1:-1]) / 2
    red, green, blue = corner.copy(), raw.copy(), corner.copy()
    green[0::2, 0::2], green[1::2, 1::2] = cross[0::2, 0::2], cross[1::2, 1::2]
    red[0::2, 0::2], red[0::2, 1::2], red[1::2, 0::2] = (
        raw[0::2, 0::2],
        beside[0::2, 1::2],
        above[1::2, 0::2],
    )
    blue[1::2, 1::2], blue[1::2, 0::2], blue[0::2, 1::2] = (
        raw[1::2, 1::2],
        beside[1::2, 0::2],
        above[0::2, 1::2],
    )
    return encode_srgb(np.stack([red, green, blue], axis=-1))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to uint8 sRGB (IEC 61966-2-1), by a table of 4096 levels."""
    return _SRGB[np.clip(linear * 4095 + np.float32(0.5), 0, 4095).astype(np.uint16)]


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """The picture after JPEG compression with 4:2:0 chroma, as cameras and services store it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


_LEVELS = np.arange(4096) / 4095
_SRGB = np.round(
    255
    * np.where(
        _LEVELS <= 0.0031308,
        12.92 * _LEVELS,
        1.055 * np.maximum(_LEVELS, 1e-9) ** (1 / 2.4) - 0.055,
    )
).astype(np.uint8)
