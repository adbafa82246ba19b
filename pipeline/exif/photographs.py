"""One's own photographs, files with EXIF inside in any tree of folders, as records of faces."""

import functools
import hashlib
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base import processes, terminal
from pipeline.base.errors import PipelineError
from pipeline.common import heif
from pipeline.common.pictures import (
    FORMATS,
    PICTURE_SUFFIXES,
    UnreadablePicture,
    open_image,
    read_picture_file,
)
from pipeline.common.tally import Tally
from pipeline.exif import embedded, faces, tags
from pipeline.exif.origin import check_origin, photographer_of
from pipeline.exif.records import Face
from pipeline.exif.tags import Rejection, Wanted
from pipeline.face_detection import framing
from pipeline.face_detection.detectors import INSTALL
from pipeline.face_detection.face import LANDMARKS
from pipeline.face_detection.face import Face as Found

if TYPE_CHECKING:
    from PIL import Image

FOLDER = Path("SSL_training_data/photographs")  # below data.root
SUFFIXES = PICTURE_SUFFIXES | {".tif", ".tiff", ".heic", ".heif", ".hif"}
NOT_SEEN = ".@#$~"  # programs keep previews, copies and what was deleted under such names
PHOTOGRAPHS_PER_JOB = 8
# FDF's seven points without its ears and shoulders: the manipulations need no other
_POINTS = [LANDMARKS.index(name) for name in faces.POINTS]
_UNKNOWN = (math.nan,) * 8


class Settings(NamedTuple):
    """How photographs are read; the last four as in section exif of params.yaml."""

    folder: Path
    wanted: Wanted
    reject: list[str]
    photographer_pattern: str
    face_detector: str


class Photograph(NamedTuple):
    """The k faces of a photograph that can be used."""

    name: str
    digest: bytes  # SHA-256 of the faces' pixels
    faces: list[Face]
    tags: dict[str, float]  # by name; NaN where there is none
    lacking: Sequence[Rejection]  # why
    pixels: list[NDArray[np.uint8]]  # k of (framing.SIDE, framing.SIDE, 3)


def read_all(settings: Settings, reasons: Tally) -> Iterator[Photograph]:
    """All photographs below the folder, in the order of their paths, each once.

    What cannot be used is counted in `reasons`: a file, or a face of one. PipelineError where there
    is no file, or no such detector."""
    # At once, so that they say what is not installed, or no tag, before any work
    embedded.numbers_of(settings.wanted)
    _, named = faces.finder(settings.face_detector, settings.folder.parent)
    names, seen = list_files(settings.folder, reasons), dict[bytes, str]()
    for name in sorted(named.difference(names)):
        reasons.add("photograph_missing", name, f"{settings.face_detector} names it")
    jobs = (names[i : i + PHOTOGRAPHS_PER_JOB] for i in range(0, len(names), PHOTOGRAPHS_PER_JOB))
    work = functools.partial(read_some, settings=settings)
    with terminal.progress((), total=len(names), what="photographs", unit="file") as bar:
        for done, (photographs, rejected) in enumerate(
            processes.parallel(work, jobs, processes.workers()), start=1
        ):
            reasons.join(rejected)
            for photograph in photographs:
                first = seen.setdefault(photograph.digest, photograph.name)
                if first == photograph.name:
                    yield photograph
                else:
                    reasons.add("photograph_twice", photograph.name, f"the same faces as {first}")
            bar.update(min(len(names), done * PHOTOGRAPHS_PER_JOB) - bar.n)


def list_files(folder: Path, reasons: Tally) -> list[str]:
    """Paths relative to the folder, sorted, of all files below it that end like a picture's.

    The others are counted, linked folders and those that cannot be read once: nothing leads out of
    the folder. PipelineError where no file is left."""
    if not folder.is_dir():
        raise PipelineError(
            f"{folder}: no such folder; put photographs there, or set exif.source in params.yaml "
            "to fdf"
        )
    closed, found = list[OSError](), list[str]()
    for parent, folders, files in os.walk(folder, onerror=closed.append):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted(files + links):
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder)
            if reason := _why_not(path, relative):
                reasons.add(reason, relative)
            else:
                found.append(relative)
    for error in closed:
        reasons.add("unreadable_folder", str(error.filename), str(error.strerror))
    if not found:
        raise PipelineError(
            f"{folder}: no photograph; there must be files that end in "
            f"{', '.join(sorted(SUFFIXES))} (passed over: {reasons.counts or 'nothing'})"
        )
    return sorted(found)


