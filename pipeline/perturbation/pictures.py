"""What happens to pictures on their way through the world: compression, resizing, cropping, blur
and noise.

Pictures are uint8 (height, width, 3), RGB, and stay so. Each function is pure, gives the same bytes
wherever it runs, and may run in several threads at once. Which names params.yaml may give them:
`perturbation_names`."""

import io
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.base.perturbation_names import parse
from pipeline.common import randomness

Picture = NDArray[np.uint8]  # (height, width, 3)
Kernel = Literal["bilinear", "bicubic", "lanczos"]

SECOND_QUALITY = 90  # of double_jpeg's second compression
CHROMA = "4:2:0"  # of every JPEG that is written here, the usual one of cameras and web sites


def jpeg(picture: Picture, quality: float) -> Picture:
    """Compressed by libjpeg at a quality 1..100 with halved chroma, and read again."""
    return np.array(_as_jpeg(Image.fromarray(picture), int(quality)))


def double_jpeg(picture: Picture, quality: float) -> Picture:
    """Compressed at `quality`, and once more at SECOND_QUALITY on the same grid of blocks, as if a
    saved JPEG was uploaded.
    """
    return np.array(_as_jpeg(_as_jpeg(Image.fromarray(picture), int(quality)), SECOND_QUALITY))


def webp(picture: Picture, quality: float) -> Picture:
    """Compressed by libwebp, lossy, at a quality 1..100, by its quickest method: others only make
    files smaller.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=int(quality), method=0)
    return np.array(_opened(buffer, "WEBP"))


def resize(picture: Picture, share: float) -> Picture:
    """Each side resized to `share` of itself, at least one pixel, and back, both by PIL's bicubic
    kernel with antialiasing.
    """
    height, width = picture.shape[:2]
    whole = Image.fromarray(picture)
    small = whole.resize((_scaled(width, share), _scaled(height, share)), Image.Resampling.BICUBIC)
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def crop(picture: Picture, share: float) -> Picture:
    """The middle `share` of each side, at least one pixel: the one perturbation that changes the
    shape.

    The encoder's own resize enlarges it, as it does with any picture.
    """
    height, width = (_scaled(side, share) for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width].copy()


def blur(picture: Picture, sigma: float) -> Picture:
    """Blurred by a Gaussian of `sigma` pixels, cut off at four sigma; the last pixel of each edge
    goes on beyond it.
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(
        picture.astype(np.float32), (sigma, sigma, 0), mode="nearest", truncate=4.0
    )
    return _rounded(smooth)


def noise(picture: Picture, sigma: float, *, random: np.random.Generator) -> Picture:
    """Gaussian noise of `sigma` grey levels added, independent in each pixel and channel, then
    rounded and clipped.
    """
    return _rounded(
        random.standard_normal(picture.shape, dtype=np.float32) * np.float32(sigma) + picture
    )


FUNCTIONS: dict[str, Callable[[Picture, float], Picture]] = {
    "jpeg": jpeg,
    "double_jpeg": double_jpeg,
    "webp": webp,
    "resize": resize,
    "crop": crop,
    "blur": blur,
}


def perturb(name: str, seed: int) -> Callable[[Picture, str], Picture]:
    """What a perturbation of params.yaml does to a picture, given the picture's name for messages
    and as key of its noise.

    Noise of all strengths is the same but for its size. Raises ValueError for an unknown name; a
    picture larger than the format can hold is a PipelineError."""
    kind, strength = parse(name)

    def change(picture: Picture, picture_name: str) -> Picture:
        try:
            if kind == "noise":
                random = randomness.generator(seed, "perturbation", picture_name)
                return noise(picture, strength, random=random)
            return FUNCTIONS[kind](picture, strength)
        except (OSError, ValueError) as error:  # libjpeg's and libwebp's, for too long a side
            height, width = picture.shape[:2]
            raise PipelineError(
                f"{picture_name}: {name} cannot be applied to {width} x {height} pixels ({error}): "
                "leave out the picture, or the perturbation (perturbations in params.yaml)"
            ) from error

    return change


def harmonise(
    picture: Picture, side: int, kernel: Kernel, jpeg_quality: int
) -> tuple[Picture, bytes]:
    """The whole picture at side x side pixels by one of PIL's kernels, as a JPEG of one quality:
    what it shows, and its file.

    What two classes still differ in after that is not their format (Grommelt et al. 2024, "Fake or
    JPEG?", arXiv 2403.17608)."""
    square = Image.fromarray(picture).resize((side, side), Image.Resampling[kernel.upper()])
    file = _jpeg_file(square, jpeg_quality)
    return np.array(_opened(file, "JPEG")), file.getvalue()


def _jpeg_file(image: Any, quality: int) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=CHROMA)
    return buffer


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    return _opened(_jpeg_file(image, quality), "JPEG")


def _opened(file: io.BytesIO, form: str) -> Image.Image:
    return Image.open(file, formats=(form,))  # the others would be tried first


def _scaled(pixels: int, share: float) -> int:
    return max(1, round(pixels * share))


def _rounded(values: NDArray[np.float32]) -> Picture:
    return np.rint(values).clip(0, 255).astype(np.uint8)
