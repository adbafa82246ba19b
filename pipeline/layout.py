"""The authors' data folder as it lies on disk: its paths, its lists of pictures, its pictures.

Everything in it comes from elsewhere and may be broken or hostile: a bad picture has a short reason that can be counted, a bad
list as a whole is a PipelineError, and no name leads out of the folder.
"""

import io
import os
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import PipelineError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
MAXIMUM_PIXELS = 80_000_000  # of one picture, before decoding; below the size at which PIL itself warns of a bomb
MAXIMUM_BYTES = 256 * 2**20  # of one picture file
_READ = 2**16  # bytes at a time; room for the largest file would be reserved and given back for every small one


@dataclass(frozen=True)
class Layout:
    """The paths below `data.root`."""

    root: Path

    @property
    def exif(self) -> Path:
        """Folder of `<photo_id>.json`."""
        return self.root / "SSL_training_data/fdf_ccby2_exif_update_filtered_v2"

    @property
    def metainfo(self) -> Path:
        """JSON object of all faces: author, bounding box, landmarks."""
        return self.root / "SSL_training_data/FDF/data/fdf/fdf_metainfo.json"

    @property
    def images(self) -> Path:
        """Folder of `<face_id>.png`, 128 x 128."""
        return self.root / "SSL_training_data/FDF/data/fdf/images/128"

    @property
    def negatives(self) -> Path:
        """Folder of the authors' ready-made manipulations, `<face_id>_<0..3>.png`."""
        return self.root / "SSL_training_data/FDF/data/face_dataaug_neg"

    @property
    def mapping(self) -> Path:
        """Face id to photo id: .csv or .json where there is one, else the authors' .pkl."""
        stem = self.root / "SSL_training_data/FDF/data/id_vs_fdfName"
        paths = [stem.with_suffix(suffix) for suffix in (".csv", ".json", ".pkl")]
        return next((path for path in paths if path.is_file()), paths[-1])


def read_list(path: Path, root: Path) -> list[str]:
    """Entries of a list file (`./data/celeba-face/001_03.jpg`, one a line) as clean paths relative to `root`, in its order.

    Blank lines are skipped and a repeated entry counts once. Whether the pictures exist is not looked at. PipelineError for an
    entry that leads out of `root`: an absolute path, "..", or a symbolic link to elsewhere.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such list file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise PipelineError(f"{path}: not a readable text file ({error})") from None
    inside = os.path.realpath(root)

    @cache
    def folder(parent: str) -> str:
        return os.path.realpath(os.path.join(inside, parent))

    entries: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if not (text := line.strip()):
            continue
        entry = PurePosixPath(text)
        if (
            entry.is_absolute()
            or ".." in entry.parts
            or "\0" in text
            or not _stays_inside(inside, folder(str(entry.parent)), entry)
        ):
            raise PipelineError(
                f"{path}, line {number}: {text!r} leads out of the data root {root}; "
                "name pictures below data.root (params.yaml), and copy rather than link those that lie elsewhere"
            )
        entries[str(entry)] = None
    if not entries:
        raise PipelineError(f"{path}: the list is empty; it needs one picture path a line")
    return list(entries)


def list_pictures(folder: Path) -> list[Path]:
    """All .png, .jpg, .jpeg and .webp files below a folder, hidden ones left out, sorted by their path in it."""
    if not folder.is_dir():
        raise PipelineError(f"{folder}: no such folder of pictures")
    found = [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
    ]
    if not found:
        raise PipelineError(f"{folder}: no {', '.join(sorted(PICTURE_SUFFIXES))} file in this folder")
    return [folder / name for name in sorted(found)]


def read_bytes(path: str | Path, maximum: int) -> bytes:
    """A file's content; of one larger than `maximum` bytes only some more bytes than that. OSError as `open` raises it.

    Straight from the system: `Path` and `open` would cost more than all else that is done with a photograph's record. Only
    an empty read is the end: a file system in user space may give less than asked in the middle. That last read takes
    0.6 us of 5; asking for the size instead takes 1.3, and some file systems do not know it.
    """
    parts, size = [], 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while size <= maximum and (part := os.read(descriptor, _READ)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


class UnreadablePicture(PipelineError):
    """A picture that cannot be used; `reason` is one of missing, empty, not_a_picture, too_large, truncated, broken."""

    def __init__(self, path: str | Path, reason: str, detail: str = "") -> None:
        super().__init__(
            f"{path}: {reason.replace('_', ' ')}{f' ({detail})' if detail else ''}; leave it out or fetch it again"
        )
        self.reason = reason


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """A PNG, JPEG or WebP file as uint8 RGB (height, width, 3), turned as its EXIF orientation says; transparency is dropped.

    Only the first frame of an animation. UnreadablePicture for files that are missing, damaged or larger than MAXIMUM_PIXELS.
    """
    return decode_picture(read_picture_file(path), path)


def read_picture_file(path: str | Path) -> bytes:
    """The bytes of a picture file. UnreadablePicture if it is missing, empty or larger than MAXIMUM_BYTES."""
    try:
        data = read_bytes(path, MAXIMUM_BYTES)
    except OSError as error:
        raise UnreadablePicture(path, "missing", str(error.strerror)) from None
    if not data or len(data) > MAXIMUM_BYTES:
        raise UnreadablePicture(path, "too_large" if data else "empty")
    return data


def decode_picture(data: bytes, path: str | Path) -> NDArray[np.uint8]:
    """As `read_picture`, from the file's bytes; `path` is for the message."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                raise UnreadablePicture(path, "too_large", f"{image.width} x {image.height}")
            image.load()
            return _rgb(ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image)
    except Image.DecompressionBombError as error:
        raise UnreadablePicture(path, "too_large", str(error)) from None
    except UnidentifiedImageError:
        known = data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")) or data[:4] + data[8:12] == b"RIFFWEBP"
        raise UnreadablePicture(path, "broken" if known else "not_a_picture") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        struct.error,
        EOFError,
        MemoryError,
        ZeroDivisionError,
    ) as error:
        # PIL's decoders raise all of these on damaged bytes
        raise UnreadablePicture(path, "truncated" if "truncated" in str(error) else "broken", str(error)) from None


def _rgb(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # 16-bit grey: PIL would clip it to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _stays_inside(root: str, parent: str, entry: PurePosixPath) -> bool:
    """Whether an entry whose folder is resolved to `parent` lies below `root`, its own link followed."""
    real = os.path.join(parent, entry.name)
    real = os.path.realpath(real) if os.path.islink(real) else real
    return os.path.commonpath([root, real]) == root