def _why_not(path: str, relative: str) -> str:
    if any(part[0] in NOT_SEEN for part in Path(relative).parts):
        return "hidden"
    if os.path.islink(path):
        return "link"
    if os.path.splitext(path)[1].lower() not in SUFFIXES:
        return "other_extension"
    return "name_not_utf_8" if any("\udc80" <= letter <= "\udcff" for letter in relative) else ""


def read_some(names: list[str], settings: Settings) -> tuple[list[Photograph], Tally]:
    """Those of some files that have a face to use, and why others have none."""
    photographs, reasons = list[Photograph](), Tally()
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it says there has a reason here
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # likewise
                photograph = read(name, settings, reasons)
        except Rejection as rejection:
            reasons.add(rejection.reason, name, rejection.cause)
            continue
        if photograph.faces:
            photographs.append(photograph)
    return photographs, reasons


def read(name: str, settings: Settings, reasons: Tally) -> Photograph:
    """One photograph; its faces that are too small are counted in `reasons`. Rejection where the
    photograph cannot be used.
    """
    data, image, transparent = read_picture(settings.folder / name, formats_of)
    width, height = image.size
    check_origin(data, (width, height), settings.reject)
    values, lacking = tags.parse_tags(embedded.read_exif(data, settings.wanted), settings.wanted)
    photographer = photographer_of(name, data, settings.photographer_pattern)
    if transparent:
        raise Rejection("picture_transparent")
    all_found = _finder(settings.face_detector, settings.folder.parent)(name, image)
    if not all_found:
        raise Rejection("no_face")
    kept, pixels = list[Face](), list[NDArray[np.uint8]]()
    for k, found in enumerate(all_found):
        face_id, square = f"{name}#{k}", framing.frame(found.box, width, height)
        if reason := _why_no_face(found, square, width, height):
            reasons.add(reason, face_id, f"{square[2] - square[0]} px with its surroundings")
            continue
        pixels.append(framing.shrink(np.array(image.crop(square))))
        kept.append(Face(face_id, name, photographer, *_places(found, square)))
    digest = hashlib.sha256(b"".join(face.tobytes() for face in pixels)).digest()
    return Photograph(name, digest, kept, values, lacking, pixels)


def _why_no_face(found: Found, square: tuple[int, ...], width: int, height: int) -> str:
    x0, y0, x1, y1 = found.box
    if not (0 < x0 + x1 < 2 * width and 0 < y0 + y1 < 2 * height):
        return "box_outside_picture"
    return "face_too_small" if square[2] - square[0] < framing.SIDE else ""


def _places(found: Found, square: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Box and landmarks as shares of the square's side."""
    x0, y0, x1, _ = square
    points = [found.box[:2], found.box[2:], *(found.landmarks[i] for i in _POINTS)]
    shares = [share for x, y in points for share in ((x - x0) / (x1 - x0), (y - y0) / (x1 - x0))]
    return tuple(shares[:4]), (*shares[4:], *_UNKNOWN)


def read_picture(
    path: Path, formats: Callable[[bytes], tuple[str, ...]] = lambda _: FORMATS
) -> tuple[bytes, "Image.Image", bool]:
    """A picture's file, what it shows in RGB, and whether some of that is transparent; `formats`
    gives those of a file's bytes that are read.

    Raises Rejection where it cannot be read."""
    try:
        data = read_picture_file(path)
        return data, *open_image(data, path, formats(data))
    except UnreadablePicture as error:
        reason = f"picture_{error.reason.removesuffix('_picture')}"
        raise Rejection(reason, error.cause) from None


def formats_of(data: bytes) -> tuple[str, ...]:
    """The formats of photographs, as PIL names them. Raises Rejection where HEIC needs a package
    that is not installed.
    """
    if not heif.is_heif(data):
        return (*FORMATS, "TIFF")
    try:
        import pillow_heif
    except ImportError:
        raise Rejection("picture_heic", f"pillow-heif is not installed; {INSTALL}") from None
    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


@functools.cache
def _finder(name: str, folder: Path) -> faces.Find:
    """One for each worker process."""
    return faces.finder(name, folder)[0]
