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
from scipy.special import j1

from pipeline.simulation.scene import FACE_HEIGHT_M, MARGIN, PIXELS_PER_UNIT, RASTER, SIDE, Layers
from pipeline.simulation.shots import Shot

FULL_WELL = 3500.0  # electrons at ISO 100: a phone camera's pixel of about 1.4 micrometres
READ_NOISE = 5.0  # electrons
SHAKE_RAD_PER_S = 0.015
WAVELENGTH_MM = 0.00055
# Frequencies of the raster in cycles per pixel. Rows past the middle mirror those before it.
_FY = np.fft.fftfreq(RASTER)[:, None].astype(np.float32)
_FX = np.fft.rfftfreq(RASTER)[None, :].astype(np.float32)
_SQUARE = (_FX * _FX + _FY * _FY)[: RASTER // 2 + 1]
_MIRRORED = np.minimum(np.arange(RASTER), RASTER - np.arange(RASTER))
_LEVELS = np.arange(4096) / 4095
_CURVE = 1.055 * np.maximum(_LEVELS, 1e-9) ** (1 / 2.4) - 0.055
_SRGB = np.round(255 * np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, _CURVE)).astype(np.uint8)


def photograph(rng: np.random.Generator, layers: Layers, shot: Shot) -> np.ndarray:
    """The camera's picture, uint8 (SIDE, SIDE, 3), before JPEG."""
    return develop(expose(rng, optics(layers, shot), shot))


def optics(layers: Layers, shot: Shot) -> np.ndarray:
    """Light on the sensor, linear (3, SIDE, SIDE): both layers blurred, composed, vignetted."""
    focus = shot.distance_m + shot.focus_error_m
    far = blur_disc_px(shot, focus, shot.distance_m + shot.background_m)
    near = blur_disc_px(shot, focus, shot.distance_m)
    background = _filter(layers.background, _transfer(shot, far, subject=False))
    subject = _filter(layers.subject, _transfer(shot, near, subject=True))
    light = background * (1 - subject[3])
    light += subject[:3]
    return np.maximum(0, light, out=light) * _vignetting(shot)


def blur_disc_px(shot: Shot, focus_m: float, distance_m: float) -> float:
    """Diameter in pixels of the blur disc of a point at a distance (thin lens)."""
    f, s, d = shot.focal_length_mm, focus_m * 1000, distance_m * 1000
    return f * f / shot.f_number * abs(d - s) / (d * (s - f)) / shot.pixel_pitch_mm


def motion_px(shot: Shot, *, subject: bool) -> tuple[float, float]:
    """Length of the motion line in pixels (x, y): hand shake, plus the subject's own motion."""
    scale = SHAKE_RAD_PER_S * shot.exposure_time_s * shot.focal_length_mm / shot.pixel_pitch_mm
    own = shot.exposure_time_s / FACE_HEIGHT_M * 2 * PIXELS_PER_UNIT if subject else 0.0
    (shake_x, shake_y), (speed_x, speed_y) = shot.shake, shot.subject_speed
    return scale * shake_x + own * speed_x, scale * shake_y + own * speed_y


def _transfer(shot: Shot, disc_px: float, *, subject: bool) -> np.ndarray:
    """Transfer function (R, R/2+1): uniform disc 2 J1(pi D f) / (pi D f), diffraction and pixel
    Gaussian, motion sinc.
    """
    sigma = np.hypot(0.5, 0.45 * WAVELENGTH_MM * shot.f_number / shot.pixel_pitch_mm)
    gauss = np.exp(np.float32(-2 * np.pi**2 * sigma**2) * _SQUARE)
    argument = np.maximum(1e-4, np.float32(np.pi * min(disc_px, 24.0)) * np.sqrt(_SQUARE))
    dx, dy = motion_px(shot, subject=subject)
    return (gauss * (2 * j1(argument) / argument))[_MIRRORED] * np.sinc(_FX * dx + _FY * dy)


def _filter(planes: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Planes (c, R, R) through a transfer function, as those of the picture (c, SIDE, SIDE)."""
    spectrum = fft.rfft2(planes)
    spectrum *= transfer
    filtered = fft.irfft2(spectrum, s=(RASTER, RASTER), overwrite_x=True)
    return filtered[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def _vignetting(shot: Shot) -> np.ndarray:
    """Relative light (SIDE, SIDE): cos^4 falloff, and up to 0.8 stops more in the corners of a
    wide-open lens.
    """
    scale = 2 * shot.pixel_pitch_mm / 43.3  # picture elements to half diagonals of the frame
    axis = (np.arange(SIDE, dtype=np.float32) - SIDE / 2) * scale
    x, y = axis[None, :] + 0.8 * shot.field[0], axis[:, None] + 0.55 * shot.field[1]
    square = x**2 + y**2
    natural = (1 + square * (21.65 / shot.focal_length_mm) ** 2) ** -2
    mechanical = 0.8 * min(2.8 / shot.f_number, 1.5) ** 2
    return natural * np.exp2(-mechanical * square)


def expose(rng: np.random.Generator, light: np.ndarray, shot: Shot) -> np.ndarray:
    """Raw Bayer values (SIDE, SIDE) in 0..1 of the clipping level, of light (3, SIDE, SIDE):
    photons are counted, then read with noise.
    """
    raw = light[1].copy()  # RGGB
    raw[0::2, 0::2], raw[1::2, 1::2] = light[0, 0::2, 0::2], light[2, 1::2, 1::2]
    raw *= 0.9 * 2**shot.exposure_error_stops
    well = FULL_WELL * 100 / shot.iso
    electrons = np.minimum(raw, 4) * well
    # At these counts a Poisson variable is a Gaussian of the same variance; read noise adds to it.
    noise = rng.standard_normal(electrons.shape, dtype=np.float32)
    return np.clip((electrons + np.sqrt(electrons + READ_NOISE**2) * noise) / well, 0, 1)


def develop(raw: np.ndarray) -> np.ndarray:
    """Bilinear demosaicing of an RGGB mosaic, sRGB curve, uint8 (SIDE, SIDE, 3)."""
    p = np.pad(raw, 1, mode="reflect")
    cross = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
    corner = (p[:-2, :-2] + p[:-2, 2:] + p[2:, :-2] + p[2:, 2:]) / 4
    beside, above = (p[1:-1, :-2] + p[1:-1, 2:]) / 2, (p[:-2, 1:-1] + p[2:, 1:-1]) / 2
    planes = np.stack([corner, raw, corner])
    red, green, blue = planes
    green[0::2, 0::2], green[1::2, 1::2] = cross[0::2, 0::2], cross[1::2, 1::2]
    for plane, row in ((red, 0), (blue, 1)):
        column, other = row, 1 - row
        plane[row::2, column::2] = raw[row::2, column::2]
        plane[row::2, other::2] = beside[row::2, other::2]
        plane[other::2, column::2] = above[other::2, column::2]
    return channels_last(encode_srgb(planes))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to uint8 sRGB (IEC 61966-2-1), by a table of 4096 levels."""
    return _SRGB[np.clip(linear * 4095 + 0.5, 0, 4095).astype(np.uint16)]


def channels_last(planes: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) from its planes (3, h, w)."""
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """The picture after JPEG compression with 4:2:0 chroma, as cameras and services store it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
